"""Deadlines of a fleet: each in its order and never before its time, on one timer of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from simulator.fleet_timers import Deadlines


class Clock:
    """A loop as far as deadlines know one: a time, and one timer that the test lets go off."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now_s

    def call_at(self, at_s: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self, at_s, callback))
        return self.timers[-1]

    def run(self) -> None:
        while self.timers:
            timer = min(self.timers, key=lambda timer: timer.at_s)
            self.timers.remove(timer)
            self.now_s = max(self.now_s, timer.at_s)
            timer.callback()


class Timer:
    def __init__(self, clock: Clock, at_s: float, callback: Callable[[], None]) -> None:
        self.clock, self.at_s, self.callback = clock, at_s, callback

    def cancel(self) -> None:
        self.clock.timers.remove(self)


def deadlines_on(clock: Clock) -> Deadlines:
    return Deadlines(clock)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans())))
def test_each_is_called_at_its_time_and_the_cancelled_are_not(wanted: list[tuple[int, bool]]) -> None:
    clock = Clock()
    deadlines = deadlines_on(clock)
    called: list[tuple[int, float]] = []

    def note(at_s: int) -> Callable[[], None]:
        return lambda: called.append((at_s, clock.now_s))

    made = [deadlines.call_at(at_s, note(at_s)) for at_s, _ in wanted]
    assert len(clock.timers) == min(len(wanted), 1)
    for deadline, (_, is_cancelled) in zip(made, wanted, strict=True):
        if is_cancelled:
            deadline.cancel()
    clock.run()
    left = sorted(at_s for at_s, is_cancelled in wanted if not is_cancelled)
    assert called == [(at_s, float(at_s)) for at_s in left]


def test_one_that_is_made_in_a_callback_comes_too() -> None:
    clock = Clock()
    deadlines = deadlines_on(clock)
    called: list[float] = []
    deadlines.call_at(1.0, lambda: deadlines.call_at(2.0, lambda: called.append(clock.now_s)) and None)
    clock.run()
    assert called == [2.0]


def test_they_run_on_a_real_loop() -> None:
    async def body() -> list[str]:
        loop = asyncio.get_running_loop()
        deadlines, called, over = Deadlines(loop), [], asyncio.Event()
        deadlines.call_at(loop.time() + 0.02, over.set)
        deadlines.call_at(loop.time(), lambda: called.append("first"))
        await asyncio.wait_for(over.wait(), 10)
        return called

    assert asyncio.run(body()) == ["first"]
