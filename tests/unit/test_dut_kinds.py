"""What each kind of device can't do is said at lint time, with the line and the reason; and who gets the blame."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.blame import Blame
from harness.blaming import blame_of
from harness.dut.console import ConsoleError
from harness.dut.fail_list import NAMES
from harness.dut.inventory import BoardEntry
from harness.dut.kinds import BoardOrder, DutOrder, kind_and_ids, refusals
from harness.errors import UsageError
from harness.loader import load_bytes
from harness.plan import Plan, plans_of

ENTRY = BoardEntry.model_validate({"kind": "board", "match": {"port": "/dev/ttyUSB0", "mac": "B8F862F9C1C4"}})
CAM = BoardOrder(
    id="cam-7", port="/dev/ttyUSB0", mac="B8F862F9C1C4", entry=ENTRY, no_power="power is `none`", no_reset="no RTS"
)
SWITCHED = BoardOrder(id="cam-8", port="/dev/ttyUSB1", mac="B8F862F9C1C5", entry=ENTRY)


def plan_with(steps: str, devices: str = "yard: {}") -> Plan:
    text = f"version: 1\nname: A question\ndevices:\n  {devices}\nsteps:\n{steps}"
    return plans_of(load_bytes(text.encode(), Path("q.yaml")))[0]


def reasons(steps: str, order: DutOrder, devices: str = "yard: {}", bench: str = "processes") -> list[str]:
    return [str(mistake) for mistake in refusals(plan_with(steps, devices), order, bench)]


def test_a_simulated_camera_has_neither_flash_nor_console() -> None:
    steps = "  - wake: yard\n  - flash: 3.5.0\n  - console: {who: yard, write: status}\n"
    assert reasons(steps, DutOrder(), bench="embedded") == [
        "q.yaml:7: steps[1]: a simulated camera has no flash (--dut virtual, or --dut board:ID)",
        "q.yaml:8: steps[2]: a simulated camera has no serial console (--dut virtual, or --dut board:ID)",
    ]
    assert reasons(steps, DutOrder(kind="virtual")) == []


def test_boards_live_in_real_time_and_only_so_many_do() -> None:
    assert "the embedded bench does not" in reasons("  - wake: yard\n", DutOrder(kind="virtual"), bench="embedded")[0]
    many = reasons("  - wake: yard\n", DutOrder(kind="virtual"), "yard: {count: 9}")
    assert many == ["q.yaml:1: 9 virtual boards, each a process in real time (at most 8)"]


def test_power_needs_a_switch() -> None:
    steps = "  - {wake: yard, faults: [{who: yard, at: 'chunk[1].sent', do: power_loss}]}\n"
    steps += "  - power: {who: yard, do: loss}\n  - power: {who: yard, do: reset}\n"
    found = reasons(steps, DutOrder(kind="board", boards=(CAM,)))
    assert [text.split(": ", 2)[2] for text in found] == [
        "board cam-7 has no power switch: power is `none` (give boards.cam-7.power in the inventory, or take "
        "--dut virtual)",
        "board cam-7 has no power switch: power is `none` (give boards.cam-7.power in the inventory, or take "
        "--dut virtual)",
        "board cam-7 can not be reset: no RTS (give boards.cam-7.power in the inventory, or take --dut virtual)",
    ]
    assert "steps[0].faults[0]" in found[0]
    assert reasons(steps, DutOrder(kind="board", boards=(SWITCHED,))) == []


def test_each_device_needs_a_board_and_boards_that_are_not_needed_rest() -> None:
    both = DutOrder(kind="board", boards=(CAM, SWITCHED))
    assert reasons("  - wake: yard\n", both) == []
    assert (
        "has 3 devices, --dut names 2 of them (cam-7, cam-8)"
        in reasons("  - wake: yard\n", both, "yard: {count: 3}")[0]
    )


def test_a_board_has_faults_of_its_line_and_none_of_its_inside() -> None:
    line = "  - {wake: yard, faults: [{who: yard, at: link, for: 30s, do: blackhole}]}\n"
    inside = "  - {wake: yard, faults: [{who: yard, at: device, do: card_full}]}\n"
    order = DutOrder(kind="board", boards=(CAM,))
    assert reasons(line, order) == []
    assert "card_full happens inside the camera, where only its own firmware could do it" in reasons(inside, order)[0]


def test_the_word_after_dut() -> None:
    assert kind_and_ids("board:cam-7, board:cam-8") == ("board", ("cam-7", "cam-8"))
    assert kind_and_ids("virtual") == ("virtual", ())
    for text in ("real", "board:", "virtual,simulated", "board:a,board:a", "board:a,virtual"):
        with pytest.raises(UsageError, match="--dut"):
            kind_and_ids(text)


def test_names_of_the_fail_list_are_those_of_the_language() -> None:
    from typing import get_args

    from harness.scenario_board_steps import FailName

    assert get_args(FailName) == NAMES


@pytest.mark.parametrize(
    ("step", "blame"),
    [
        ("wake: yard", Blame.FIRMWARE),
        ("expect: {sleeping: yard}", Blame.FIRMWARE),
        ("expect: {message: {from: yard, topic: status}}", Blame.FIRMWARE),
        ("expect: {message: {to: yard, topic: cmd}}", Blame.SERVER),
        ("expect: {rows: {table: devices, count: 1}}", Blame.SERVER),
        ("send: {topic: a/b/c, text: x}", Blame.HARNESS),
        ("console: {who: yard, write: status}", Blame.FIRMWARE),
        ("migrate: {sql: DELETE FROM devices}", Blame.SERVER),
    ],
)
def test_a_step_points_at_somebody(step: str, blame: Blame) -> None:
    planned = plan_with(f"  - {step}\n").steps[0]
    assert blame_of(planned) is blame
    assert blame_of(planned, ConsoleError("gone", Blame.CABLE)) is Blame.CABLE
    assert blame_of(planned, None, {Blame.BOARD}) is Blame.BOARD


def test_a_check_of_rows_points_at_the_server() -> None:
    assert blame_of(None) is Blame.SERVER
