"""What scenarios do to the real parts: SIGKILL, SIGTERM, SIGSTOP, SIGCONT, a closed database; and how each heals.

iotcore keeps sessions in memory: a restart loses them, and with them what it had accepted and not delivered. mosquitto
saves them when it is stopped, not when it crashes. A stopped database lets no server in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from harness.bench.postgres_cluster import SERVER
from harness.bench.processes_server import ServerProcess
from harness.errors import BenchUnavailable
from harness.plan_steps import ActOn

if TYPE_CHECKING:
    from harness.bench.processes import ProcessesBench

CONNECTED_WITHIN_S: Final = 30.0
"""A server tries again after at most 10 s."""

LOOK_EVERY_S: Final = 0.01


class Acts:
    """Does to server, broker and database what a step says. `is_busy` while it does."""

    def __init__(self, bench: ProcessesBench) -> None:
        self._bench = bench
        self._busy = 0
        self._healing: set[asyncio.Task[None]] = set()
        self._is_broker_paused = False
        self.is_database_down = False

    @property
    def is_busy(self) -> bool:
        """Something is being started, stopped or healed."""
        return self._busy > 0

    @property
    def is_broker_up(self) -> bool:
        """It runs, and is not paused."""
        return self._bench.broker.is_running and not self._is_broker_paused

    @contextmanager
    def _doing(self) -> Iterator[None]:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def stop(self) -> None:
        """Heals that are under way end here."""
        for task in self._healing:
            task.cancel()
        await asyncio.gather(*self._healing, return_exceptions=True)
        if self._is_broker_paused:
            self._bench.broker.resume()

    async def act(self, step: ActOn) -> None:
        """Do it, and plan its heal."""
        with self._doing():
            match step.target:
                case "server":
                    for server in self._bench.servers:
                        if step.which is None or step.which == server.number:
                            await self._act_on_server(server, step.do)
                case "broker":
                    await self._act_on_broker(step.do)
                case "database":
                    await self._act_on_database(step.do)
        if step.heal_after_ms is not None:
            clock = self._bench.clock
            clock.call_at(clock.now_ms() + step.heal_after_ms, self._heal_later)

    def _heal_later(self) -> None:
        self._busy += 1  # from now on, not from the task's first turn
        task = asyncio.get_running_loop().create_task(self._heal_counted())
        self._healing.add(task)
        task.add_done_callback(self._healed)

    async def _heal_counted(self) -> None:
        try:
            await self.heal()
        finally:
            self._busy -= 1

    def _healed(self, task: asyncio.Task[None]) -> None:
        self._healing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._bench.failures.append(f"heal: {type(error).__name__}: {error}")

    def _note(self, who: str, action: str) -> None:
        self._bench.history.append(self._bench.clock.elapsed_ms(), "server", who, action=action)

    # -- servers ---------------------------------------------------------------------------------------

    async def boot(self, server: ServerProcess) -> None:
        """Start a server; returns once it answers, and takes messages where there is a broker."""
        await server.start(self._bench.clock.now())
        await server.advance_to(self._bench.clock.now())  # it took a while to import
        if self.is_broker_up and not self.is_database_down:
            await self._wait_connected([server])
        self._note(server.name, "started")

    async def _wait_connected(self, servers: list[ServerProcess]) -> None:
        try:
            async with asyncio.timeout(CONNECTED_WITHIN_S):
                for server in servers:
                    while server.answers and not (await server.state()).is_ready:
                        await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            raise BenchUnavailable(f"no server on the broker within {CONNECTED_WITHIN_S:g} s") from None

    async def _act_on_server(self, server: ServerProcess, do: str) -> None:
        match do:
            case "crash" if server.is_running:
                await server.kill()
                self._note(server.name, "crashed")
                await self._wait_backends_gone(server.name)
            case "stop" if server.is_running:
                await self._stop(server)
            case "start" if not server.is_running:
                await self.boot(server)
            case "restart":
                if server.is_running:
                    await self._stop(server)
                await self.boot(server)
            case "pause" if server.is_running:
                server.pause()
                self._note(server.name, "paused")
            case "resume" if server.is_paused:
                server.resume()
                await server.advance_to(self._bench.clock.now())
                self._note(server.name, "resumed")
            case _:
                pass

    async def _stop(self, server: ServerProcess) -> None:
        if not await server.stop():
            self._bench.failures.append(f"{server.name} did not stop well: {' | '.join(list(server.tail)[-3:])}")
        self._note(server.name, "stopped")

    async def _wait_backends_gone(self, name: str) -> None:
        """What a dead server still had running is committed or rolled back then."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = $2"
        async with self._bench.cluster.admin() as connection:
            while await connection.fetchval(query, self._bench.database, name):
                await connection.execute("SELECT pg_sleep(0.002)")

    # -- the broker ------------------------------------------------------------------------------------

    async def _act_on_broker(self, do: str) -> None:
        self._note("broker", do)
        bench, broker = self._bench, self._bench.broker
        match do:
            case "crash":
                await bench.blocking(broker.kill)
            case "stop":
                await bench.blocking(broker.stop)
            case "start":
                await self._start_broker()
            case "restart":
                await bench.blocking(broker.stop)
                await self._start_broker()
            case "pause":
                self._is_broker_paused = True
                broker.pause()
            case "resume":
                self._is_broker_paused = False
                broker.resume()
            case "lose_sessions":  # no broker drops them while it runs: a crash, and what was saved is gone
                await bench.blocking(broker.kill)
                (broker.folder / "mosquitto.db").unlink(missing_ok=True)
                await self._start_broker()
            case _:
                pass

    async def _start_broker(self) -> None:
        self._is_broker_paused = False
        await self._bench.blocking(self._bench.broker.start)
        await self._bench.tap.connect()

    # -- the database ----------------------------------------------------------------------------------

    async def _act_on_database(self, do: str) -> None:
        """From outside, a stopped database is one that lets nobody in and has dropped everybody."""
        self._note("database", do)
        bench = self._bench
        async with bench.cluster.admin() as connection:
            self.is_database_down = do in ("crash", "stop")
            limit = 0 if self.is_database_down else -1
            await connection.execute(f'ALTER DATABASE "{bench.database}" CONNECTION LIMIT {limit}')
            if do in ("crash", "stop", "restart"):
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = $2",
                    bench.database,
                    SERVER,
                )

    # -- heal ------------------------------------------------------------------------------------------

    async def heal(self) -> None:
        """Everything is as it should be again; the servers take messages."""
        with self._doing():
            if self.is_database_down:
                await self._act_on_database("start")
            if self._is_broker_paused:
                await self._act_on_broker("resume")
            if not self._bench.broker.is_running:
                await self._act_on_broker("start")
            await self._bench.tap.connect()
            for server in self._bench.servers:
                if server.is_paused:
                    await self._act_on_server(server, "resume")
                if not server.is_running:
                    await self.boot(server)
            await self._wait_connected(self._bench.servers)
