"""Kinds of devices under test, and what each can't do, with the reason, before anything starts. Pure.

`simulated` is a state machine in this process; `virtual` a virtual ESP32-S3 in a process of its own, flashed by
esptool; `board:<id>` whatever stands under that id in the inventory, known by its serial port alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from harness.errors import Mistake, ScenarioError, UsageError
from harness.plan import Plan
from harness.plan_steps import Advance, Flash, Place, PlannedDevice, PlannedFault, Power, Talk, Wake
from harness.scenario_faults import LINK_ACTIONS
from simulator.catalogue import rows

if TYPE_CHECKING:
    from harness.dut.inventory import BoardEntry

Kind = Literal["simulated", "virtual", "board"]

VIRTUAL_MAX: Final = 8
"""Boards of one scenario that run side by side on two cores without being late."""

GATE_FAULTS: Final = ("power_loss", "cut", "lose", "duplicate", "reorder", "corrupt", "delay")
"""What the gate between a board and its broker, and the power switch, can do to a board; its line is a fault proxy."""

BY_PROFILE: Final = "profile"
"""A firmware that is the one that each device's profile is named after."""

HANG_MS: Final = 600_000
"""The task watchdog of firmware that hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardOrder:
    """One board of the inventory, as far as a run has to know it."""

    id: str
    port: str
    mac: str
    entry: BoardEntry
    console_port: str = ""
    """Where it is not the port that flashes."""

    no_power: str = ""
    """Why its power can not be taken in a run; empty where it can."""

    no_reset: str = ""
    """Why it can not be reset."""

    firmware: str = ""
    """A build folder or version to flash first, or `profile`: the version of the device's profile; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DutOrder:
    """Which devices a run uses. `broker_listen`: where boards reach the bench; loopback unless said otherwise."""

    kind: Kind = "simulated"
    boards: tuple[BoardOrder, ...] = ()
    broker_listen: str = "127.0.0.1"

    @property
    def word(self) -> str:
        """As it is written after `--dut`."""
        return ",".join(f"board:{board.id}" for board in self.boards) if self.kind == "board" else self.kind

    @property
    def is_real_time(self) -> bool:
        """Devices that live in real time, outside this process."""
        return self.kind != "simulated"


def kind_and_ids(text: str) -> tuple[Kind, tuple[str, ...]]:
    """`virtual`, or `board:cam-7,board:cam-8`, as kind and ids. Raises UsageError."""
    words = [word.strip() for word in text.split(",")]
    if words == ["simulated"]:
        return "simulated", ()
    if words == ["virtual"]:
        return "virtual", ()
    ids = [word.removeprefix("board:") for word in words if word.startswith("board:")]
    if len(ids) != len(words) or not all(ids):
        raise UsageError(
            f"--dut {text}: no such kind of device", hint="simulated, virtual, or board:ID with an id of boards.yaml"
        )
    if len(set(ids)) != len(ids):
        raise UsageError(f"--dut {text}: a board is one device", hint="name each board once")
    return "board", tuple(ids)


def refuse_for_devices(plans: Sequence[Plan], order: DutOrder, bench: str) -> None:
    """Raises ScenarioError with everything in the plans that such devices can't do."""
    found = dict.fromkeys(mistake for plan in plans for mistake in refusals(plan, order, bench))
    if found:
        raise ScenarioError(found)


def refusals(plan: Plan, order: DutOrder, bench: str) -> list[Mistake]:
    """Everything of this plan that such devices can't do, each with its line and the reason."""
    return [
        Mistake(file=plan.path, line=place.line, path=place.path, reason=reason, hint=hint)
        for place, reason, hint in _refused(plan, order, bench)
    ]


_Refusal = tuple[Place, str, str]


def _refused(plan: Plan, order: DutOrder, bench: str) -> Iterator[_Refusal]:
    nowhere = Place(line=1, path="")
    if order.is_real_time and bench != "processes":
        yield nowhere, f"{order.word} devices live in real time, the embedded bench does not", "--bench processes"
    for step in plan.steps:
        match step:
            case Flash() | Talk() if order.kind == "simulated":
                what = "flash" if isinstance(step, Flash) else "serial console"
                yield step.place, f"a simulated camera has no {what}", "--dut virtual, or --dut board:ID"
            case Wake(faults=faults) | Advance(faults=faults) if order.is_real_time:
                yield from _faults(faults, order)
            case Power(do=do, devices=devices) if order.kind == "board":
                yield from _without_switch(order, step.place, devices, is_reset=do == "reset")
            case _:
                pass
    if order.is_real_time:
        yield from _misbehaviours(plan.devices, nowhere)
    if order.kind == "virtual":
        yield from _of_virtual(plan.devices, nowhere)
    if order.kind == "board":
        yield from _of_boards(plan.devices, order.boards, nowhere)


def _faults(faults: Sequence[PlannedFault], order: DutOrder) -> Iterator[_Refusal]:
    for fault in faults:
        if fault.action not in (*GATE_FAULTS, *LINK_ACTIONS):
            reason = f"{fault.action} happens inside the camera, where only its own firmware could do it"
            yield fault.place, reason, "--dut simulated"
        elif fault.action == "power_loss" and order.kind == "board":
            yield from _without_switch(order, fault.place, fault.devices, is_reset=False)


def _without_switch(order: DutOrder, place: Place, devices: Sequence[int], *, is_reset: bool) -> Iterator[_Refusal]:
    for number in devices:
        board = order.boards[number] if number < len(order.boards) else None
        if board is not None and (board.no_reset if is_reset else board.no_power):
            what = f"can not be reset: {board.no_reset}" if is_reset else f"has no power switch: {board.no_power}"
            hint = f"give boards.{board.id}.power in the inventory, or take --dut virtual"
            yield place, f"board {board.id} {what}", hint


def _misbehaviours(devices: Sequence[PlannedDevice], place: Place) -> Iterator[_Refusal]:
    """What a profile's name adds that no board can be told to do."""
    reasons = {row.sign.removeprefix("profile:"): row.not_board for row in rows() if row.sign.startswith("profile:")}
    found = dict.fromkeys((word, device.name) for device in devices for word in device.profile.split("+")[1:])
    for word, name in found:
        if reason := reasons.get(word):
            yield place, f"{name} has {word}, which {reason}", "--dut simulated"


def _of_virtual(devices: Sequence[PlannedDevice], place: Place) -> Iterator[_Refusal]:
    if len(devices) > VIRTUAL_MAX:
        yield place, f"{len(devices)} virtual boards, each a process in real time", f"at most {VIRTUAL_MAX}"
    for device in devices:
        if "hangs-after-error" in device.profile:
            yield place, f"{device.name} would hang for {HANG_MS // 60_000} minutes of real time", "--dut simulated"
            return


def _of_boards(devices: Sequence[PlannedDevice], boards: Sequence[BoardOrder], place: Place) -> Iterator[_Refusal]:
    if len(devices) > len(boards):
        named = ", ".join(board.id for board in boards)
        there = f"--dut names {len(boards)} of them ({named})" if len(boards) > 1 else f"--dut names only {named}"
        hint = f"--dut board:ID,board:ID with {len(devices)} boards"
        yield place, f"the scenario has {len(devices)} devices, {there}", hint
