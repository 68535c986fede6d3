"""All shards of a fleet as processes of this machine. A shard that ends without its last word is lost, not repeated."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec

from harness.fleet.order import DECODER, FleetOrder, FleetState, Progress

LINE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Longest line of a shard: the captures of half a second."""

_LAUNCHER: Final = Path(__file__).parents[1] / "bench" / "die_with_parent.py"
_ROOT: Final = Path(__file__).parents[2]


class Shards(Protocol):
    """However shards are run. `run` returns when each has finished or is lost."""

    state: FleetState

    async def run(self) -> None:
        """From the first wake to the last word of the last shard."""

    def stop(self) -> None:
        """Nobody wakes any more; who is awake may finish."""


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
        async for line in process.stdout:
            said = DECODER.decode(line)
            self.state.hear(said)
            if isinstance(said, Progress) and self._on_progress is not None:
                self._on_progress(said)
        code = await process.wait()
        if order.part not in self.state.finished and order.part not in self.state.lost:
            self.state.lost[order.part] = f"its process ended with exit code {code} before it had finished"
