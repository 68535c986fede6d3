"""The same shards as actors of a Ray cluster, one core each: the door to Ray, imported only for `--ray`.

An actor that dies is a lost shard: Ray is told neither to start it again nor to repeat a call. Broker and database must
be reachable from every machine of the cluster.
"""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any, Final, TextIO, cast

import msgspec

from harness.errors import BenchUnavailable, UsageError
from harness.fleet.order import DECODER, Failed, FleetOrder, FleetState, ShardSays
from harness.fleet.shards import ShardStuck, heard_in_time, last_deadline
from harness.fleet.worker import files_allowed, run_shard

LOCAL: Final = "local"
POLL_EVERY_S: Final = 0.5
LOOPBACK_VARIABLE: Final = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Where it is 0, Ray listens on loopback on every system; read as it is imported. An address given to `init` is not
taken: Ray replaces 127.0.0.1 by one that others can reach."""


class _Nowhere(io.TextIOBase):
    """Ray prints to standard output, which is the report's, when an actor dies; the same is said as a lost shard."""

    def write(self, text: str) -> int:
        return len(text)


class ShardActor:
    """Runs in a process of the cluster: one shard in a thread with a loop of its own, what it says kept until asked."""

    def __init__(self, order: bytes) -> None:
        self._order = msgspec.json.decode(order, type=FleetOrder)
        self._said: list[bytes] = []
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        files_allowed()
        asyncio.run(self._shard())

    async def _shard(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            await run_shard(self._order, self._say, self._stop)
        except Exception as error:  # the driver has to hear of it, whatever it was
            self._say(Failed(part=self._order.part, reason=f"{type(error).__name__}: {error}"))

    def _say(self, said: ShardSays) -> None:
        with self._lock:
            self._said.append(msgspec.json.encode(said))

    def poll(self) -> list[bytes]:
        """What was said since the last time."""
        with self._lock:
            said, self._said = self._said, []
        return said

    def pid(self) -> int:
        """Of the process that the actor lives in."""
        return os.getpid()

    def stop(self) -> None:
        """Nobody wakes any more."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)


class RayShards:
    """See `Shards`. `on_started` hears the process ids by part."""

    def __init__(
        self, orders: list[FleetOrder], address: str, on_started: Callable[[dict[int, int]], None] | None = None
    ) -> None:
        self.state = FleetState(len(orders))
        self._orders = orders
        self._address = address
        self._on_started = on_started
        self._actors: dict[int, Any] = {}

    async def run(self) -> None:
        """Until all have finished; raises UsageError without the package, BenchUnavailable without a cluster."""
        if self._address == LOCAL:
            os.environ.setdefault(LOOPBACK_VARIABLE, "0")
        ray = _ray()
        loop = asyncio.get_running_loop()
        with redirect_stdout(cast("TextIO", _Nowhere())):
            await self._run_on(ray, loop)

    async def _run_on(self, ray: Any, loop: asyncio.AbstractEventLoop) -> None:
        try:
            await loop.run_in_executor(None, self._connect, ray)
            made = ray.remote(ShardActor).options(num_cpus=1, max_restarts=0, max_task_retries=0)
            self._actors = {order.part: made.remote(msgspec.json.encode(order)) for order in self._orders}
            async with asyncio.TaskGroup() as group:
                for order in self._orders:
                    group.create_task(self._follow(ray, order, self._actors[order.part]))
                if self._on_started is not None:
                    group.create_task(self._tell_pids(ray))
        finally:
            await loop.run_in_executor(None, ray.shutdown)

    def stop(self) -> None:
        """Ask each to stop."""
        for actor in self._actors.values():
            actor.stop.remote()

    def _connect(self, ray: Any) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self._address == LOCAL:
            options |= {"num_cpus": len(self._orders), "include_dashboard": False}
        else:
            options["address"] = self._address
        try:
            ray.init(**options)
        except Exception as error:  # whatever Ray raises: ConnectionError, RuntimeError, ValueError
            raise BenchUnavailable(f"--ray {self._address}: no Ray cluster: {error}") from error

    async def _follow(self, ray: Any, order: FleetOrder, actor: Any) -> None:
        part = order.part
        try:
            async with last_deadline(order):
                while part not in self.state.finished and part not in self.state.lost:
                    for said in await heard_in_time(actor.poll.remote()):
                        self.state.hear(DECODER.decode(said))
                    await asyncio.sleep(POLL_EVERY_S)
        except ShardStuck as error:
            self.state.hear(Failed(part=part, reason=str(error)))
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            self.state.lost[part] = f"its actor died: {reason}"

    async def _tell_pids(self, ray: Any) -> None:
        pids: dict[int, int] = {}
        for part, actor in self._actors.items():
            try:
                pids[part] = await actor.pid.remote()
            except ray.exceptions.RayError:
                continue  # `_follow` says so
        if self._on_started is not None:
            self._on_started(pids)


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise UsageError("--ray needs the package ray", hint="pip install 'wakestorm[ray]'") from None
    return ray
