"""The scenario language, rule by rule: what is refused, where, and what the author is told."""

from __future__ import annotations

import pytest

from harness.errors import ScenarioError
from tests.support.scenario_texts import loaded, with_steps


def complaint(text: str) -> str:
    """The one mistake of a text, without its file and line."""
    with pytest.raises(ScenarioError) as caught:
        loaded(text)
    assert len(caught.value.mistakes) == 1, str(caught.value)
    return str(caught.value).split(": ", 1)[1]


def of_step(step: str) -> str:
    return complaint(with_steps(f"- {step}"))


def of_devices(group: str) -> str:
    return complaint(f"version: 1\nname: A test\ndevices:\n  yard: {group}\nsteps: [{{wake: yard}}]\n")


def of_file(lines: str) -> str:
    return complaint(with_steps("- wake: yard") + lines + "\n")


def of_fault(fault: str) -> str:
    return complaint(with_steps(f"- wake: yard\n  faults: [{fault}]"))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("{wakee: yard}", "steps[0]: no kind of step is called 'wakee' (did you mean wake?)"),
        ("{wake: yard, advance: 1h}", "exactly one kind, found wake and advance"),
        ("{console: {who: yard}}", "says nothing"),
        ("{console: {who: yard, contains: a, matches: b}}", "contains and matches exclude each other"),
        ("{console: {who: yard, matches: '('}}", "matches is no regular expression"),
        ('{console: {who: yard, write: "a\\nb"}}', "write is one line"),
        ("{migrate: x}", "migrate.to: 'x' is no revision (one of legacy_base, APPLY_IMAGE_RESUME_MIGRATION"),
        ("{migrate: legacy_bas}", "migrate.to: 'legacy_bas' is no revision (did you mean legacy_base?)"),
        ("{migrate: {fails: '23505'}}", "migrate: needs one of to, sql, stamp"),
        ("{migrate: {to: head, fails: duplicate}}", "migrate.fails:"),
        ("just text", "a step is a mapping, found 'just text'"),
        ("{wake: yrd}", "steps[0].wake: no devices are called 'yrd' (did you mean yard?)"),
        ("{wake: 'yard[3]'}", "there is no yard[3] (the last is yard[2])"),
        ("{wake: 'yard[2..1]'}", "runs backwards (write yard[1..2])"),
        ("{wake: 'all[1]'}", "all takes no index"),
        ("{wake: []}", "names no device"),
        ("{wake: yard, fault: []}", "unknown key 'fault' (did you mean faults?)"),
        ("{wake: yard, wifi: sideways}", "'sideways' is not known"),
        ("{wake: yard, wait: 1}", "true or false is needed, found 1"),
        ("{advance: 3}", "3 has no unit (write 3s, 3m or 3h)"),
        ("{advance: 3x}", "'3x' is not a duration"),
        ("{advance: next_wakes}", "'next_wakes' is not a duration"),
        ("{advance: 1h, of: yard}", "of belongs to next_wake"),
        ("{advance: 25h}", "time_limit: the steps advance by 1d1h, beyond 1d"),
        ("{offline: yard, wakes: 0}", "wakes: must be at least 1, found 0"),
        ("{given: {rows: []}}", "names no table"),
        ("{given: {table: device_imags, rows: []}}", "no table is called 'device_imags' (did you mean device_images?)"),
        ("{given: {table: devices}}", "needs either rows or set"),
        ("{given: {table: devices, rows: [], where: {}}}", "rows and where exclude each other"),
        ("{given: {sql: x, table: devices}}", "sql stands alone"),
        ("{given: {table: devices, where: {device: yrd}, set: {a: 1}}}", "given.where.device: no devices are called"),
        ("{given: {table: devices, where: {device: [3]}, set: {a: 1}}}", "3 names no device"),
        ("{given: {table: devices, rows: [{Device Id: 1}]}}", "is not written rightly"),
        ("{send: {topic: status, json: {}}}", "topic status of whom? (add from, or write the whole topic)"),
        ("{send: {topic: statos, json: {}, from: yard}}", "no topic is called 'statos'"),
        ("{send: {topic: a/+/b, json: {}}}", "can not be sent to a filter"),
        ("{send: {topic: a/b}}", "exactly one payload, found 0"),
        ("{send: {topic: a/b, json: {}, text: x}}", "exactly one payload, found 2"),
        ("{send: {topic: a/b, base64: '***'}}", "is not base64"),
        ("{send: {topic: a/b, size: 10}}", "10 has no unit (write 10B, 10kB or 10KiB)"),
        ("{send: {topic: a/b, size: 10kb}}", "unit 'kb' is not known"),
        ("{send: {topic: a/b, size: 1000MB}}", "is too large"),
        ("{send: {topic: a/b, text: x, qos: 3}}", "3 is not known"),
        ("{server: crush}", "server.do: 'crush' is not known (did you mean crash?)"),
        ("{server: {do: start, for: 1s}}", "start takes no for"),
        ("{server: {do: stop, which: 1}}", "there is no server 1"),
        ("{broker: {do: lose_sesions}}", "did you mean lose_sessions?"),
        ("{database: 3}", "3 is not known"),
        ("{power: {who: yard, do: restore, for: 1s}}", "for belongs to loss"),
        ("{hook: 'os.system'}", "is not written rightly"),
        ("{call: {function: 'a b'}}", "is not written rightly"),
        ("{http: {path: x}}", "is not written rightly"),
        ("{http: {path: /x, status: 99}}", "http.status: must be at least 100, found 99"),
    ],
)
def test_steps_say_what_is_wrong(step: str, words: str) -> None:
    assert words in of_step(step)


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ("{}", "exactly one subject, found none"),
        ("{sleeping: yard, photos: {who: yard, count: 1}}", "exactly one subject, found photos and sleeping"),
        ("{eventually: 1m, always: true, sleeping: yard}", "more than one of eventually, always, never"),
        ("{always: false, sleeping: yard}", "False is not a duration"),
        ("{always: 3, sleeping: yard}", "3 has no unit"),
        ("{eventually: true, sleeping: yard}", "True is not a duration"),
        ("{sql: SELECT 1}", "sql needs either rows or equals"),
        ("{sql: SELECT 1, rows: 1, equals: 1}", "sql needs either rows or equals"),
        ("{sql: SELECT 1, rows: {table: devices, count: 1}}", "sql and a table exclude each other"),
        ("{rows: 3}", "rows is a number but there is no sql"),
        ("{rows: {table: devices, count: 1}, equals: 3}", "equals belongs to sql"),
        ("{rows: {table: devices}}", "says nothing about the rows"),
        ("{rows: {table: devices, count: 1, order_by: [x]}}", "order_by without are"),
        ("{rows: {table: devises, count: 1}}", "rows.table: no table is called 'devises' (did you mean devices?)"),
        ("{rows: {table: devices, cont: 1}}", "rows.cont: unknown key 'cont' (did you mean count?)"),
        ("{rows: {table: devices, are: [{device: yrd}]}}", "rows.are[0].device: no devices are called 'yrd'"),
        ("{rows: {table: devices, count: -1}}", "found -1"),
        ("{rows: {table: devices, count: {mim: 1}}}", "did you mean min?"),
        ("{sql: SELEC 1, rows: 1}", "expect.sql: is not SQL"),
        ("{sql: DELETE FROM devices, rows: 1}", "is not a SELECT"),
        ("{sql: SELECT 1 FROM devises, rows: 1}", "no table is called 'devises' (did you mean devices?)"),
        ("{sql: SELECT current_timestamp, rows: 1}", "use NOW(), which is scenario time"),
        ("{message: {to: yard, from: yard}}", "to and from exclude each other"),
        ("{message: {topic: ack, each: true}}", "each of nobody (name the devices with to or from)"),
        ("{message: {to: yard, topic: akk}}", "no topic is called 'akk'"),
        ("{message: {too: yard}}", "unknown key 'too' (did you mean to?)"),
        ("{log: {contain: x}}", "unknown key 'contain' (did you mean contains?)"),
        ("{ledger: {who: yard}}", "says nothing"),
        ("{queue: {who: yrd, pending: 0}}", "queue.who: no devices are called 'yrd'"),
        ("{never: true, http: {path: /x}}", "http can only be asked now or eventually"),
        ("{sleeping: yard, since: last}", "'last' is not known"),
    ],
)
def test_expectations_say_what_is_wrong(expect: str, words: str) -> None:
    text = with_steps(f"- expect: {expect}")
    with pytest.raises(ScenarioError) as caught:
        loaded(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("{who: yard, at: chnk.sent, do: cut}", "no message is called 'chnk' (did you mean chunk?)"),
        ("{who: yard, at: chunk, do: cut}", "is not a step of the protocol"),
        ("{who: yard, at: hello.received, do: cut}", "a device never has hello.received (write hello.sent)"),
        ("{who: yard, at: ack_ok.sent, do: cut}", "a device never has ack_ok.sent (write ack_ok.received)"),
        ("{who: yard, at: 'hello[1].sent', do: cut}", "hello takes no index"),
        ("{who: yard, at: 'chunk[-1].sent', do: cut}", "is no chunk"),
        (
            "{who: yard, at: 'chunk[10].sent', do: cut}",
            "yard has no chunk 10 (its photos have 10: chunk[0] to chunk[9])",
        ),
        ("{who: all, at: 'chunk[10].sent', do: cut}", "yard has no chunk 10"),
        ("{who: yard, at: hello.sent, do: loose}", "no fault is called 'loose' (did you mean lose?)"),
        ("{who: yard, at: hello.sent, do: delay}", "delay needs to know how much"),
        ("{who: yard, at: hello.sent, do: {delay: 3}}", "3 has no unit"),
        ("{who: yard, at: hello.sent, do: {}}", "not exactly one action"),
        ("{who: yard, at: hello.sent, do: {cut: {}, lose: {}}}", "not exactly one action"),
        ("{who: yard, at: hello.sent, do: {cut: {}, lsoe: {}}}", "unknown key 'lsoe' (did you mean lose?)"),
        ("{who: yard, at: hello.sent, do: {power_loss: {for: 0s}}}", "is no loss"),
        ("{who: yard, at: hello.sent, do: reorder}", "hello.sent can not be reordered"),
        ("{who: yard, at: ack_ok.received, do: reorder}", "can not be reordered"),
        ("{who: yard, at: 'chunk[1].sent', do: {reorder: reversed}}", "reversed needs all chunks"),
        ("{who: yard, at: 'chunk[*].sent', do: {reorder: {by: 1, order: reversed}}}", "exclude each other"),
        ("{who: yard, at: metadata.sent, do: corrupt}", "carries no image bytes"),
        ("{who: yard, at: hello.sent, do: cut, times: 0}", "times is below 1"),
        ("{who: yard, at: hello.sent, do: cut, times: many}", "times"),
        ("{who: yard, at: hello.sent, do: cut, wake: 0}", "wake"),
        ("{at: hello.sent, do: cut}", "faults[0].who: is required"),
        ("{who: yard, at: link, do: lose}", "lose does not strike at link (it strikes messages"),
        ("{who: yard, at: link, do: crash}", "crash does not strike at link (write at: device"),
        ("{who: yard, at: device, do: rst}", "rst does not strike at device (write at: link"),
        ("{who: yard, at: device, do: brownout}", "brownout strikes in the middle of a message"),
        ("{who: yard, at: ack_ok.received, do: brownout}", "brownout strikes in the middle of a message"),
        ("{who: yard, at: hello.sent, do: rst, from: 3s}", "from belongs to at: link and at: device"),
        ("{who: yard, at: hello.sent, do: power_loss, for: 3s}", "write {power_loss: {for: 10s}}"),
        ("{who: yard, at: device, do: twin, for: 3s}", "twin does not last"),
        ("{who: yard, at: link, do: blackhole, for: 0s}", "for 0s is nothing"),
        ("{who: yard, at: link, do: {bandwidth: 0B}}", "bandwidth.rate: must be above 0"),
        ("{who: yard, at: link, do: {one_way_loss: sideways}}", "one_way_loss.way"),
        ("{who: yard, at: link, do: latency}", "latency needs to know how much (write {latency: 200ms})"),
        ("{who: yard, at: line, do: rst}", "'line' is not a step of the protocol"),
    ],
)
def test_faults_say_what_is_wrong(fault: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        loaded(with_steps(f"- wake: yard\n  faults: [{fault}]"))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("{cuont: 3}", "devices.yard.cuont: unknown key 'cuont' (did you mean count?)"),
        ('{count: "3"}', "a whole number is needed, found '3'"),
        ("{count: 0}", "devices.yard.count"),
        ("{profile: esp32s3-cam@3.5}", "no profile is called 'esp32s3-cam@3.5' (did you mean esp32s3-cam@3.5.0?)"),
        ("{profile: esp32s3-cam@3.5.0+metadata-strom}", "did you mean metadata-storm?"),
        ("{wake: {every: 7h}}", "divides neither an hour nor a day"),
        ("{wake: {every: 30s}}", "below a minute"),
        ("{wake: {every: 2d}}", "divides neither"),
        ("{wake: {}}", "says nothing"),
        ("{wake: {none: true, schedule: 0 3 * * *}}", "exclude each other"),
        ("{wake: {schedule: 0 3 * *}}", "has 4 fields, not 5"),
        ("{wake: {schedule: 0 25 * * *}}", "out of range"),
        ("{wake: {schedule: 0 */0 * * *}}", "out of range"),
        ("{wake: {schedule: 0 3 1 * *}}", "only minute and hour"),
        ("{wake: {schedule: 0 3-5 * * *}}", "is not *, */N, N or a list"),
        ("{image: {size: 999B}}", "size 999B is not possible"),
        ("{image: {size: 33MB}}", "size 33MB is not possible"),
        ("{image: {size: 16MB, chunk: 100B}}", "makes 160000 chunks"),
        ("{image: {chunk: 1MB}}", "chunk is not possible"),
        ("{image: {chunk: 0B}}", "chunk is not possible"),
        ("{timezone: Mars/Base}", "no time zone is called 'Mars/Base'"),
        ("{mac: [B8F862F9C1C4, B8F862F9C1C4]}", "2 MACs for 1 devices"),
        ("{count: 2, mac: [B8F862F9C1C4, B8F862F9C1C4]}", "the same MAC stands twice"),
        ("{mac: [b8f862f9c1c4]}", "is not written rightly"),
        ("{mac: [123456789012]}", "text is needed, found 123456789012 (put it in quotes)"),
        ("{traits: {ack_wait: 5}}", "5 has no unit"),
        ("{traits: {resume_from: middle}}", "'middle' is not known"),
    ],
)
def test_devices_say_what_is_wrong(group: str, words: str) -> None:
    assert words in of_devices(group)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("seeed: 1", "unknown key 'seeed' (did you mean seed?)"),
        ("seed: -1", "seed"),
        ("seed: 1.5", "a whole number is needed, found 1.5"),
        ("start: tomorrow", "'tomorrow' is not an instant"),
        ("start: 2026-02-30T00:00:00Z", "is not an instant"),
        ("time_limit: 401d", "is too long"),
        ("servers: 9", "servers"),
        ("checks: []", "checks"),
        ("waive: [{check: noop, because: short}]", "waive[0].because"),
        ("waive: [{check: no_lost_imag, because: long enough}]", "did you mean no_lost_image?"),
        ("checks: [no_lost]", "no check is called 'no_lost'"),
        ("description: '${yrd[0].mac}'", "no devices are called 'yrd'"),
        ("description: '${yard[3].id}'", "there is no yard[3]"),
        ("description: '${yard.mac}'", "yard names several devices (write ${yard[0].mac})"),
        ("covers: [Seed 1]", "is not written rightly"),
        ("tags: smoke", "a list is needed, found 'smoke'"),
        ("drain: {wakes: -1}", "drain.wakes"),
        ("matrix: {k: [1, 2]}", "k is never used"),
        ("matrix: {k: 3..1}", "not a usable range"),
        ("matrix: {k: x}", "is not a range"),
        ("matrix: {k: []}", "neither a list of values nor a range"),
        ("matrix: {k: [[1]]}", "no lists inside"),
        ("matrix: {k: [{a: 1}, {b: 1}]}", "different names"),
        ("description: ${nope}", "nothing is called ${nope}"),
        ("matrix: {how: [1]}\ndescription: ${hwo} ${how}", "nothing is called ${hwo} (did you mean how?)"),
    ],
)
def test_the_rest_of_the_file_says_what_is_wrong(lines: str, words: str) -> None:
    assert words in of_file(lines)


def test_what_is_required_is_named() -> None:
    with pytest.raises(ScenarioError) as caught:
        loaded("description: x\n")
    assert [mistake.path for mistake in caught.value.mistakes] == ["name", "steps", "version"]


def test_the_version_is_one() -> None:
    assert "version: 2 is not known" in complaint("version: 2\nname: abc\nsteps: [{advance: 1s}]\n")


def test_a_mac_belongs_to_one_device() -> None:
    text = (
        "version: 1\nname: abc\ndevices:\n  a: {mac: [B8F862F9C1C4]}\n  b: {mac: [B8F862F9C1C4]}\nsteps: [{wake: a}]\n"
    )
    assert "MAC B8F862F9C1C4 stands in two groups" in complaint(text)


def test_no_group_is_called_all() -> None:
    text = "version: 1\nname: abc\ndevices: {all: {}}\nsteps: [{wake: all}]\n"
    assert "a group can not be called all" in complaint(text)


def test_devices_are_needed_where_they_are_named() -> None:
    text = "version: 1\nname: abc\nsteps:\n  - advance: next_wake\n"
    assert "there are no devices that wake" in complaint(text)
