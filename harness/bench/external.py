"""The external bench: broker, server and database are somebody else's; wakestorm brings cameras, faults, judgement.

Time is real and nobody's clock can be moved: cameras that would sleep longer than the target's `time.wait_max` are
woken at once instead. What a target does not allow was refused before (`harness.target_fit`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from harness.bench import HttpAnswer
from harness.bench.clock import Changes, ScenarioClock, stirred
from harness.bench.external_database import (
    READER_SETTINGS,
    WRITER_SETTINGS,
    MappedConnection,
    connect,
    register,
)
from harness.bench.external_links import TargetTap, TopicNames, links_to
from harness.bench.messages import message_fields
from harness.dut.simulated import SimulatedDut, profile_of
from harness.errors import BenchUnavailable, InternalError
from harness.history import History
from harness.plan import Plan
from harness.plan_steps import ActOn, HttpExchange
from harness.target_view import TargetSeen
from server.wire.codec import dialect_called
from simulator.proxy import FaultProxy
from simulator.rng import Rng
from simulator.sites import FleetPlaces

LOOK_EVERY_S: Final = 0.2
LOOK_AT_MOST_EVERY_S: Final = 0.02
SETTLES_MAX: Final = 10
"""While cameras talk on and on, a look waits so many times `time.settle` and no longer."""


def stored_file(folder: Path | None, key: str) -> bytes | None:
    """The bytes of that key below a target's `store.folder`; None where there are none."""
    if folder is None:
        return None
    path = Path(folder, key.lstrip("/")).resolve()
    return path.read_bytes() if path.is_relative_to(folder.resolve()) and path.is_file() else None


class TheirSchema:
    """The target's schema stays as it is."""

    is_newest = True


class ExternalBench:
    """One scenario's cameras before a target; runs on a usual asyncio loop, in real time."""

    kind = "external"

    def __init__(self, plan: Plan, history: History, seen: TargetSeen) -> None:
        self.plan = plan
        self.history = history
        self.seen = seen
        self.target = seen.target
        self.clock = ScenarioClock(plan.start_ms)
        self.changes = Changes()
        self.duts: list[Any] = []
        self.schema = TheirSchema()
        self.early: list[str] = []
        self.kept: dict[str, str] = {}
        self.on_commit: list[Callable[[], Awaitable[None]]] = []
        self._names = {device.mac: device.name for device in plan.devices}
        self._looking = asyncio.Lock()
        self._stirred = asyncio.Event()
        self._heard_s = 0.0
        self._looker: asyncio.Task[None] | None = None
        self._ends = AsyncExitStack()

    # -- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect to database and broker, make the cameras. Leaves nothing open where it fails."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self.history.append(self.clock.elapsed_ms(), "info", "runner", target=self.target.name)
        devices = {device.mac: device.device_id for device in self.plan.devices}
        database, tables = self.target.database, self.seen.tables
        reader = await connect(self.target, database.reader, "database.reader", READER_SETTINGS)
        self._ends.callback(reader.terminate)
        self.reader = self.owner = MappedConnection(reader, tables, devices)
        if database.writer is not None:
            writer = await connect(self.target, database.writer, "database.writer", WRITER_SETTINGS)
            self._ends.callback(writer.terminate)
            self.owner = MappedConnection(writer, tables, devices)
            if self.target.devices.registered_by == "writer" and devices:
                await register(writer, tables, list(devices))
        families = {device.mac: dialect_called(profile_of(device).dialect).family for device in self.plan.devices}
        names = TopicNames(self.target.topics, families)
        self.tap = TargetTap(self.target, names, next(iter(devices), "nobody"), self._message)
        self._ends.push_async_callback(self.tap.close)
        if devices:
            await self.tap.connect()
        places = FleetPlaces(seed=self.plan.seed)
        for planned in self.plan.devices:
            line = await self._line_of(planned.number, planned.name)
            dut = SimulatedDut(
                planned,
                seed=self.plan.seed,
                location=places.place(planned.group, planned.index).location,
                clock=self.clock,
                changes=self.changes,
                history=self.history,
                links=links_to(self.target, names),
                broker=self.target.broker.address if line is None else line.address,
                line=line,
            )
            dut.wake_limit_ms = self.target.time.wake_max
            self.duts.append(dut)
            self._ends.push_async_callback(dut.close)
        self._looker = asyncio.get_running_loop().create_task(self._look_often())
        self._ends.push_async_callback(self._stop_looking)

    async def _line_of(self, number: int, name: str) -> FaultProxy | None:
        """A proxy before the broker for a camera whose line will be struck."""
        if number not in self.plan.devices_with_line_faults:
            return None
        proxy = FaultProxy(self.target.broker.address, Rng(f"{self.plan.seed}/line/{name}"))
        await proxy.start()
        self._ends.push_async_callback(proxy.stop)
        return proxy

    async def stop(self) -> None:
        """Cameras and connections go; rows are left to the run, which deletes them all at its end."""
        await self._ends.aclose()

    # -- events ----------------------------------------------------------------------------------------

    def _message(self, topic: str, payload: bytes) -> None:
        who, fields = message_fields(topic, payload, self._names)
        self.history.append(self.clock.elapsed_ms(), "message", who, **fields)
        self._heard_s = asyncio.get_running_loop().time()
        self._stirred.set()
        self.changes.notify()

    async def _look_often(self) -> None:
        while True:
            await stirred(self._stirred, not_before_s=LOOK_AT_MOST_EVERY_S, at_last_s=LOOK_EVERY_S)
            async with self._looking:
                for callback in list(self.on_commit):
                    await callback()
            self.changes.notify()

    async def _stop_looking(self) -> None:
        if self._looker is not None:
            self._looker.cancel()
            await asyncio.gather(self._looker, return_exceptions=True)

    # -- time ------------------------------------------------------------------------------------------

    async def pass_time(self, until_ms: int) -> None:
        """Wait, where that is short; else the cameras whose next wake is due by then wake now."""
        if until_ms - self.clock.now_ms() > self.target.time.wait_max:
            for dut in self.duts:
                if dut.next_wake_ms is not None and dut.next_wake_ms <= until_ms:
                    dut.wake("timer")
            return
        there = asyncio.Event()
        timer = self.clock.call_at(until_ms, there.set)
        try:
            await there.wait()
        finally:
            timer.cancel()

    async def finish_sessions(self) -> None:
        """Whether the server notices the end of a session is for a check to see."""
        await self.settle()

    async def settle(self) -> None:
        """Returns once nothing was said for `time.settle`. Raises what a look raised, BenchUnavailable."""
        loop = asyncio.get_running_loop()
        quiet_s = self.target.time.settle / 1000
        since_s = loop.time()
        while (left_s := max(self._heard_s, since_s) + quiet_s - loop.time()) > 0:
            if loop.time() - since_s > SETTLES_MAX * quiet_s:
                break
            await asyncio.sleep(left_s)
        if self.tap.lost:
            raise BenchUnavailable(f"the target's broker ended the connection that sees the messages: {self.tap.lost}")
        if self._looker is not None and self._looker.done():
            self._looker.result()

    # -- seen and done by the runner -------------------------------------------------------------------

    def exclusive(self) -> Any:
        """Nobody else asks the reader; the server goes on."""
        return self._looking

    async def act(self, step: ActOn) -> None:
        """The target is not wakestorm's to strike; plans that want it are refused before."""
        raise InternalError(f"{step.target}: {step.do} came to the external bench")

    async def heal(self) -> None:
        """Nothing was struck but cameras and their lines."""

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """A raw message from a client of its own."""
        await self.tap.publish(topic, payload, qos=qos, retain=retain)

    async def http(self, exchange: HttpExchange) -> HttpAnswer:
        """The target's HTTP API is not known; plans that want it are refused before."""
        raise InternalError(f"{exchange.method} {exchange.path} came to the external bench")

    def stored_bytes(self, key: str) -> bytes | None:
        """The file of that key below `store.folder`."""
        return stored_file(self.target.store.folder, key)

    def server_failures(self) -> Sequence[str]:
        """Nobody tells."""
        return ()
