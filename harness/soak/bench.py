"""The embedded bench of a soak: at a quiet instant it can be parked, written down, and begun again in another process.

Parking happens in every run, whether or not the checkpoint is ever read: the servers stop and start, generators of the
network begin anew from the seed, the cameras' timers are set in one order. What follows is then the same in the run
that went on and in the one that was resumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from harness.bench.clock import ScenarioClock
from harness.bench.embedded import EmbeddedBench
from harness.bench.embedded_levers import LATENCY_US, ServerPlace
from harness.bench.postgres_cluster import SERVER, Cluster
from harness.dut.simulated import SimulatedDut
from harness.history import History
from harness.plan import Plan
from harness.soak.database_copy import copy_in, copy_out
from simulator.broker import Broker
from simulator.rng import Rng

QUIET_MS: Final = 5_000
"""No camera wakes within that time of a quiet instant; parking takes less."""

SILENCE_MS: Final = 1_000
"""After the servers have stopped: whatever is on a wire has arrived by then."""

_PATIENT: Final = "SET statement_timeout = '60s'"
"""The judge's own questions of a whole month, on a machine that does other things too; a scenario's SQL has 2 s."""

_LEFT_OPEN: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = $1"

_LOOKS_MAX: Final = 200

_WIRES: Final = frozenset(
    {
        "_changes",
        "_context",
        "_broker",
        "_deadline",
        "_history",
        "_links",
        "_tasks",
        "_wake_timer",
        "clock",
        "dialect",
        "link",
        "mishaps",
        "new_link",
        "planned",
        "profile",
        "traffic",
    }
)
"""Attributes of a device under test that belong to its bench; all others are its memory."""


@dataclass(slots=True)
class ParkedBench:
    """All that a bench is between two legs, but for its database and its stored bytes."""

    now_us: int
    leg: int
    broker: Broker
    duts: list[dict[str, Any]]
    incarnations: list[int]
    early: list[str]


READS_EVERY_US: Final = (20_000, 100_000, 500_000)
"""How often a server takes in what came, by day and server: the more load, the more of it stands in one batch."""


class SoakBench(EmbeddedBench):
    """`begun` with `rows` (a folder of `copy_out`): where another run was parked."""

    def __init__(
        self,
        plan: Plan,
        history: History,
        cluster: Cluster,
        database: str,
        template: str,
        folder: Path,
        *,
        begun: ParkedBench | None = None,
        rows: Path | None = None,
    ) -> None:
        super().__init__(plan, history, cluster, database, template, folder)
        self.clock = ScenarioClock(plan.start_ms, zero_s=0.0)
        self._begun = begun
        self._rows = rows
        self._leg = 0
        self._may_others_start = False
        self._copying = ThreadPoolExecutor(1, "soak-copying")  # asyncpg keeps what each thread's rows were made of
        self.connections_left = 0
        """Most that a stopped server has left open to its database."""

        self.objects.mkdir(parents=True, exist_ok=True)
        if begun is not None:
            self._broker.broker = begun.broker
            self.early.extend(begun.early)
            for server, incarnation in zip(self._servers, begun.incarnations, strict=True):
                server.incarnation = incarnation
            self._begin_leg(begun.leg)

    async def start(self) -> None:
        """As any embedded bench; and every camera has a line that faults can strike."""
        await super().start()
        self._may_others_start = True
        await self.reader.execute(_PATIENT)
        self._give_lines()

    async def _boot(self, server: ServerPlace) -> None:
        """One server serves; another one joins it when the nemesis says so."""
        if server.number == 0 or self._may_others_start:
            await super()._boot(server)

    async def _stop_gracefully(self, server: ServerPlace) -> None:
        """Who takes a second server away takes its session away too: nothing waits there for its return."""
        await super()._stop_gracefully(server)
        if server.number:
            self._broker.apply(self._broker.broker.lose_sessions(server.client_id))

    async def fill(self) -> None:
        """The rows of the checkpoint, else of a new fleet."""
        if self._rows is None:
            await super().fill()
        else:
            self._copied(copy_in(self._cluster, self._database, self._rows))

    def recall(self) -> None:
        """The cameras remember what they were when parked. Call it once all of them are there."""
        if self._begun is None:
            return
        for dut, memory in zip(self.duts, self._begun.duts, strict=True):
            for name, value in memory.items():
                setattr(dut, name, value)
            dut.follow_firmware()
        self._set_timers()
        self._begun = None

    async def stop(self) -> None:
        """As any embedded bench."""
        await super().stop()
        self._copying.shutdown()

    def forget_crashed(self) -> None:
        """What crashed servers left in memory goes, and what nobody waits for any more."""
        self._loop.forget_buried()
        self._loop.forget_cancelled()

    # -- parking ---------------------------------------------------------------------------------------

    @property
    def is_quiet(self) -> bool:
        """Every camera sleeps for a while, and nothing is on its way to a server."""
        return self.is_quiet_for(QUIET_MS)

    def is_quiet_for(self, while_ms: int) -> bool:
        """As `is_quiet`, and no camera wakes within that time."""
        soon_ms = self.clock.now_ms() + while_ms
        return not self._is_under_way() and all(_sleeps_until(dut, soon_ms) for dut in self.duts)

    async def park(self) -> ParkedBench:
        """Stops the servers; returns what to write down. Call it at a quiet instant, `unpark` follows."""
        for dut in self.duts:
            dut.heal()
        for server in self._servers:
            if server.app is not None:
                await self._stop_gracefully(server)
        await self.pass_time(self.clock.now_ms() + SILENCE_MS)
        self._gate.passes.clear()  # those of incarnations that are gone would add up
        self.connections_left = max(self.connections_left, await self._left_open())
        self._begin_leg(self._leg + 1)
        return ParkedBench(
            now_us=self._loop.now_us,
            leg=self._leg,
            broker=self._broker.broker,
            duts=[_memory_of(dut) for dut in self.duts],
            incarnations=[server.incarnation for server in self._servers],
            early=list(self.early),
        )

    async def _left_open(self) -> int:
        """How many connections of stopped servers there are; a backend needs a moment of real time to end."""
        for _ in range(_LOOKS_MAX):
            left = int(await self.reader.fetchval(_LEFT_OPEN, SERVER))
            if not left:
                break
            await self.reader.execute("SELECT pg_sleep(0.005)")
        return left

    def write_rows(self, folder: Path) -> None:
        """The database as files."""
        self._copied(copy_out(self._cluster, self._database, folder))

    def _copied(self, work: Coroutine[Any, Any, None]) -> None:
        """Waits for it in real time, on a loop of its own."""
        self._copying.submit(asyncio.run, work).result()

    async def unpark(self) -> None:
        """Starts the servers; the cameras go on sleeping."""
        await self._boot(self._servers[0])
        self._give_lines()
        self._set_timers()

    def _give_lines(self) -> None:
        """New lines for the leg: nobody is connected, and nothing of the old ones is left."""
        for dut in self.duts:
            dut.mishaps.line = self._network.line_of(dut.planned.name, f"{self.plan.seed}/leg/{self._leg}")

    def _begin_leg(self, leg: int) -> None:
        self._leg = leg
        latency = Rng(f"{self.plan.seed}/network/{leg}")
        self._network.latency_us = lambda: latency.between(*LATENCY_US)
        for server in self._servers:
            reads_every_us = Rng(f"{self.plan.seed}/load/{leg}/{server.number}").choice(READS_EVERY_US)
            self._network.read_every(server.host, reads_every_us)

    def _set_timers(self) -> None:
        for dut in self.duts:
            if dut._wake_timer is not None:
                dut._wake_timer.cancel()
            if dut.next_wake_ms is not None:
                dut._wake_timer = self.clock.call_at(dut.next_wake_ms, partial(dut.wake, "timer"))


def _sleeps_until(dut: SimulatedDut, moment_ms: int) -> bool:
    if not dut.is_asleep or dut._tasks:
        return False
    return dut.next_wake_ms is None or dut.next_wake_ms > moment_ms


def _memory_of(dut: SimulatedDut) -> dict[str, Any]:
    return {name: value for name, value in vars(dut).items() if name not in _WIRES}
