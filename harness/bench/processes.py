"""The processes bench: real broker, real server processes, paho-mqtt cameras on real sockets, real time (design 4).

Time jumps while everybody sleeps (`processes_time`). The servers are `wakestorm serve --test-clock`
(`processes_server`), the broker is iotcore or mosquitto (`brokers`); `processes_acts` does what scenarios do to them.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import asyncpg

from harness.bench import HttpAnswer
from harness.bench.brokers import BrokerKind, BrokerProcess, missing_reason
from harness.bench.clock import EPOCH, ScenarioClock, moment_of
from harness.bench.messages import message_fields
from harness.bench.own_cluster import OwnCluster, Renewable
from harness.bench.postgres_cluster import OWNER, READER, SERVER, Cluster
from harness.bench.processes_acts import Acts
from harness.bench.processes_database import OWN_SETTINGS, needs_own_cluster
from harness.bench.processes_duts import make_devices
from harness.bench.processes_server import ServerProcess, ServerState
from harness.bench.processes_tap import FENCE_TOPICS, BrokerTap
from harness.bench.processes_time import Pacer, RealTimeChanges
from harness.bench.row_changes import RowChanges
from harness.bench.schema import Schema
from harness.bench.seeding import seed_fleet
from harness.bench.template import SEARCH_PATH, ensure_template
from harness.dut.kinds import DutOrder
from harness.errors import BenchUnavailable, WakestormError
from harness.history import History
from harness.plan import Plan
from harness.plan_steps import ActOn, HttpExchange
from server.wire.dialects import DIALECTS
from simulator.link import LinkError
from simulator.proxy import FaultProxy

T = TypeVar("T")

SETTLE_WITHIN_S: Final = 30.0
SETTLE_LOOK_S: Final = 0.004
REST_LOOKS_MAX: Final = 200
FENCES_AGAIN_S: Final = (0.5, 0.02)
"""One server may have connected again meanwhile; several of one group share the fences, and each must see one."""

SESSIONS_OVER_AFTER_MS: Final = 2 * max(dialect.session_silence_ms for dialect in DIALECTS.values())
"""By then a server has closed every session by silence."""


def broker_for(plan: Plan, wanted: str) -> BrokerKind:
    """The broker that is wanted, but mosquitto for several servers. Raises WakestormError where that is missing.

    iotcore 0.4 stops delivering to a share group, or dies, once a member of it has gone (tests/conformance).
    """
    if wanted == "mosquitto" or plan.servers == 1:
        return "mosquitto" if wanted == "mosquitto" else "iotcore"
    reason = missing_reason("mosquitto", os.environ)
    if reason is not None:
        raise WakestormError(f"iotcore can not serve {plan.servers} servers that share the load", hint=reason)
    return "mosquitto"


class ProcessesBench:
    """One scenario's bench; runs on a usual asyncio loop, in real time."""

    kind = "processes"

    def __init__(
        self,
        plan: Plan,
        history: History,
        cluster: Cluster,
        database: str,
        template: str,
        folder: Path,
        *,
        broker: str = "iotcore",
        duts: DutOrder | None = None,
        consoles: Path | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.dut_order = duts or DutOrder()
        self.consoles = consoles
        self.login = login
        self.history = history
        self.clock = ScenarioClock(plan.start_ms)
        self.row_changes = (
            RowChanges(history, self.clock, {device.mac: device.name for device in plan.devices})
            if self.dut_order.is_real_time
            else None
        )
        self.changes = RealTimeChanges()
        self.duts: list[Any] = []
        self.early: list[str] = []
        self.kept: dict[str, str] = {}
        self.on_commit: list[Callable[[], Awaitable[None]]] = []
        self.cluster = cluster
        self.database = database
        self.broker = BrokerProcess(broker_for(plan, broker), folder / "broker", login=login)
        self.failures: list[str] = []
        self.proxies: dict[str, FaultProxy] = {}
        self.gives_every_line = False
        self._template = template
        self.objects = folder / "objects"
        self._names = {device.mac: device.name for device in plan.devices}
        self._looking = asyncio.Lock()
        self._is_rested = False
        self._blocking = ThreadPoolExecutor(1, thread_name_prefix="wakestorm-broker")
        self._ends = AsyncExitStack()
        self._pacer = Pacer(self.clock, self, self._look)
        self.changes.pacer = self._pacer
        self.servers: list[ServerProcess] = []
        self.own_cluster: OwnCluster | None = None
        self._acts = Acts(self)

    # -- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Clone the database, start broker and servers, make the devices. Leaves nothing where it fails."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self._ends.callback(self._blocking.shutdown)
        self.history.append(self.clock.elapsed_ms(), "info", "broker", kind_of_broker=self.broker.kind)
        if needs_own_cluster(self.plan):
            await self._start_own_cluster()
        self.schema = Schema(self.cluster, self.database, self._template, self.plan.revision)
        await self.schema.create()
        self._ends.push_async_callback(self.cluster.drop_database, self.database)
        self.owner = cast("asyncpg.Connection", Renewable(await self._connect(OWNER)))
        self.reader = cast("asyncpg.Connection", Renewable(await self._connect(READER)))
        await seed_fleet(self.owner, self.plan, self.clock.now())
        self._ends.push_async_callback(self.blocking, self.broker.stop)
        await self.blocking(self.broker.start)
        self.tap = BrokerTap(self.broker.host, self.broker.port, self._message, self.login)
        self._ends.callback(self.tap.cut)
        await self.tap.connect()
        self.servers = [
            ServerProcess(number, self._arguments(number), self._log) for number in range(self.plan.servers)
        ]
        self._ends.push_async_callback(self._stop_servers)
        if self.schema.is_newest:
            await asyncio.gather(*(self._acts.boot(server) for server in self.servers))
        await make_devices(self)
        self._pacer.start()
        self._ends.push_async_callback(self._pacer.stop)
        self._ends.push_async_callback(self._acts.stop)

    def adopt(self, dut: Any) -> None:
        """Another device, closed at the end."""
        self.duts.append(dut)
        self.at_end(dut.close)

    def at_end(self, call: Callable[[], Awaitable[None]]) -> None:
        """Called when the bench stops, the latest first."""
        self._ends.push_async_callback(call)

    async def stop(self) -> None:
        """Devices, servers, broker and database go, whatever state they are in."""
        await self._ends.aclose()

    async def _start_own_cluster(self) -> None:
        """Instead of the one that other scenarios use, which must not be hit."""
        own = OwnCluster(settings=OWN_SETTINGS)
        self._ends.push_async_callback(self.blocking, own.stop)
        self.cluster = await self.blocking(own.start)
        self._template = await ensure_template(self.cluster)
        self.own_cluster = own

    async def connect_again(self) -> None:
        """PostgreSQL was killed and is back."""
        for connection, role in ((self.owner, OWNER), (self.reader, READER)):
            cast("Renewable", connection).renew(await self._connect(role))

    async def _connect(self, role: str) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            self.cluster.dsn(self.database, role), server_settings={"search_path": SEARCH_PATH}
        )
        self._ends.callback(connection.terminate)
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
        return connection

    def _arguments(self, number: int) -> list[str]:
        dsn = self.cluster.dsn(self.database, SERVER)
        dsn += f"{'&' if '?' in dsn else '?'}application_name=server{number}"
        who = "" if self.login is None else f"{self.login[0]}:{self.login[1]}@"
        options = {
            "--database-url": dsn,
            "--mqtt-url": f"mqtt://{who}{self.broker.host}:{self.broker.port}",
            "--objects": str(self.objects),
            "--http": "127.0.0.1:0",
            "--client-id": f"wakestorm-server{number}",
            "--log": "json",
        }
        if self.plan.servers > 1:
            options["--shared-group"] = "wakestorm"
        return [*(word for pair in options.items() for word in pair), "--insecure-local"]

    async def _stop_servers(self) -> None:
        """Killed, not asked: nothing is looked at any more."""
        for server in self.servers:
            await server.kill()

    async def blocking(self, call: Callable[[], T]) -> T:
        """A blocking call in the bench's one thread, which outlives the broker that it started."""
        return await asyncio.get_running_loop().run_in_executor(self._blocking, call)

    # -- events ----------------------------------------------------------------------------------------

    def _message(self, topic: str, payload: bytes) -> None:
        who, fields = message_fields(topic, payload, self._names)
        self.history.append(self.clock.elapsed_ms(), "message", who, **fields)
        self._is_rested = False
        self._stir()

    def _log(self, level: str, line: str, device: str | None) -> None:
        who = "server" if device is None else self._names.get(device, device)
        self.history.append(self.clock.elapsed_ms(), "log", who, level=level, text=line, source="server")
        self._stir()

    def _stir(self) -> None:
        self.changes.notify()
        self._pacer.stir()

    async def _look(self) -> None:
        """Whatever wants to be asked often."""
        for server in self.servers:
            ended = await server.end_unwanted()
            if ended is not None:
                self.failures.append(ended)
        async with self._looking:
            if self.row_changes is not None:
                await self.row_changes.look(self.reader)
            for callback in [] if self._acts.is_database_down else list(self.on_commit):
                await callback()
        self.changes.notify()

    # -- time ------------------------------------------------------------------------------------------

    def is_quiet(self) -> bool:
        """No device does anything, and nothing is being started, stopped or healed."""
        is_quiet = (
            not self._acts.is_busy
            and all(server.is_running for server in self.servers if server.is_wanted)
            and all(dut.is_alone for dut in self.duts)
        )
        self._is_rested = self._is_rested and is_quiet
        return is_quiet

    async def rested(self) -> int | None:
        """Scenario time of the next thing that a server waits for; now, while one has something to do."""
        if not self._is_rested:
            self._is_rested = True
            await self.settle()
        for _ in range(REST_LOOKS_MAX):
            states = await self._states()
            if all(self._is_worked_off(state, None) for state in states):
                break
            await asyncio.sleep(SETTLE_LOOK_S)
        else:
            return self.clock.now_ms()
        due = [state.next_due for state in states if state.next_due is not None]
        return min(((moment - EPOCH) // timedelta(milliseconds=1) + 1 for moment in due), default=None)

    async def step_servers(self, to_ms: int) -> None:
        """Bring the servers' clocks to that scenario time."""
        await asyncio.gather(*(server.advance_to(moment_of(to_ms)) for server in self.servers if server.answers))

    async def pass_time(self, until_ms: int) -> None:
        """Scenario time comes to `until_ms`; what is due meanwhile happens."""
        there = asyncio.Event()
        timer = self.clock.call_at(until_ms, there.set)
        try:
            await self._pacer.wait_for(there.wait())
        finally:
            timer.cancel()

    async def finish_sessions(self) -> None:
        """The servers have noticed that all sessions are over."""
        await self.pass_time(self.clock.now_ms() + SESSIONS_OVER_AFTER_MS)
        await self.settle()

    # -- settling --------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """The servers have worked off what the broker had accepted, and the history has their answers.

        What can't be, with the broker or the database away, is not waited for; raises BenchUnavailable after 30 s.
        """
        try:
            async with asyncio.timeout(SETTLE_WITHIN_S):
                await self._wait_worked_off()
                with suppress(LinkError):
                    if self._has_broker:
                        await self.tap.wait_seen(await self.tap.publish_fence())
                for server in self.servers:
                    with suppress(BenchUnavailable):
                        if server.answers:
                            await server.read_log()
        except TimeoutError:
            states = "; ".join(map(str, await self._states()))
            raise BenchUnavailable(
                f"the servers did not come to rest within {SETTLE_WITHIN_S:g} s", hint=states or "no server answers"
            ) from None

    @property
    def _has_broker(self) -> bool:
        return self._acts.is_broker_up and self.tap.is_connected

    async def _wait_worked_off(self) -> None:
        loop = asyncio.get_running_loop()
        first, sent_at_s = await self._fence(), loop.time()
        while True:
            if all(self._is_worked_off(state, first) for state in await self._states()):
                return
            if loop.time() - sent_at_s > FENCES_AGAIN_S[self.plan.servers > 1]:
                again, sent_at_s = await self._fence(), loop.time()
                first = again if first is None else first
            await asyncio.sleep(SETTLE_LOOK_S)

    async def _fence(self) -> int | None:
        """The number of a fence that the broker has accepted; None where there is no broker."""
        if not self._has_broker:
            return None
        try:
            return await self.tap.publish_fence()
        except LinkError:
            return None

    def _is_worked_off(self, state: ServerState, fence: int | None) -> bool:
        if self._acts.database.is_paused:
            return True  # it can't, and will
        if not state.is_idle:
            return False
        if not self._acts.is_broker_up or self._acts.is_database_down:
            return True  # what it could not handle comes again, when there is somebody to bring it
        if not state.is_ready or state.in_flight or state.outgoing:  # it connects again in real time
            return False
        return fence is None or all(state.fences.get(topic, 0) >= fence for topic in FENCE_TOPICS)

    async def _states(self) -> list[ServerState]:
        found: list[ServerState] = []
        for server in self.servers:
            if server.answers:
                with suppress(BenchUnavailable):  # ended meanwhile
                    found.append(await server.state())
        return found

    # -- seen and done by the runner -------------------------------------------------------------------

    def exclusive(self) -> Any:
        """Nobody else asks the reader; the servers go on."""
        return self._looking

    async def act(self, step: ActOn) -> None:
        """Do something to server, broker or database, and plan its heal."""
        await self._acts.act(step)

    async def heal(self) -> None:
        """Everything is as it should be again."""
        await self._acts.heal()

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """A raw message from a client of its own. Raises BenchUnavailable where there is no broker."""
        try:
            await self.tap.publish(topic, payload, qos=qos, retain=retain)
        except LinkError as error:
            raise BenchUnavailable(f"the broker did not take a message on {topic}: {error}") from error

    async def http(self, exchange: HttpExchange) -> HttpAnswer:
        """One exchange with a server process."""
        server = self.servers[exchange.which]
        if not server.answers:
            return HttpAnswer(503, {}, b"the server is down")
        if exchange.cut_after_bytes is not None:
            raise BenchUnavailable("the processes bench can't cut an upload at a byte: run this one embedded")
        return await server.exchange(exchange.method, exchange.path, dict(exchange.headers), exchange.body)

    def stored_bytes(self, key: str) -> bytes | None:
        """The object of that key."""
        path = self.objects / key
        return path.read_bytes() if path.is_file() else None

    def server_failures(self) -> Sequence[str]:
        """Bugs that ended a server by itself, or kept it from stopping."""
        return self.failures
