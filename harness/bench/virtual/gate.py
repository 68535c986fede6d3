"""One transaction at a time, in the order they were asked for: a gate in the bench, not in the product."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from harness.bench.virtual.incarnation import current_incarnation
from harness.errors import InternalError

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

_in_callback: Final[ContextVar[bool]] = ContextVar("in_callback", default=False)


class GateError(InternalError):
    """The gate would wait for itself: one task wants a second transaction inside its first."""


class Gate:
    """A first-come, first-served lock; `on_commit` runs after each holder that ended well, before the next one."""

    def __init__(self) -> None:
        self.on_commit: list[Callable[[], Awaitable[None]]] = []
        self.on_pass: list[Callable[[], None]] = []
        self.passed = 0
        self.passes: dict[str | None, int] = {}
        self._waiting: deque[tuple[asyncio.Future[None], str | None]] = deque()
        self._held_by: tuple[asyncio.Task[Any] | None, str | None] | None = None
        self._context = contextvars.copy_context()
        self._interposed: set[asyncio.Task[None]] = set()

    @property
    def is_held(self) -> bool:
        """Whether a transaction is under way."""
        return self._held_by is not None

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Waits for its turn; GateError if the task holds the gate already or runs inside `on_commit`."""
        task, tag = asyncio.current_task(), current_incarnation.get()
        if _in_callback.get():
            raise GateError("a callback of on_commit must use a connection that is not gated")
        if self._held_by is not None:
            if self._held_by[0] is task:
                raise GateError()
            await self._queue(tag)
        holder = (task, tag)
        self._held_by = holder
        try:
            yield
            if self.on_commit:
                await self._run_callbacks()
            self.passed += 1
            for told in self.on_pass:
                told()
            self.passes[tag] = self.passes.get(tag, 0) + 1
        finally:
            if self._held_by is holder:
                self._next()

    def is_held_by(self, tag: str) -> bool:
        """Whether a transaction of this incarnation is under way."""
        return self._held_by is not None and self._held_by[1] == tag

    def interpose(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` in the gate before any transaction that is asked for from now on."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        if self._held_by is None:
            self._held_by = (None, None)
            turn.set_result(None)
        else:
            self._waiting.append((turn, None))

        async def body() -> None:
            await turn
            try:
                await work()
            finally:
                self._next()

        task = loop.create_task(body(), name="gate.interpose", context=self._context.copy())
        self._interposed.add(task)
        task.add_done_callback(self._interposed.discard)

    async def _queue(self, tag: str | None) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (turn, tag)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            elif turn.done() and not turn.cancelled():
                self._next()
            raise

    def _next(self) -> None:
        while self._waiting:
            turn, tag = self._waiting.popleft()
            if not turn.done():
                self._held_by = (None, tag)
                turn.set_result(None)
                return
        self._held_by = None

    async def _run_callbacks(self) -> None:
        """In the gate's own context: what they start belongs to the bench and outlives the holder."""

        async def body() -> None:
            _in_callback.set(True)
            for callback in list(self.on_commit):
                await callback()

        context = self._context.copy()
        await asyncio.get_running_loop().create_task(body(), name="gate.on_commit", context=context)

    def forget(self, tag: str) -> None:
        """The incarnation has crashed and its backends are gone: it neither waits nor holds any more."""
        self._waiting = deque(entry for entry in self._waiting if entry[1] != tag)
        if self._held_by is not None and self._held_by[1] == tag:
            self._next()


class GatedPool:
    """A pool whose connections are used one at a time."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], gate: Gate) -> None:
        self.pool = pool
        self.gate = gate

    @asynccontextmanager
    async def acquire(self, *, timeout: float | None = None) -> AsyncIterator[PoolConnectionProxy[asyncpg.Record]]:
        """A connection of the pool while holding the gate; on_commit runs if the block ends well."""
        async with self.gate.hold(), self.pool.acquire(timeout=timeout) as connection:
            yield connection

    async def close(self) -> None:
        """Closes the pool."""
        await self.pool.close()

    def terminate(self) -> None:
        """Drops all connections at once."""
        self.pool.terminate()
