"""The plan: pure, the same for the same input, with nothing left to look up."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.addresses import FaultAddress, WhoTerm, parse_address, parse_who
from harness.cron import cron_of_interval, cron_problem, shortest_gap_ms
from harness.plan import Plan, plan_of, plans_of
from harness.plan_steps import (
    ActOn,
    Advance,
    Call,
    Expect,
    Hook,
    InsertRows,
    LogSubject,
    MessageSubject,
    Offline,
    RowsSubject,
    RunSql,
    Send,
    SqlSubject,
    UpdateRows,
    Wake,
)
from harness.units import (
    LanguageError,
    format_duration,
    format_size,
    parse_duration_ms,
    parse_instant,
    parse_size_bytes,
)
from tests.support.scenario_texts import DESIGN_EXAMPLE, EVERYTHING, loaded, with_steps

HOUR_MS = 3_600_000


def plan(text: str) -> Plan:
    return plans_of(loaded(text))[0]


def test_the_designs_example_compiles() -> None:
    example = plan(DESIGN_EXAMPLE)
    wake, found, advance, resumed, complete = example.steps
    assert isinstance(wake, Wake)
    assert wake.devices == (0, 1, 2)
    assert [(fault.devices, fault.event, fault.which, fault.action) for fault in wake.faults] == [
        ((0,), "chunk", 5, "power_loss"),
        ((1,), "ack_ok", "any", "lose"),
    ]
    assert isinstance(found, Expect)
    assert isinstance(found.subject, RowsSubject)
    assert found.mode == "now"
    assert found.subject.where == {"device_id": example.devices[0].device_id}
    assert isinstance(advance, Advance)
    assert advance.duration_ms is None
    assert isinstance(resumed, Expect)
    assert resumed.window_ms == 60_000
    assert not resumed.since_start
    assert isinstance(complete, Expect)
    assert complete.place.line == 17


def test_what_watches_the_whole_scenario_leaves_the_order_of_steps() -> None:
    example = plan(DESIGN_EXAMPLE)
    assert [watch.mode for watch in example.watches] == ["always"]
    assert isinstance(example.watches[0].subject, SqlSubject)
    assert example.watches[0].subject.rows == 0
    timed = plan(with_steps("- expect: {never: 10m, sleeping: yard}"))
    assert timed.watches == ()
    assert len(timed.steps) == 1


def test_the_same_file_gives_the_same_plan() -> None:
    assert plans_of(loaded(EVERYTHING)) == plans_of(loaded(EVERYTHING))
    assert repr(plans_of(loaded(EVERYTHING))) == repr(plans_of(loaded(EVERYTHING)))


def test_every_case_is_a_plan_of_its_own() -> None:
    plans = plans_of(loaded(EVERYTHING))
    assert len({each.id for each in plans}) == 8
    assert plans[0].id == "case[k=0,how=cut,a=1,b=x]"
    actions = {
        (step.faults[0].action, step.faults[0].which) for each in plans if isinstance(step := each.steps[0], Wake)
    }
    assert actions == {("cut", 0), ("cut", 1), ("power_loss", 0), ("power_loss", 1)}
    assert {each.steps[0].note for each in plans} == {"why x", "why y"}


def test_a_matrix_value_keeps_its_type() -> None:
    sends = [step for each in plans_of(loaded(EVERYTHING)) for step in each.steps if isinstance(step, Send)]
    payloads = {json.loads(send.payload)["pendingImg"] for send in sends if send.payload and send.topic == "status"}
    assert payloads == {1, 2}
    assert {type(number) for number in payloads} == {int}


def test_the_seed_of_the_command_line_wins() -> None:
    scenario = loaded(DESIGN_EXAMPLE)
    assert plan_of(scenario, scenario.cases[0]).seed == 4211
    assert plan_of(scenario, scenario.cases[0], seed=5).seed == 5


def test_devices_are_resolved() -> None:
    devices = plan(EVERYTHING).devices
    assert [device.name for device in devices] == ["yard[0]", "yard[1]", "yard[2]", "shed[0]", "lane[0]", "lane[1]"]
    assert [device.mac for device in devices[:2]] == ["B8F862F9C1C4", "TEST-ESP32-002"]
    assert devices[3].mac == "B8F862010000"
    assert devices[5].mac == "B8F862020001"
    assert [(device.cron, device.interval_ms) for device in devices[2:5]] == [
        ("0 */3 * * *", 3 * HOUR_MS),
        ("30 6,18 * * *", 12 * HOUR_MS),
        (None, 7 * HOUR_MS),
    ]
    assert devices[0].total_chunks == 10
    assert devices[0].traits["ack_wait_ms"] == 20_000
    assert devices[3].traits == {}
    assert len({device.device_id for device in devices}) == len(devices)


def test_steps_are_resolved() -> None:
    everything = plan(EVERYTHING)
    devices = everything.devices
    of = {kind: [step for step in everything.steps if isinstance(step, kind)] for kind in (Advance, Send, ActOn, Call)}
    assert everything.start_ms == int(datetime(2026, 2, 1, 11, tzinfo=UTC).timestamp() * 1_000)
    assert [step.devices for step in everything.steps if isinstance(step, Offline)] == [(0, 1, 2)]
    assert [step.table for step in everything.steps if isinstance(step, UpdateRows | InsertRows)] == [
        "devices",
        "device_images",
    ]
    assert [devices[1].device_id in step.sql for step in everything.steps if isinstance(step, RunSql)] == [True]
    assert [(step.duration_ms, step.devices) for step in of[Advance] if isinstance(step, Advance)] == [
        (3 * HOUR_MS, (0, 1, 2, 3, 4, 5)),
        (None, (0, 1, 2)),
    ]
    sends = [step for step in of[Send] if isinstance(step, Send)]
    assert [(send.devices, send.payload is None, send.size_bytes) for send in sends[1:]] == [
        (None, False, None),
        (None, False, None),
        (None, True, 10_000_000),
    ]
    assert sends[2].topic == "ESP32CAM/B8F862F9C1C4/data"
    assert sends[2].payload == b"hi"
    assert [
        (step.target, step.do, step.which, step.heal_after_ms) for step in of[ActOn] if isinstance(step, ActOn)
    ] == [
        ("server", "crash", 0, None),
        ("server", "pause", None, 10_000),
        ("server", "start", 1, None),
        ("broker", "lose_sessions", None, None),
        ("database", "stop", None, 30_000),
    ]
    calls = [step for step in of[Call] if isinstance(step, Call)]
    assert calls[0].args == (devices[0].device_id, "image_1.jpg")
    assert calls[1].named_args == {"p_device_id": devices[0].device_id}
    assert [(step.module, step.function) for step in everything.steps if isinstance(step, Hook)] == [
        ("my_module", "my_function")
    ]


def test_fault_settings_are_milliseconds_and_numbers() -> None:
    wake = plan(EVERYTHING).steps[0]
    assert isinstance(wake, Wake)
    settings = [(fault.action, fault.parameters, fault.times, fault.wake) for fault in wake.faults[1:]]
    assert settings == [
        ("duplicate", {"times": 50, "within_ms": 2_000}, None, 1),
        ("lose", {}, 1, None),
        ("reorder", {"by": None, "order": "shuffled"}, None, None),
        ("reorder", {"by": 3, "order": None}, 1, None),
        ("reorder", {"by": 1, "order": None}, 1, None),
        ("corrupt", {"flip": 1, "where": "payload"}, 1, None),
        ("delay", {"for_ms": 5_000}, 1, None),
        ("power_loss", {"for_ms": 10_000}, 1, None),
        ("duplicate", {"times": 5, "within_ms": 0}, 1, None),
    ]


def test_a_plan_can_not_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan(DESIGN_EXAMPLE).seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("who", "numbers"),
    [
        ("yard", (0, 1, 2)),
        ('"yard[*]"', (0, 1, 2)),
        ('"yard[0]"', (0,)),
        ('"yard[1..2]"', (1, 2)),
        ("all", (0, 1, 2)),
        ('["yard[2]", "yard[0]", "yard[2]"]', (0, 2)),
    ],
)
def test_who_becomes_numbers(who: str, numbers: tuple[int, ...]) -> None:
    step = plan(with_steps(f"- wake: {who}")).steps[0]
    assert isinstance(step, Wake)
    assert step.devices == numbers


def test_several_devices_in_a_row_are_one_of_these() -> None:
    example = plan(with_steps('- expect: {rows: {table: devices, where: {device: "yard[1..2]"}, count: 2}}'))
    assert isinstance(example.steps[0], Expect)
    assert isinstance(example.steps[0].subject, RowsSubject)
    assert example.steps[0].subject.where == {"device_id": [device.device_id for device in example.devices[1:]]}


@given(st.integers(0, 400 * 86_400_000))
def test_durations_read_what_they_write(duration_ms: int) -> None:
    assert parse_duration_ms(format_duration(duration_ms)) == duration_ms


@given(st.integers(0, 64 * 1_048_576))
def test_sizes_read_what_they_write(size_bytes: int) -> None:
    assert parse_size_bytes(format_size(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [("500ms", 500), ("1.5s", 1_500), ("1h30m", 5_400_000), ("0s", 0), ("400d", 400 * 86_400_000)],
)
def test_durations(text: str, expected_ms: int) -> None:
    assert parse_duration_ms(text) == expected_ms


@pytest.mark.parametrize(
    "value", [3, 3.0, True, None, "", "3", "s", "3 s", "-3s", "3S", "0.0001ms", "401d", "١s", [], "1e3s"]
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(LanguageError):
        parse_duration_ms(value)


@pytest.mark.parametrize(
    ("text", "expected"), [("10kB", 10_000), ("10KiB", 10_240), ("1MB", 1_000_000), ("1.5MiB", 1_572_864), ("0B", 0)]
)
def test_sizes(text: str, expected: int) -> None:
    assert parse_size_bytes(text) == expected


@pytest.mark.parametrize("value", [10, 1.5, True, None, "10", "kB", "10kb", "10 kB", "1.5B", "-1B", "65MiB", "1GB"])
def test_what_is_no_size(value: object) -> None:
    with pytest.raises(LanguageError):
        parse_size_bytes(value)


def test_instants_are_utc() -> None:
    expected = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
    assert parse_instant("2026-01-05T08:30Z") == expected
    assert parse_instant("2026-01-05T09:30:00+01:00") == expected
    assert parse_instant("2026-01-05T08:30:00.000") == expected
    assert parse_instant("2026-01-05").hour == 0
    for wrong in ("8:30", "2026-1-5", "2026-02-30", "", None, 2026):
        with pytest.raises(LanguageError):
            parse_instant(wrong)


@pytest.mark.parametrize("text", ["yard", "yard[0]", "yard[1..3]", "all"])
def test_who_terms_write_what_they_read(text: str) -> None:
    assert str(parse_who(text)[0]) == text
    assert parse_who([text, text]) == parse_who(text) * 2


def test_a_star_is_the_whole_group() -> None:
    assert parse_who("yard[*]") == (WhoTerm("yard"),)


@pytest.mark.parametrize(
    "text", ["chunk[5].sent", "chunk[last].sent", "chunk[*].sent", "hello.sent", "ack_ok.received"]
)
def test_addresses_write_what_they_read(text: str) -> None:
    assert str(parse_address(text)) == text
    assert parse_address("chunk.sent") == FaultAddress("chunk", "sent", "any")


@pytest.mark.parametrize(
    ("interval_ms", "cron"),
    [
        (60_000, "* * * * *"),
        (15 * 60_000, "*/15 * * * *"),
        (HOUR_MS, "0 * * * *"),
        (3 * HOUR_MS, "0 */3 * * *"),
        (24 * HOUR_MS, "0 0 * * *"),
    ],
)
def test_an_interval_is_a_schedule_with_that_gap(interval_ms: int, cron: str) -> None:
    assert cron_of_interval(interval_ms) == cron
    assert cron_problem(cron) is None
    assert shortest_gap_ms(cron) == interval_ms


@pytest.mark.parametrize("interval_ms", [0, 30_000, 7 * 60_000, 90 * 60_000, 5 * HOUR_MS, 48 * HOUR_MS])
def test_intervals_that_no_schedule_says(interval_ms: int) -> None:
    with pytest.raises(LanguageError):
        cron_of_interval(interval_ms)


def test_the_shortest_gap_goes_round_midnight() -> None:
    assert shortest_gap_ms("30 1,22 * * *") == 3 * HOUR_MS
    assert shortest_gap_ms("0 6 * * *") == 24 * HOUR_MS


def test_messages_count_from_the_last_action_unless_told_otherwise() -> None:
    steps = """\
- expect: {message: {to: yard, topic: ack}}
- expect: {message: {to: yard, topic: ack, count: {max: 3}}, since: start}
- expect: {eventually: 2m, log: "a line"}
"""
    expects = [step for step in plan(with_steps(steps)).steps if isinstance(step, Expect)]
    assert [expect.since_start for expect in expects] == [False, True, False]
    assert [expect.mode for expect in expects] == ["now", "now", "eventually"]
    counts = [
        str(expect.subject.count) for expect in expects if isinstance(expect.subject, MessageSubject | LogSubject)
    ]
    assert counts == ["at least 1", "at most 3", "at least 1"]
