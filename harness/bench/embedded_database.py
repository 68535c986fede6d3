"""The levers of the embedded bench on its database, one of a cluster that other scenarios use at the same time.

So only what belongs to this scenario is touched: its backends, its connections on the way, the rights to connect to
its database. Everything happens at an instant at which PostgreSQL owes no answer, so that histories repeat.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from harness.bench.postgres_cluster import SERVER, Cluster, quoted
from harness.bench.refused_writes import ALLOWED_WRITES, refused_writes
from harness.bench.virtual.gate import Gate
from harness.bench.virtual.loop import VirtualLoop
from harness.bench.virtual.meter import MeteredProtocol
from harness.bench.virtual.request_points import RequestPoints, Strike

if TYPE_CHECKING:
    import asyncpg

INSTANT_S: Final = 1e-6
"""The clock moves on only when PostgreSQL has answered everything."""

_PIDS: Final = "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND usename = $2"
_TERMINATE: Final = "SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) pid"
_LEFT: Final = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1::int[])"
_READ_ONLY: Final = "ALTER ROLE {role} IN DATABASE {database} SET default_transaction_read_only = on"
_WRITABLE: Final = "ALTER ROLE {role} IN DATABASE {database} RESET default_transaction_read_only"


class EmbeddedDatabase:
    """See `DatabaseLevers`. `owner` gives the bench's connection as the owner of the schema."""

    def __init__(
        self,
        loop: VirtualLoop,
        gate: Gate,
        cluster: Cluster,
        database: str,
        *,
        owner: Callable[[], asyncpg.Connection],
        crash_host: Callable[[str], Awaitable[None]],
        note: Callable[[str, str], None],
    ) -> None:
        self.points = RequestPoints(loop, self._strike, self._note_strike)
        self.is_paused = False
        self._is_down = False
        self._most_connections: int | None = None
        self._loop = loop
        self._gate = gate
        self._cluster = cluster
        self._database = database
        self._owner = owner
        self._crash_host = crash_host
        self._note = note
        loop.on_postgres = self._connected
        loop.at_the_door = self._let_in

    # -- its connections -------------------------------------------------------------------------------

    def _let_in(self, tag: str | None) -> None:
        if self._is_down and tag is not None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "PostgreSQL is down")

    def _connected(self, connection: MeteredProtocol) -> None:
        if connection.tag is not None:
            connection.points = self.points
            if self.is_paused:
                connection.freeze()

    def _connections(self) -> list[MeteredProtocol]:
        return [connection for connection in self._loop.postgres_connections() if connection.tag is not None]

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """No server's transaction goes on inside: in the gate, or while the database stands still."""
        if self.is_paused:
            yield
        else:
            async with self._gate.hold():
                yield

    async def _end_backends(self) -> None:
        """Returns when they are gone and their clients know: when an end is read would else depend on real time."""
        ending = self._connections()
        async with self._cluster.admin() as connection:
            rows = await connection.fetch(_PIDS, self._database, SERVER)
            await _terminate(connection, [row["pid"] for row in rows])
        with self._loop.real_io("ends of connections are read"):
            while any(connection in self._loop.postgres_connections() for connection in ending):
                await asyncio.sleep(0)

    # -- down, still, shut -----------------------------------------------------------------------------

    async def crash(self) -> None:
        await asyncio.sleep(INSTANT_S)
        self._note("database", "crash")
        self._is_down, self.is_paused = True, False
        for connection in self._connections():
            connection.reset()
        await self._end_backends()

    async def stop(self) -> None:
        async with self.exclusive():
            self._note("database", "stop")
            self._is_down = True
            await self._end_backends()

    async def start(self) -> None:
        if self._is_down:
            self._note("database", "start")
            self._is_down = False

    async def pause(self) -> None:
        await asyncio.sleep(INSTANT_S)
        self._note("database", "pause")
        self.is_paused = True
        for connection in self._connections():
            connection.freeze()

    async def resume(self) -> None:
        if self.is_paused:
            self._note("database", "resume")
            self.is_paused = False
            for connection in self._connections():
                connection.thaw()

    async def limit_connections(self, most: int | None) -> None:
        self._most_connections = most
        async with self._cluster.admin() as connection:
            limit = -1 if most is None else most
            await connection.execute(f"ALTER DATABASE {quoted(self._database)} CONNECTION LIMIT {limit}")

    async def kill_backends(self) -> None:
        async with self.exclusive():
            self._note("database", "kill_backends")
            await self._end_backends()

    # -- single requests ---------------------------------------------------------------------------------

    async def kill_backend_at(self, at: str, *, nth: int, times: int) -> None:
        self.points.armed.append(Strike(how="kill", at=at, nth=nth, times=times))

    async def lose_answer_at(self, at: str, *, nth: int, times: int) -> None:
        self.points.armed.append(Strike(how="lose_answer", at=at, nth=nth, times=times))

    async def fail_at(self, at: str, sqlstate: str, *, nth: int, times: int) -> None:
        self.points.armed.append(Strike(how="fail", at=at, nth=nth, times=times, sqlstate=sqlstate))

    def crash_server_at(self, host: str | None, at: str, *, nth: int) -> None:
        """The server that makes that request crashes before it has the answer."""
        self.points.armed.append(Strike(how="crash", at=at, nth=nth, server=host))

    async def disarm(self) -> None:
        self.points.armed.clear()

    def _note_strike(self, strike: Strike) -> None:
        self._note("database", f"{strike.how} at {strike.at}")

    async def _strike(self, strike: Strike, connection: MeteredProtocol) -> None:
        """The backend of the connection ends, or its server does; returns when it is gone."""
        self._note_strike(strike)
        if strike.how == "crash":
            await self._crash_host((connection.tag or "").partition("#")[0])
            return
        inner: Any = connection.inner
        async with self._cluster.admin() as admin:
            await _terminate(admin, [inner.get_server_pid()])
        connection.reset()

    # -- what it refuses ---------------------------------------------------------------------------------

    async def set_read_only(self, is_read_only: bool) -> None:
        sql = _READ_ONLY if is_read_only else _WRITABLE
        async with self._cluster.admin() as connection:
            await connection.execute(sql.format(role=SERVER, database=quoted(self._database)))

    async def refuse_writes(
        self, sqlstate: str, message: str, *, tables: Sequence[str] | None, times: int | None
    ) -> None:
        async with self.exclusive():
            self._note("database", f"refuses writes with {sqlstate}")
            await self._owner().execute(refused_writes(sqlstate, message, tables=tables, times=times))

    async def allow_writes(self) -> None:
        async with self.exclusive():
            await self._owner().execute(ALLOWED_WRITES)

    async def heal(self) -> None:
        """It answers everybody."""
        await self.start()
        await self.resume()
        await self.disarm()
        if self._most_connections is not None:
            await self.limit_connections(None)


async def _terminate(connection: asyncpg.Connection, pids: Sequence[int]) -> None:
    """Returns when these backends are gone; others may have come."""
    await connection.execute(_TERMINATE, pids)
    while await connection.fetchval(_LEFT, pids):
        await connection.execute("SELECT pg_sleep(0.001)")
