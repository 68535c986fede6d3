"""What scenarios do to the real parts: SIGKILL, SIGTERM, SIGSTOP, SIGCONT; and how each heals.

iotcore keeps sessions in memory: a restart loses them, and with them what it had accepted and not delivered. mosquitto
saves them when it is stopped, not when it crashes. `processes_database` has what happens to PostgreSQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from harness.bench.messages import topic_prefixes
from harness.bench.processes_database import ProcessesDatabase
from harness.bench.processes_server import ServerProcess
from harness.bench.processes_store import ProcessesStore
from harness.bench.standing import StandingFaults
from harness.bench.stranger import Stranger, take_over
from harness.errors import BenchUnavailable
from harness.plan_steps import ActOn
from simulator.levers import Levers

if TYPE_CHECKING:
    from harness.bench.processes import ProcessesBench

CONNECTED_WITHIN_S: Final = 30.0
"""A server tries again after at most 10 s."""

LOOK_EVERY_S: Final = 0.01
SLOW_TURN_S: Final = 0.2
"""A slow server runs for so long, then stands still for as long as it is to be slower."""


class Acts:
    """Does to server, broker, database and store what a step says. `is_busy` while it does."""

    def __init__(self, bench: ProcessesBench) -> None:
        self._bench = bench
        self._busy = 0
        self.servers = ProcessesServers(self)
        self.broker = ProcessesBroker(self)
        self.database = ProcessesDatabase(bench, self.note)
        self.store = ProcessesStore(bench.objects, self.note)
        self.bench = bench
        self._levers = Levers(
            server=self.servers,
            broker=self.broker,
            database=self.database,
            store=self.store,
            wait_ms=lambda wait_ms: bench.pass_time(bench.clock.now_ms() + wait_ms),
            devices=topic_prefixes(bench.plan),
        )
        self._standing = StandingFaults(self._levers, bench.clock, doing=self._doing, on_failure=bench.failures.append)

    @property
    def is_busy(self) -> bool:
        """Something is being started, stopped or healed."""
        return self._busy > 0

    @property
    def is_broker_up(self) -> bool:
        """It runs, and is not paused."""
        return self._bench.broker.is_running and not self.broker.is_paused

    @property
    def is_database_down(self) -> bool:
        """It lets no server in, or does not answer."""
        return self.database.is_down or self.database.is_paused

    @contextmanager
    def _doing(self) -> Iterator[None]:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def stop(self) -> None:
        """Heals that are under way end here, and nothing is left standing still."""
        await self._standing.stop()
        self.servers.stop_slowing()
        await self.broker.resume()
        await self.database.resume()

    async def act(self, step: ActOn) -> None:
        """Do it, and plan its heal."""
        await self._standing.act(step)

    async def heal(self) -> None:
        """Everything is as it should be again; the servers take messages."""
        await self._standing.heal()
        with self._doing():
            await self.database.heal()
            await self.store.heal()
            await self.broker.heal()
            await self.servers.heal()
            await self.wait_connected(self._bench.servers)

    def note(self, who: str, action: str) -> None:
        """A record of the history."""
        self._bench.history.append(self._bench.clock.elapsed_ms(), "server", who, action=action)

    async def boot(self, server: ServerProcess) -> None:
        """Start a server; returns once it answers, and takes messages where there is a broker."""
        await server.start(self._bench.clock.now())
        await server.advance_to(self._bench.clock.now())  # it took a while to import
        if self.is_broker_up and not self.is_database_down:
            await self.wait_connected([server])
        self.note(server.name, "started")

    async def wait_connected(self, servers: list[ServerProcess]) -> None:
        """Returns once these servers take messages."""
        try:
            async with asyncio.timeout(CONNECTED_WITHIN_S):
                for server in servers:
                    while server.answers and not (await server.state()).is_ready:
                        await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            raise BenchUnavailable(f"no server on the broker within {CONNECTED_WITHIN_S:g} s") from None


class ProcessesServers:
    """See `ServerLevers`: signals to real processes."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts
        self._slowing: dict[int, asyncio.Task[None]] = {}

    async def _each(self, which: int | None, act: Callable[[ServerProcess], Awaitable[None]]) -> None:
        for server in self._acts.bench.servers:
            if which is None or which == server.number:
                await act(server)

    async def crash(self, which: int | None) -> None:
        await self._each(which, self._crash)

    async def stop(self, which: int | None) -> None:
        await self._each(which, self._stop)

    async def start(self, which: int | None) -> None:
        await self._each(which, self._start)

    async def pause(self, which: int | None) -> None:
        await self._each(which, self._pause)

    async def resume(self, which: int | None) -> None:
        await self._each(which, self._resume)

    async def slow_down(self, which: int | None, by_ms: int) -> None:
        self.stop_slowing(which)
        for server in self._acts.bench.servers:
            if by_ms and (which is None or which == server.number):
                self._slowing[server.number] = asyncio.create_task(_in_turns(server, by_ms / 1000))
        if not by_ms:
            await self._each(which, self._resume)

    async def crash_at(self, which: int | None, at: str, *, nth: int) -> None:
        raise BenchUnavailable("a real server's requests can not be counted")

    def stop_slowing(self, which: int | None = None) -> None:
        """Slow ones run on from here."""
        for number in [number for number in self._slowing if which in (None, number)]:
            self._slowing.pop(number).cancel()
            self._acts.bench.servers[number].resume()

    async def heal(self) -> None:
        """All of them run."""
        await self.slow_down(None, 0)
        await self.start(None)

    async def _crash(self, server: ServerProcess) -> None:
        if server.is_running:
            await server.kill()
            self._acts.note(server.name, "crashed")
            await self._acts.database.wait_backends_gone(server.name)

    async def _stop(self, server: ServerProcess) -> None:
        if server.is_running:
            if not await server.stop():
                tail = " | ".join(list(server.tail)[-3:])
                self._acts.bench.failures.append(f"{server.name} did not stop well: {tail}")
            self._acts.note(server.name, "stopped")

    async def _start(self, server: ServerProcess) -> None:
        if not server.is_running:
            await self._acts.boot(server)

    async def _pause(self, server: ServerProcess) -> None:
        if server.is_running:
            server.pause()
            self._acts.note(server.name, "paused")

    async def _resume(self, server: ServerProcess) -> None:
        if server.is_paused:
            server.resume()
            await server.advance_to(self._acts.bench.clock.now())
            self._acts.note(server.name, "resumed")


async def _in_turns(server: ServerProcess, still_s: float) -> None:
    """It runs, it stands still, it runs."""
    while True:
        await asyncio.sleep(SLOW_TURN_S)
        server.pause()
        try:
            await asyncio.sleep(still_s)
        finally:
            server.resume()


class ProcessesBroker:
    """See `BrokerLevers`: a real broker does less to itself than a simulated one."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts
        self._strangers: list[Stranger] = []
        self.is_paused = False

    async def crash(self) -> None:
        self._acts.note("broker", "crash")
        await self._acts.bench.blocking(self._acts.bench.broker.kill)

    async def stop(self) -> None:
        self._acts.note("broker", "stop")
        await self._acts.bench.blocking(self._acts.bench.broker.stop)

    async def start(self) -> None:
        bench = self._acts.bench
        self.is_paused = False
        if not bench.broker.is_running:
            self._acts.note("broker", "start")
            await bench.blocking(bench.broker.start)
        await bench.tap.connect()

    async def pause(self) -> None:
        self._acts.note("broker", "pause")
        self.is_paused = True
        self._acts.bench.broker.pause()

    async def resume(self) -> None:
        if self.is_paused:
            self._acts.note("broker", "resume")
            self.is_paused = False
            self._acts.bench.broker.resume()

    async def lose_sessions(self) -> None:
        """No broker drops them while it runs: a crash, and what was saved is gone."""
        self._acts.note("broker", "lose_sessions")
        broker = self._acts.bench.broker
        await self._acts.bench.blocking(broker.kill)
        (broker.folder / "mosquitto.db").unlink(missing_ok=True)
        await self.start()

    async def limit_queues(self, messages: int | None) -> None:
        if messages is not None:
            raise BenchUnavailable("a real broker has its queue limit from its start on")

    async def redeliver(self, *, dup: bool) -> None:
        if not dup:
            raise BenchUnavailable("a real broker delivers again at a reconnect only")

    async def retain(self, topic: str, payload: bytes) -> None:
        await self._acts.bench.publish(topic, payload, qos=0, retain=True)

    async def take_over(self, which: int) -> None:
        self._acts.note("broker", "takeover")
        broker = self._acts.bench.broker
        self._strangers.append(await take_over(broker.host, broker.port, f"wakestorm-server{which}"))

    async def disconnect_all(self) -> None:
        raise BenchUnavailable("no real broker drops its connections when told")

    async def heal(self) -> None:
        """It runs and answers; no stranger is left."""
        await self.resume()
        await self.start()
        for stranger in self._strangers:
            stranger.leave()
        self._strangers.clear()
