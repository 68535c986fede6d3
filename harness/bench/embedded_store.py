"""The object store of the embedded bench: a folder, through a door that faults can shut or slow down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from server.app import ObjectStore, StoreFailed
from simulator.levers import Operation

T = TypeVar("T")


class EmbeddedStore:
    """See `StoreLevers`; servers get their doors by `door`."""

    def __init__(self, note: Callable[[str, str], None]) -> None:
        self._note = note
        self._failing: tuple[Operation, ...] = ()
        self._reason = ""
        self._late_s = 0.0

    def door(self, url: str, offload: Any) -> ObjectStore:
        """A server's way to the store."""
        return _Door(self, url, offload)

    async def let_through(self, what: str) -> None:
        """An operation, such as `put originals/...`; raises StoreFailed where it fails now."""
        if self._late_s:
            await asyncio.sleep(self._late_s)
        if what.partition(" ")[0] in self._failing:
            raise StoreFailed(f"{what}: {self._reason}")

    async def fail(self, operations: Sequence[Operation], reason: str) -> None:
        self._note("store", f"fails {', '.join(operations)}")
        self._failing, self._reason = tuple(operations), reason

    async def slow_down(self, by_ms: int) -> None:
        self._note("store", "slow")
        self._late_s = by_ms / 1000

    async def heal(self) -> None:
        if self._failing or self._late_s:
            self._note("store", "healed")
        self._failing, self._late_s = (), 0.0


class _Door(ObjectStore):
    def __init__(self, store: EmbeddedStore, url: str, offload: Any) -> None:
        super().__init__(url, offload)
        self._of = store

    async def _call(self, what: str, work: Callable[[], T]) -> T:
        await self._of.let_through(what)
        return await super()._call(what, work)
