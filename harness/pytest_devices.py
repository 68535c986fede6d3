"""What stands behind the pytest fixtures: boards with an open console, and a bench that plays scenarios."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from harness.blame import Blame, first_cause
from harness.dut.boards_of_run import LOOPBACK, duts_of, locked
from harness.dut.console import Console
from harness.dut.firmware_sets import firmware_folder
from harness.dut.flashing import After, FlashFailed, FlashOrder, FlashResult, flash, prove_flashed
from harness.dut.inventory import BoardEntry
from harness.dut.power import power_switch
from harness.dut.power_switch import SerialHands
from harness.dut.virtual import VirtualBoard
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.events import ScenarioEnded
    from harness.pytest_steps import SteppedBench
    from harness.run_one import BenchKind

FIRMWARE = "3.5.0"
FIRST_MAC: Final = 0x7CDFA1E0B0C5
"""Of the first virtual board; the others count on from it."""


class ScenarioFailed(AssertionError):
    """A scenario of `bench.run` did not pass; the text is its report."""

    def __init__(self, report: str, blame: Blame | None) -> None:
        super().__init__(report)
        self.blame = blame


class BoardFixture:
    """A board in a test: `console` (expect, write_line), `flash`, and what its switch can do.

    `port` is where esptool reaches it, `state` the folder of its wear ledger where that is not the user's own.
    """

    def __init__(
        self, name: str, console: Console, switch: Any, entry: BoardEntry, port: str, state: Path | None = None
    ) -> None:
        self.name = name
        self.console = console
        self.switch = switch
        self.has_failed = False
        self.since = 0
        """Bad lines of the console count from this byte on."""

        self._entry = entry
        self._port = port
        self._state = state

    def flash(self, firmware: str = FIRMWARE, *, force: bool = False) -> FlashResult:
        """Write a version that wakestorm builds, or a build folder; returns the plan and what came of it.

        A virtual board is dark afterwards, another one has been reset and has named the program. Raises FlashFailed.
        """
        order = FlashOrder(
            board_id=self.name,
            entry=self._entry,
            port=self._port,
            folder=firmware_folder(firmware),
            force=force,
            after=After.STAY,
            state_folder=self._state,
        )
        virtual = self.switch if isinstance(self.switch, VirtualBoard) else None
        with self.console.released():
            if virtual is not None:
                virtual.power_on()
                virtual.boot()
            result = flash(order)
            if virtual is not None:
                virtual.power_off()
        if virtual is None and result.trouble is None:
            self.console.transcript.bad_lines.clear()  # what was on it before is not judged
            prove_flashed(self.console, result)
        if result.trouble is not None:
            raise FlashFailed(result)
        return result

    def troubles(self) -> Iterator[Blame]:
        """What the console shows by itself: a port that is gone, a bad line."""
        if self.console.away_s is not None:
            yield Blame.CABLE
        bad = self.console.transcript.bad_since(self.since)
        if bad is not None:
            yield bad.kind.blame

    def allow(self, *names: str) -> None:
        """These lines of the fail list are meant to come."""
        self.console.transcript.allowed = (*self.console.transcript.allowed, *names)


@contextmanager
def opened_board(
    kind: str, inventory: Path, folder: Path, log: Path, *, name: str, place: int = 0
) -> Iterator[BoardFixture]:
    """A virtual board of its own, flashed and dark; or the one of the inventory, as it is, locked meanwhile.

    `place` tells virtual boards of one test apart.
    """
    order = duts_of(kind, inventory, LOOPBACK)
    if order.kind == "simulated":
        raise UsageError("--dut simulated: a simulated camera has no console", hint="virtual, or board:ID")
    if order.kind == "board":
        board = order.boards[0]
        baud = board.entry.console.baud
        with (
            locked(order, "pytest"),
            Console(board.console_port, name=board.id, baud=baud, log=log, wakes_line=True) as console,
        ):
            power = power_switch(board.id, board.entry.power, lambda held: console.hold_reset(held=held))
            hands = SerialHands(console, power)
            try:
                yield BoardFixture(board.id, console, hands, board.entry, board.port)
            finally:
                hands.leave()
        return
    virtual = VirtualBoard(name, f"{FIRST_MAC + place:012X}", folder)
    virtual.start()
    try:
        with Console(virtual.port, name=name, log=log, wakes_line=True) as console:
            entry = BoardEntry.model_validate({"kind": "virtual"})
            device = BoardFixture(name, console, virtual, entry, virtual.port, folder / "state")
            device.flash()
            console.transcript.skip()
            console.transcript.bad_lines.clear()  # a blank flash says so before it is written
            device.since = console.transcript.end
            yield device
    finally:
        virtual.stop()


def _skip_external(bench: BenchKind) -> None:
    if bench == "external":
        pytest.skip("the fixture `bench` plays on wakestorm's own server only; scenario files go before a target")


class BenchFixture:
    """Plays scenarios in a worker process on the PostgreSQL of this pytest run."""

    def __init__(self, kind: BenchKind, config: pytest.Config) -> None:
        self.kind = kind
        self._config = config

    def run(self, scenario: str | Path, *, dut: str = "simulated", seed: int | None = None) -> list[ScenarioEnded]:
        """Every case of a file, or of a scenario's text. Raises ScenarioFailed (an AssertionError) with what failed."""
        __tracebackhide__ = True
        from harness.dut.kinds import refuse_for_devices
        from harness.pytest_scenarios import player_of, report_lines
        from harness.verdict import Verdict

        plans = self._plans(scenario, seed)
        order = duts_of(dut, Path(self._config.getoption("--wakestorm-boards")), LOOPBACK)
        bench: BenchKind = "processes" if order.is_real_time else self.kind
        _skip_external(bench)
        refuse_for_devices(plans, order, bench)
        player = player_of(self._config, bench, order)
        with locked(order, "pytest"):
            ended = [player.play(plan) for plan in plans]
        wrong = [end.result for end in ended if end.result.verdict is not Verdict.PASS]
        if wrong:
            blames = {Blame(failure.blame) for result in wrong for failure in result.failures if failure.blame}
            report = "\n".join(line for result in wrong for line in report_lines(result))
            raise ScenarioFailed(report, first_cause(blames))
        return ended

    def open(self, scenario: Mapping[str, Any] | str, *, seed: int | None = None) -> SteppedBench:
        """A scenario without steps, whose steps come from Python: `with bench.open("devices: {yard: {}}") as yard`."""
        from harness.pytest_scenarios import player_of
        from harness.pytest_steps import SteppedBench

        _skip_external(self.kind)
        return SteppedBench(player_of(self._config, self.kind), self.kind, scenario, seed=seed)

    def _plans(self, scenario: str | Path, seed: int | None) -> list[Any]:
        from harness.loader import load_bytes
        from harness.plan import plans_of
        from harness.selection import Selection, plans_for

        if isinstance(scenario, str) and "\n" in scenario:
            digest = hashlib.sha256(scenario.encode()).hexdigest()[:8]  # a name of its own for each text
            return plans_of(load_bytes(scenario.encode(), Path(f"text-{digest}.yaml")), seed)
        return plans_for(Selection(paths=[str(scenario)], seed=seed))
