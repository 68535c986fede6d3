"""A runner whose steps come one by one from another process, which looks at what came of each before it asks for more.

In the embedded bench no scenario time passes while it waits; in the others time is real, and the cameras live on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from harness.bench import Bench
from harness.jobs import AskRows, Done, DoStep, NoMoreSteps, Rows
from harness.observe import ObservationFailed
from harness.plan_steps import Expect
from harness.runner import Runner, Watch


class StepwiseRunner(Runner):
    """Raises EOFError where the other side hangs up: nobody is there for whom to judge."""

    def __init__(self, connection: Connection, bench: Bench) -> None:
        super().__init__(bench)
        self._connection = connection

    async def _steps(self) -> None:
        told = 0
        while True:
            match await self._asked():
                case DoStep(plan=plan):
                    self._watch_more(plan.watches[len(self.plan.watches) :])
                    has_more = len(plan.steps) > len(self.plan.steps)  # an `always` is watched, and no step
                    self.plan = self.bench.plan = plan
                    if has_more:
                        await self._try(len(plan.steps) - 1, plan.steps[-1])
                    self._connection.send(Done(tuple(self.failures[told:]), self.bench.clock.elapsed_ms()))
                    told = len(self.failures)
                case AskRows(sql=sql):
                    self._connection.send(await self._rows(sql))
                case NoMoreSteps():
                    return

    def _watch_more(self, expects: Sequence[Expect]) -> None:
        """`always` and `never` hold from here on, for what has happened before too."""
        self._watches += [Watch(-1, expect, -1, None) for expect in expects]
        if expects and self._look_after_commit not in self.bench.on_commit:
            self.bench.on_commit.append(self._look_after_commit)

    async def _asked(self) -> Any:
        if self.bench.kind == "embedded":
            return self._connection.recv()  # the loop stands still, and its clock with it
        return await asyncio.get_running_loop().run_in_executor(None, self._connection.recv)

    async def _rows(self, sql: str) -> Rows:
        await self.bench.settle()
        try:
            async with self.bench.exclusive():
                return Rows(rows=tuple(dict(row) for row in await self._observer.select(sql)))
        except ObservationFailed as error:
            return Rows(trouble=str(error))
