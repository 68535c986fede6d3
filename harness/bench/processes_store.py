"""The object store of the processes bench: a real folder, which is moved aside to be away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import BenchUnavailable
from simulator.levers import OPERATIONS, Operation


class ProcessesStore:
    """See `StoreLevers`. A file stands where the folder was, so every operation of a real server fails for real."""

    def __init__(self, folder: Path, note: Callable[[str, str], None]) -> None:
        self._folder = folder
        self._aside = folder.with_name(folder.name + ".aside")
        self._note = note

    async def fail(self, operations: Sequence[Operation], reason: str) -> None:
        if tuple(operations) != OPERATIONS:
            raise BenchUnavailable(f"the processes bench can't make {', '.join(operations)} fail alone: {reason}")
        if not self._aside.exists():
            self._note("store", "away")
            self._folder.rename(self._aside)
            self._folder.write_bytes(b"")

    async def slow_down(self, by_ms: int) -> None:
        raise BenchUnavailable(f"the processes bench can't slow a folder down by {by_ms} ms")

    async def heal(self) -> None:
        if self._aside.exists():
            self._note("store", "back")
            self._folder.unlink()
            self._aside.rename(self._folder)
