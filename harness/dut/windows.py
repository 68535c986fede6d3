"""Faults of one device that last: when each begins, and when it is over.

A fault of the line is over after its `for`, else when the next wake begins; another one after its `for`, else at the
next step with faults. Heal ends them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from harness.bench.clock import ScenarioClock, Timer
from harness.dut.armed import ArmedFaults
from simulator.fault import Begin
from simulator.stream import StreamFault


class FaultyLine(Protocol):
    """The line between a device and the broker, as a bench makes it."""

    def begin(self, fault: StreamFault, *, once: bool = False) -> int:
        """The fault lasts from now on, or `once` until it has struck; its number."""
        ...

    def end(self, number: int) -> None:
        """It is over."""
        ...


class Befallen(Protocol):
    """Whose faults these are."""

    @property
    def clock(self) -> ScenarioClock: ...

    @property
    def faults(self) -> ArmedFaults: ...

    @property
    def wakes(self) -> int: ...

    def note(self, kind: Any, **fields: Any) -> None:
        """A record of the history."""
        ...


@dataclass(slots=True, eq=False)
class _Window:
    name: str
    undo: Callable[[], None]
    is_of_line: bool
    timer: Timer | None = None


Strike = Callable[[Any], Callable[[], None] | None]
"""Strikes a device with a fault that is none of its line; returns what undoes it, None where nothing does."""


class Windows:
    """What lasts with one device. `strike`: how it is struck otherwise than in its line; None where that can't be."""

    def __init__(self, owner: Befallen, line: FaultyLine | None, strike: Strike | None = None) -> None:
        self.line = line
        self._strike = strike
        self._befallen = owner
        self._windows: list[_Window] = []
        self._coming: list[Timer] = []

    def begin(self, begin: Begin) -> None:
        """It lasts from now on."""
        owner, fault = self._befallen, begin.fault
        owner.note("fault", action=begin.name, phase="begins")
        undo: Callable[[], None] | None
        if isinstance(fault, StreamFault):
            assert self.line is not None, "a bench gives every device with faults of its line a line"
            undo = partial(self.line.end, self.line.begin(fault, once=fault.strikes_once and begin.for_ms is None))
        else:
            assert self._strike is not None, "lint refuses faults inside a device that nothing can reach into"
            undo = self._strike(fault)
        if undo is None:
            return
        window = _Window(begin.name, undo, is_of_line=isinstance(fault, StreamFault))
        self._windows.append(window)
        if begin.for_ms is not None:
            window.timer = owner.clock.call_at(owner.clock.now_ms() + begin.for_ms, lambda: self._end(window))

    def _end(self, window: _Window) -> None:
        if window in self._windows:
            self._windows.remove(window)
            if window.timer is not None:
                window.timer.cancel()
            self._befallen.note("fault", action=window.name, phase="ends")
            window.undo()

    def new_wake(self) -> None:
        """A wake begins: the line is well again, and the faults of this wake come."""
        owner = self._befallen
        for window in [window for window in self._windows if window.is_of_line and window.timer is None]:
            self._end(window)
        for from_ms, begin in owner.faults.lasting_for(owner.wakes):
            if from_ms == 0 and isinstance(begin.fault, StreamFault):
                self.begin(begin)
            else:  # what may end this wake strikes once the device has done what the wake told it
                at_ms = owner.clock.now_ms() + from_ms
                self._coming.append(owner.clock.call_at(at_ms, partial(self.begin, begin)))

    def heal(self) -> None:
        """Nothing lasts any more, and nothing comes."""
        for timer in self._coming:
            timer.cancel()
        self._coming.clear()
        for window in list(self._windows):
            self._end(window)
