"""The faults of server, broker, database and store that stand in a bench: which struck, when each is healed.

A word that heals ends what it undoes: `start` what crashed or stopped, `resume` what was paused, `heal` everything
that was done to the target. At the end of a scenario all that still stands is healed, the newest first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from harness.bench.clock import ScenarioClock, Timer
from harness.plan_steps import ActOn
from simulator.levers import Fault, Levers
from simulator.step_faults import new_fault

_ENDED_BY: Final = {"start": ("crash", "stop"), "restart": ("crash", "stop", "pause"), "resume": ("pause",)}

_HEALED_IN: Final = ("database", "store", "broker", "server")
"""The order: a server needs the others to start."""


@dataclass(slots=True, eq=False)
class _Standing:
    """A fault that struck. `timer` heals it."""

    step: ActOn
    fault: Fault
    timer: Timer | None = None


class StandingFaults:
    """Acts on what steps say. `doing` wraps every act and heal; `on_failure` hears what a heal by time could not do."""

    def __init__(
        self,
        levers: Levers,
        clock: ScenarioClock,
        *,
        doing: Callable[[], AbstractContextManager[None]],
        on_failure: Callable[[str], None],
    ) -> None:
        self._levers = levers
        self._clock = clock
        self._doing = doing
        self._on_failure = on_failure
        self._standing: list[_Standing] = []
        self._healing: set[asyncio.Task[None]] = set()

    async def act(self, step: ActOn) -> None:
        """Strike, or end what the word ends; plan the heal."""
        with self._doing():
            where = {"which": step.which} if step.target == "server" else {}
            fault = new_fault(step.target, step.do, {**step.settings, **where})
            if fault is None:
                await self._end(step)
                return
            standing = _Standing(step, fault)
            if fault.lasts:
                self._standing.append(standing)
            await fault.strike(self._levers)
        if step.heal_after_ms is not None:
            at_ms = self._clock.now_ms() + step.heal_after_ms
            standing.timer = self._clock.call_at(at_ms, lambda: self._heal_later(standing))

    async def heal(self) -> None:
        """Everything that stands ends."""
        with self._doing():
            newest_first = reversed(self._standing)
            for standing in sorted(newest_first, key=lambda standing: _HEALED_IN.index(standing.step.target)):
                await self._heal_one(standing)

    async def stop(self) -> None:
        """Heals that are under way end here."""
        for task in self._healing:
            task.cancel()
        await asyncio.gather(*self._healing, return_exceptions=True)

    async def _end(self, step: ActOn) -> None:
        levers: Any = getattr(self._levers, step.target)
        which = (step.which,) if step.target == "server" else ()
        match step.do:
            case "start":
                await levers.start(*which)
            case "resume":
                await levers.resume(*which)
            case "restart":
                await levers.stop(*which)
                await levers.start(*which)
        for standing in reversed(list(self._standing)):
            is_there = standing.step.target == step.target and step.which in (None, standing.step.which)
            if is_there and step.do == "heal":
                await self._heal_one(standing)
            elif is_there and standing.step.do in _ENDED_BY.get(step.do, ()):
                self._drop(standing)

    async def _heal_one(self, standing: _Standing) -> None:
        if standing in self._standing:
            self._drop(standing)
            await standing.fault.heal(self._levers)

    def _drop(self, standing: _Standing) -> None:
        self._standing.remove(standing)
        if standing.timer is not None:
            standing.timer.cancel()

    def _heal_later(self, standing: _Standing) -> None:
        busy = self._doing()
        busy.__enter__()  # from now on, not from the task's first turn
        task = asyncio.get_running_loop().create_task(self._heal_one(standing))
        self._healing.add(task)

        def healed(task: asyncio.Task[None]) -> None:
            busy.__exit__(None, None, None)
            self._healing.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self._on_failure(f"heal of {standing.step.target}: {type(error).__name__}: {error}")

        task.add_done_callback(healed)
