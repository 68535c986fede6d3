"""Interleavings by a seed: every SQL statement and store call of several servers waits until the turnstile picks it.

One step goes at a time, and the next is picked when the last has come back or waits for a lock in PostgreSQL. So the
same seed gives the same order of steps, and a server can be killed between any two of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import asyncpg

from server.app import new_inline_offload
from simulator.rng import Rng

T = TypeVar("T")

_TURNS: Final = 40
"""Turns of the loop after which everything that can go on without a step has gone on."""

_LOOK_S: Final = 0.002
_WAITING: Final = "SELECT pid FROM pg_locks WHERE pid = ANY($1::int[]) AND NOT granted"
_ALIVE: Final = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1::int[])"


class Killed(BaseException):
    """The server died before this step."""


class Turnstile:
    """Picks steps by a seed. `steps` counts them; `kill(owner)` lets none of that owner pass any more."""

    def __init__(self, control: asyncpg.Connection[Any]) -> None:
        self.steps = 0
        self.before_step: Callable[[int], None] = lambda number: None
        self._rng = Rng("")
        self._control = control
        self._parked: list[tuple[asyncio.Future[None], str]] = []
        self._in_flight: dict[int, int] = {}
        self._dead: set[str] = set()
        self._backends: dict[str, set[int]] = {}
        self._is_open = True
        self._came_back = asyncio.Event()

    def begin(self, seed: str) -> None:
        """A new count of steps, picked by this seed; owners that died live again."""
        self._rng, self.steps = Rng(seed), 0
        self._dead.clear()

    @contextlib.contextmanager
    def closed(self) -> Any:
        """From here on steps wait to be picked; outside they pass at once."""
        self._is_open = False
        try:
            yield
        finally:
            self._is_open = True

    def kill(self, owner: str) -> None:
        """That server does nothing any more."""
        self._dead.add(owner)
        parked, self._parked = self._parked, [entry for entry in self._parked if entry[1] != owner]
        for turn, whose in parked:
            if whose == owner and not turn.done():
                turn.set_exception(Killed())

    async def wait_gone(self, owner: str) -> None:
        """Returns when the backends of a killed server are gone, and with them what it had begun."""
        backends = list(self._backends.pop(owner, ()))
        while await self._control.fetchval(_ALIVE, backends):
            await asyncio.sleep(_LOOK_S)

    async def step(self, owner: str, pid: int, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The work, when its turn has come; `pid` is the backend that does it, 0 without one."""
        if owner in self._dead:
            raise Killed
        if pid:
            self._backends.setdefault(owner, set()).add(pid)
        if not self._is_open:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._parked.append((turn, owner))
            await turn
        number = self.steps
        self._in_flight[number] = pid
        try:
            return await work()
        finally:
            del self._in_flight[number]
            self._came_back.set()

    async def drive(self, actors: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
        """Runs the actors to their ends, step by step; their results, or what they raised."""
        with self.closed():
            tasks = [asyncio.create_task(actor) for actor in actors]
            while not all(task.done() for task in tasks):
                await self._settle()
                if self._parked:
                    turn, _ = self._parked.pop(self._rng.between(0, len(self._parked) - 1))
                    self.before_step(self.steps)
                    if not turn.done():
                        self.steps += 1
                        turn.set_result(None)
            return await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self) -> None:
        """Returns when whatever is under way has come to its next step, its end, or a lock."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        while self._in_flight:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._came_back.wait()
            self._came_back.clear()
            pids = [pid for pid in self._in_flight.values() if pid]
            waiting = {row["pid"] for row in await self._control.fetch(_WAITING, pids)} if pids else set()
            if self._in_flight and all(pid in waiting for pid in self._in_flight.values()):
                return
        for _ in range(_TURNS):
            await asyncio.sleep(0)


class SteppedPool:
    """A pool whose every statement is a step."""

    def __init__(self, pool: asyncpg.Pool[Any], turnstile: Turnstile, owner: str) -> None:
        self._pool = pool
        self._turnstile = turnstile
        self._owner = owner

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        """A connection for the length of an `async with`."""
        connection = await self._pool.acquire()
        try:
            yield _SteppedConnection(connection, self._turnstile, self._owner)
        finally:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self._pool.release(connection)


class _SteppedConnection:
    def __init__(self, connection: Any, turnstile: Turnstile, owner: str) -> None:
        self._connection = connection
        self._turnstile = turnstile
        self._owner = owner

    async def _step(self, method: str, arguments: tuple[Any, ...]) -> Any:
        pid = self._connection.get_server_pid()
        return await self._turnstile.step(self._owner, pid, lambda: getattr(self._connection, method)(*arguments))

    async def execute(self, *arguments: Any) -> Any:
        return await self._step("execute", arguments)

    async def executemany(self, *arguments: Any) -> Any:
        return await self._step("executemany", arguments)

    async def fetch(self, *arguments: Any) -> Any:
        return await self._step("fetch", arguments)

    async def fetchmany(self, *arguments: Any) -> Any:
        return await self._step("fetchmany", arguments)

    async def fetchrow(self, *arguments: Any) -> Any:
        return await self._step("fetchrow", arguments)

    async def fetchval(self, *arguments: Any) -> Any:
        return await self._step("fetchval", arguments)

    def terminate(self) -> None:
        self._connection.terminate()


class SteppedOffload:
    """Every call of the object store is a step; pictures are worked on in place."""

    def __init__(self, turnstile: Turnstile, owner: str) -> None:
        self._inline = new_inline_offload()
        self._turnstile = turnstile
        self._owner = owner
        self.isolated = self._inline.isolated
        self.decode_flaw = self._inline.decode_flaw

    async def call(self, function: Callable[[], T]) -> T:
        """The result of a store's call, when its turn has come."""
        return await self._turnstile.step(self._owner, 0, lambda: self._inline.call(function))

    def close(self) -> None:
        """Nothing to let go of."""
