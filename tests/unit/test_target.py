"""target.toml: every mistake by line and with what is allowed, no secret in it; and what of a plan a target refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.aiming import START_DEFAULT_MS
from harness.bench.external_database import OWN_NUMBERS, each_once, free_macs
from harness.bench.external_links import TopicNames
from harness.errors import BenchUnavailable
from harness.plan import Plan, plans_of
from harness.target import Login, Target, TargetError, Topics, read_target
from harness.target_fit import checks_left_out, refusals_of_target
from harness.target_tables import COLUMNS
from harness.target_view import TheirTables, their_columns, with_view
from server.wire.topics import Family
from tests.support.scenario_texts import loaded, with_steps

GOOD = """\
[broker]
url = "mqtt://localhost:1883"
[database]
url = "postgresql://localhost/cameras"
reader = {user_variable = "A_USER", password_variable = "A_PASSWORD"}
[tables.devices]
table = "cams"
columns = {device_id = "cam_no", device_mac = "hw"}
"""
ROOT = Path(__file__).parent.parent.parent


def target(tmp_path: Path, text: str = GOOD) -> Target:
    path = tmp_path / "target.toml"
    path.write_text(text)
    return read_target(path)


def mistake(tmp_path: Path, text: str) -> str:
    with pytest.raises(TargetError) as refused:
        target(tmp_path, text)
    return str(refused.value).removeprefix(tmp_path.as_posix() + "/")


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("mqtt://", "http://", "target.toml:2: broker.url: not a broker's URL"),
        ("//localhost:1883", "//ann:hunter2@localhost:1883", "target.toml:2: broker.url: a login stands in the URL"),
        ("localhost/cameras", "localhost/cameras?password=hunter2", "target.toml:4: database.url: a login stands"),
        ("localhost/cameras", "localhost", "target.toml:4: database.url: no database in the URL"),
        ('"A_PASSWORD"', '"hunter2!"', "target.toml:5: database.reader.password_variable: not the name of an env"),
        ("reader =", "raeder =", "target.toml:5: database.raeder: no such key (did you mean reader?)"),
        ("reader =", "raeder =", "target.toml:3: database.reader: is missing"),
        (
            "[tables.devices]",
            "[tables.device]",
            "target.toml:6: tables.device: no table of wakestorm is called so",
        ),
        ("device_mac =", "devicemac =", "has no column devicemac (did you mean device_mac?)"),
        (
            "[tables.devices]",
            '[devices]\ndialects = ["v3.5"]\n[tables.devices]',
            "target.toml:7: devices.dialects.0:",
        ),
        ("[tables.devices]", '[devices]\nmac_form = "colon"\n[tables.devices]', "found 'colon' (did you mean colons"),
        ("[tables.devices]", '[devices]\nmac_prefix = "B8F862"\n[tables.devices]', "locally administered"),
        ("[tables.devices]", '[time]\nsettle = "5"\n[tables.devices]', "target.toml:7: time.settle: '5' is not a dur"),
        ("[tables.devices]", '[topics]\nack = "a/+/b"\n[tables.devices]', "target.toml:7: topics.ack: a topic of one"),
        ("[tables.devices]", '[checks]\nskip = {no_lost_image = "why not"}\n[tables.devices]', "can not be left out"),
        ('table = "cams"', "absent = true", "tables.devices.absent: without this table nothing can be judged"),
        ("[broker]", "[broker", "target.toml:1: not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_shows_no_secret(tmp_path: Path, old: str, new: str, found: str) -> None:
    assert old in GOOD
    said = mistake(tmp_path, GOOD.replace(old, new, 1))
    assert found in said
    assert "hunter2" not in said


def test_all_mistakes_are_shown_at_once(tmp_path: Path) -> None:
    said = mistake(tmp_path, GOOD.replace("reader =", "raeder =").replace("tables.devices", "tables.device"))
    assert said.count("\n") == 2
    assert "tables.device: no table" in said


def test_the_file_of_the_document_is_valid(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "external.md").read_text()
    given = target(tmp_path, page.partition("```toml\n")[2].partition("```")[0])
    assert given.broker.address == ("broker.staging.example", 8883)
    assert given.tables["device_wake_sessions"].absent


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="No such file"):
        read_target(tmp_path / "none.toml")


def test_a_variable_that_is_not_set_is_named() -> None:
    login = Login(user_variable="A_USER", password_variable="A_PASSWORD")
    with pytest.raises(BenchUnavailable, match="A_PASSWORD is not set"):
        login.read({"A_USER": "ann"}, "database.reader")
    assert login.read({"A_USER": "ann", "A_PASSWORD": "x"}, "database.reader") == ("ann", "x")


def test_the_columns_are_those_of_the_schema() -> None:
    text = (ROOT / "docs" / "schema.md").read_text()
    for table, columns in COLUMNS.items():
        part = text.partition(f"### {table}\n")[2].partition("\n### ")[0]
        there = [line.split("`")[1] for line in part.splitlines() if line.startswith("| `")]
        assert list(columns) == there, table


def test_macs_are_free_and_wrap_around() -> None:
    macs = free_macs("02574B", each_once(range(OWN_NUMBERS), 0xFFFFFF), {"02574B000000"})
    assert [next(macs), next(macs)] == ["02574BFFFFFF", "02574B000001"]


def test_topics_go_there_and_back() -> None:
    names = TopicNames(Topics(status="x/{mac}/hello", ack="x/{mac}.ack"), {"02574B000001": Family.ESP32CAM})
    for own, theirs in {
        "ESP32CAM/02574B000001/status": "x/02574B000001/hello",
        "ESP32CAM/02574B000001/ack": "x/02574B000001.ack",
        "ESP32CAM/02574B000001/cmd": "ESP32CAM/02574B000001/cmd",
    }.items():
        assert names.theirs(own) == theirs
        assert names.own(theirs) == own
    assert names.own("x/B8F862000001.ack") == "x/B8F862000001.ack"  # somebody else's


def tables_of(given: Target) -> TheirTables:
    there = {
        "devices": ("cam_no", "hw"),
        "device_images": ("image_id", "device_id", "image_name", "captured_at", "status", "sha256", "image_size"),
    }
    return TheirTables(
        target=given, columns={table: their_columns(given, table, columns) for table, columns in there.items()}
    )


def test_a_query_sees_own_cameras_only(tmp_path: Path) -> None:
    query = with_view(tables_of(target(tmp_path)), {"02574B000001": "an-id"}, "SELECT 1;", filled=False)
    assert query.endswith("(SELECT 1)")
    assert "VALUES ('02574B000001', '02574B000001', 'an-id')" in query
    for name in ('"cams"', '"device_images"'):
        assert query.count(f"FROM {name}") == query.count(f"FROM {name} t JOIN ws_")


def test_checks_say_what_they_lack(tmp_path: Path) -> None:
    left = checks_left_out(tables_of(target(tmp_path)))
    assert left["received_chunks_match"] == (
        "the target has no device_images.received_chunks, device_images.total_chunks, device_image_chunks"
    )
    assert {"states_legal", "judge_sees_all", "acked_after_commit"} <= left.keys()
    assert not {"no_lost_image", "no_doubled_image", "no_damaged_image", "released_is_stored"} & left.keys()


def test_a_value_without_counterpart_is_refused(tmp_path: Path) -> None:
    names = '[tables.device_images]\nvalues = {status = {receiving = "arriving", complete = "whole"}}\n'
    given = target(tmp_path, GOOD + names)
    step = "expect: {{rows: {{table: device_images, where: {{status: [complete, {}]}}, count: 1}}}}"
    found = refusals_of_target(plan(step.format("pending")), given, START_DEFAULT_MS, tables_of(given))
    assert [one.reason for one in found] == ["expect rows: the target has no status pending"]
    assert not refusals_of_target(plan(step.format("receiving")), given, START_DEFAULT_MS, tables_of(given))


def plan(step: str) -> Plan:
    return plans_of(loaded(with_steps(f"- {step}")))[0]


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("server: crash", "own server is not to be struck"),
        ("broker: lose_sessions", "own broker is not to be struck"),
        ("database: {do: stop, for: 30s}", "own database is not to be struck"),
        ("given: {sql: \"UPDATE devices SET location = 'x'\"}", "only reads"),
        ('given: {table: devices, where: {device: "yard[0]"}, set: {location: x}}', "only reads"),
        ("migrate: {to: head}", "its own"),
        ("call: {function: fn_now}", "function of wakestorm's own schema"),
        ("hook: a:b", "anything"),
        ("http: {path: /health}", "HTTP API"),
        ("advance: 3h", "in real time"),
        ('expect: {log: {contains: "x"}}', "log is not to be seen"),
        ("expect: {rows: {table: device_wake_sessions, count: 1}}", "has no device_wake_sessions"),
        ("expect: {rows: {table: device_images, are: [{retry_count: 1}]}}", "device_images has no retry_count"),
        ('expect: {sql: "SELECT 1 FROM device_alerts", rows: 0}', "no table is called 'device_alerts'"),
        ("expect: {message: {to: yard, topic: ack, contains: {ACK_OK: {next_wake_time: 3:00AM}}}}", "own clock"),
        ("send: {topic: ESP32CAM/B8F862F9C1C4/data, text: x}", "not the topic of a camera of this scenario"),
        ('send: {from: "yard[0]", topic: status, json: {device_id: B8F862F9C1C4}}', "not of this scenario"),
    ],
)
def test_what_needs_more_than_the_target_allows_is_refused(tmp_path: Path, step: str, reason: str) -> None:
    given = target(tmp_path)
    found = refusals_of_target(plan(step), given, START_DEFAULT_MS, tables_of(given))
    assert len(found) == 1, found
    assert reason in found[0].reason
    assert found[0].line == 5


@pytest.mark.parametrize(
    "step",
    [
        "wake: yard",
        "advance: next_wake",
        "advance: 20s",
        "offline: yard",
        "power: {who: yard, do: loss}",
        'send: {from: "yard[0]", topic: status, json: {device_id: "${yard[0].mac}"}}',
        "expect: {rows: {table: device_images, where: {device: yard}, are: [{status: complete}]}}",
        'expect: {sql: "SELECT count(*) FROM device_images JOIN devices USING (device_id)", equals: 3}',
        "expect: {ledger: {who: yard, stored: 3}}",
        "expect: {message: {to: yard, topic: ack, contains: {ACK_OK: {}}}}",
    ],
)
def test_what_the_target_allows_is_played(tmp_path: Path, step: str) -> None:
    given = target(tmp_path)
    assert refusals_of_target(plan(step), given, START_DEFAULT_MS, tables_of(given)) == []


def test_devices_that_the_server_would_have_to_know_are_refused(tmp_path: Path) -> None:
    given = target(tmp_path, GOOD + '[devices]\ndialects = ["v3.5.0"]\n')
    for device, reason in {
        "profile: esp32s3-cam@paper-v4": "speaks paper-v4",
        "provisioning: unknown": "is unknown",
        'wake: {schedule: "30 6 * * *"}': "wake schedule",
        "mac: [B8F862F9C1C4]": "range of their own",
    }.items():
        text = f"version: 1\nname: One wake\ndevices: {{yard: {{{device}}}}}\nsteps:\n  - wake: yard\n"
        found = refusals_of_target(plans_of(loaded(text))[0], given, START_DEFAULT_MS)
        assert [reason in one.reason for one in found] == [True], found
