"""The levers of the processes bench on PostgreSQL: signals to a cluster of its own, rights and triggers elsewhere.

A scenario that kills or freezes PostgreSQL, or loses the answer to a COMMIT, gets a cluster that nobody else uses
(`needs_own_cluster`). The others share one, where only this scenario's database is touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from harness.bench.postgres_cluster import SERVER, quoted
from harness.bench.refused_writes import ALLOWED_WRITES, refused_writes
from harness.errors import BenchUnavailable
from harness.plan import Plan
from harness.plan_steps import ActOn

if TYPE_CHECKING:
    from harness.bench.processes import ProcessesBench

OWN_CLUSTER: Final = frozenset({"crash", "pause", "lose_answer"})
"""What reaches further than one database."""

LOOK_EVERY_S: Final = 0.005
OWN_SETTINGS: Final = {"wal_level": "replica", "max_wal_senders": "2"}
"""So that a COMMIT can be made to wait, after it happened, for a standby that does not come."""

_TERMINATE: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = $2"
_LEFT: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = $2"
_TERMINATE_COMMITTED: Final = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = $1 AND usename = $2 AND wait_event = 'SyncRep'
"""
_WAIT_FOR_STANDBY: Final = "ALTER SYSTEM SET synchronous_standby_names = 'a_standby_that_never_comes'"
_WAIT_FOR_NOBODY: Final = "ALTER SYSTEM RESET synchronous_standby_names"


def needs_own_cluster(plan: Plan) -> bool:
    """Whether something in the plan would hit the scenarios beside it."""
    acts = (step for step in plan.steps if isinstance(step, ActOn) and step.target == "database")
    return any(act.do in OWN_CLUSTER for act in acts)


class ProcessesDatabase:
    """See `DatabaseLevers`."""

    def __init__(self, bench: ProcessesBench, note: Callable[[str, str], None]) -> None:
        self._bench = bench
        self._note = note
        self.is_down = False
        self.is_paused = False
        self._is_killed = False
        self._losing: asyncio.Task[None] | None = None

    async def _as_admin(self, query: str, *arguments: Any) -> Any:
        async with self._bench.cluster.admin() as connection:
            return await connection.fetchval(query, *arguments)

    async def _limit(self, most: int) -> None:
        await self._as_admin(f"ALTER DATABASE {quoted(self._bench.database)} CONNECTION LIMIT {most}")

    async def wait_backends_gone(self, name: str) -> None:
        """What a dead server still had running is committed or rolled back then."""
        while not (self._is_killed or self.is_paused) and await self._as_admin(_LEFT, self._bench.database, name):
            await asyncio.sleep(LOOK_EVERY_S)

    async def crash(self) -> None:
        self._note("database", "crash")
        self.is_down = self._is_killed = True
        self._own().kill()

    async def stop(self) -> None:
        self._note("database", "stop")
        self.is_down = True
        await self._limit(0)
        await self._as_admin(_TERMINATE, self._bench.database, SERVER)

    async def start(self) -> None:
        if self._is_killed:
            self._note("database", "start")
            await self._bench.blocking(self._own().start_again)
            await self._bench.connect_again()
            self._is_killed = False
        elif self.is_down:
            self._note("database", "start")
            await self._limit(-1)
        self.is_down = False

    async def pause(self) -> None:
        self._note("database", "pause")
        self.is_paused = True
        self._own().pause()

    async def resume(self) -> None:
        if self.is_paused:
            self._note("database", "resume")
            self._own().resume()
            self.is_paused = False

    def _own(self) -> Any:
        own = self._bench.own_cluster
        if own is None:
            raise BenchUnavailable("PostgreSQL is shared with other scenarios here")
        return own

    async def kill_backends(self) -> None:
        self._note("database", "kill_backends")
        await self._as_admin(_TERMINATE, self._bench.database, SERVER)

    async def kill_backend_at(self, at: str, *, nth: int, times: int) -> None:
        raise BenchUnavailable("a real server's requests can not be counted")

    async def lose_answer_at(self, at: str, *, nth: int, times: int) -> None:
        """The next COMMIT happens, waits for a standby, and its backend is terminated before it answers."""
        self._own()
        self._note("database", "lose_answer")
        await self._as_admin(_WAIT_FOR_STANDBY)
        await self._as_admin("SELECT pg_reload_conf()")
        self._losing = asyncio.create_task(self._lose_answer())

    async def _lose_answer(self) -> None:
        while not await self._as_admin(_TERMINATE_COMMITTED, self._bench.database, SERVER):
            await asyncio.sleep(LOOK_EVERY_S)
        await self._wait_for_nobody()
        self._note("database", "answer lost")

    async def _wait_for_nobody(self) -> None:
        await self._as_admin(_WAIT_FOR_NOBODY)
        await self._as_admin("SELECT pg_reload_conf()")

    async def fail_at(self, at: str, sqlstate: str, *, nth: int, times: int) -> None:
        raise BenchUnavailable("a real server's requests can not be counted")

    async def disarm(self) -> None:
        if self._losing is not None:
            losing, self._losing = self._losing, None
            if not losing.done():
                losing.cancel()
                await self._wait_for_nobody()

    async def limit_connections(self, most: int | None) -> None:
        self._note("database", f"limit {most}")
        await self._limit(-1 if most is None else most)

    async def set_read_only(self, is_read_only: bool) -> None:
        role = f"ALTER ROLE {SERVER} IN DATABASE {quoted(self._bench.database)}"
        setting = "default_transaction_read_only"
        await self._as_admin(f"{role} SET {setting} = on" if is_read_only else f"{role} RESET {setting}")

    async def refuse_writes(
        self, sqlstate: str, message: str, *, tables: Sequence[str] | None, times: int | None
    ) -> None:
        self._note("database", f"refuses writes with {sqlstate}")
        await self._bench.owner.execute(refused_writes(sqlstate, message, tables=tables, times=times))

    async def allow_writes(self) -> None:
        await self._bench.owner.execute(ALLOWED_WRITES)

    async def heal(self) -> None:
        """It answers everybody."""
        await self.resume()
        await self.start()
        await self.disarm()
