"""All shards of a fleet as processes of this machine. A shard that ends without its last word is lost, not repeated."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from harness.fleet.order import DECODER, Failed, FleetOrder, FleetState, Progress, ShardSays

T = TypeVar("T")
LINE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Longest line of a shard: the captures of half a second."""

SILENT_S_MAX: Final = 120.0
"""A shard says where it is twice a second."""

ENDS_LATER_S_MAX: Final = 60.0
"""From a shard's own last deadline to its last word: its interpreter starts and ends, on a loaded machine too."""

_LAUNCHER: Final = Path(__file__).parents[1] / "bench" / "die_with_parent.py"
_ROOT: Final = Path(__file__).parents[2]


class Shards(Protocol):
    """However shards are run. `run` returns when each has finished or is lost."""

    state: FleetState

    async def run(self) -> None:
        """From the first wake to the last word of the last shard."""

    def stop(self) -> None:
        """Nobody wakes any more; who is awake may finish."""


class ShardStuck(Exception):
    """A shard that nobody waits for any longer."""


@asynccontextmanager
async def last_deadline(order: FleetOrder) -> AsyncIterator[None]:
    """Raises ShardStuck where the shard has not ended long after its own last deadline."""
    limit_s = order.ends_within_s + ENDS_LATER_S_MAX
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError:
        raise ShardStuck(f"it did not end within {limit_s:g} s") from None


async def heard_in_time(word: Awaitable[T]) -> T:
    """What a shard says next; raises ShardStuck where it is silent."""
    try:
        async with asyncio.timeout(SILENT_S_MAX):
            return await word
    except TimeoutError:
        raise ShardStuck(f"it said nothing for {SILENT_S_MAX:g} s") from None


class LocalShards:
    """One process for each order; `pids` by part, once they run. `on_progress` hears each shard twice a second."""

    def __init__(self, orders: list[FleetOrder], on_progress: Callable[[Progress], None] | None = None) -> None:
        self.state = FleetState(len(orders))
        self.pids: dict[int, int] = {}
        self._orders = orders
        self._on_progress = on_progress
        self._processes: list[asyncio.subprocess.Process] = []

    async def run(self) -> None:
        """Until all have finished; none outlives this call."""
        try:
            async with asyncio.TaskGroup() as group:
                for order in self._orders:
                    group.create_task(self._run_one(order))
        finally:
            for process in self._processes:
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()

    def stop(self) -> None:
        """Ask each to stop."""
        for process in self._processes:
            if process.stdin is not None and process.returncode is None:
                with suppress(OSError):
                    process.stdin.write(b"stop\n")

    def _hear(self, said: ShardSays) -> None:
        self.state.hear(said)
        if isinstance(said, Progress) and self._on_progress is not None:
            self._on_progress(said)

    async def _run_one(self, order: FleetOrder) -> None:
        path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-I", "-S", str(_LAUNCHER), str(os.getpid())),
            *(sys.executable, "-P", "-m", "harness.fleet.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
            limit=LINE_BYTES_MAX,
            start_new_session=True,  # a Ctrl-C in the terminal is the parent's to handle
        )
        self._processes.append(process)
        self.pids[order.part] = process.pid
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        try:
            async with last_deadline(order):
                while line := await heard_in_time(process.stdout.readline()):
                    self._hear(DECODER.decode(line))
        except ShardStuck as error:
            self.state.hear(Failed(part=order.part, reason=str(error)))
            process.kill()
        code = await process.wait()
        if order.part not in self.state.finished and order.part not in self.state.lost:
            self.state.lost[order.part] = f"its process ended with exit code {code} before it had finished"
