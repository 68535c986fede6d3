"""The embedded bench: fleet, broker and servers on one virtual clock, beside a real PostgreSQL (design 4).

The server's code is the product's, its MQTT client and its pool too; the bench passes clock, ids, gate and log. A crash
is a fence: the incarnation never runs, writes or commits again, and the bench waits until its backends are gone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from typing import Any, Final

import asyncpg

from harness.bench import HttpAnswer
from harness.bench.clock import Changes, ScenarioClock
from harness.bench.connection import BenchConnection
from harness.bench.embedded_database import EmbeddedDatabase
from harness.bench.embedded_levers import (
    BROKER,
    LATENCY_US,
    EmbeddedBroker,
    EmbeddedLevers,
    EmbeddedServers,
    ServerPlace,
)
from harness.bench.embedded_store import EmbeddedStore
from harness.bench.messages import message_fields, topic_prefixes
from harness.bench.postgres_cluster import OWNER, READER, SERVER, Cluster
from harness.bench.schema import Schema
from harness.bench.seeding import seed_fleet
from harness.bench.standing import StandingFaults
from harness.bench.template import SEARCH_PATH
from harness.bench.virtual.commit_tap import CommitTap
from harness.bench.virtual.gate import Gate, GatedPool
from harness.bench.virtual.incarnation import running_as
from harness.bench.virtual.loop import VirtualLoop
from harness.bench.virtual.network import MemoryNetwork
from harness.dut.simulated import SimulatedDut
from harness.history import History
from harness.plan import Plan
from harness.plan_steps import ActOn, HttpExchange
from server.app import App, Parts, Settings, new_inline_offload, new_seeded_ids, open_pool
from server.wire.dialects import DIALECTS
from server.wire.mqtt_codec import Publish, encode
from simulator.broker import Broker, Dropped, Routed
from simulator.broker_host import BrokerHost
from simulator.link import LinkSettings
from simulator.link.raw import RawLink
from simulator.rng import Rng
from simulator.sites import FleetPlaces

BACKENDS_LEFT: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = $2"
KEEP_ALIVE_S: Final = 3_600
"""Cameras sleep for hours; a ping every 30 s of them would be most of the work."""

SESSIONS_OVER_AFTER_MS: Final = 2 * max(dialect.session_silence_ms for dialect in DIALECTS.values())
"""By then a server has closed every session by silence."""

SETTLE_MS_MAX: Final = 1_000
"""A server cut off from its database never takes what waits for it."""
SETTLE_LOOK_MS: Final = 10

READS_EVERY_US: Final = 20_000
"""So often a server takes in what the broker has sent, as one under load does: batches fill (design 9.1)."""

CONNECTION: Final[dict[str, Any]] = {
    "ssl": False,
    "max_cached_statement_lifetime": 0,
    "connection_class": BenchConnection,
}
POOL: Final[dict[str, Any]] = CONNECTION | {"max_inactive_connection_lifetime": 0}
"""Nothing of asyncpg's may depend on real time (facts: virtual time 3)."""


class EmbeddedBench:
    """One scenario's bench; runs on a `VirtualLoop`."""

    kind = "embedded"

    def __init__(
        self, plan: Plan, history: History, cluster: Cluster, database: str, template: str, folder: Path
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "the embedded bench needs the virtual loop"
        self.plan = plan
        self.history = history
        self.schema = Schema(cluster, database, template, plan.revision)
        self.clock = ScenarioClock(plan.start_ms)
        self.changes = Changes()
        self.duts: list[SimulatedDut] = []
        self._loop = loop
        self._cluster = cluster
        self._database = database
        self.objects = folder / "objects"
        latency = Rng(f"{plan.seed}/network")
        self._network = MemoryNetwork(loop, lambda: latency.between(*LATENCY_US))
        self._gate = Gate()
        self._tap = CommitTap(self._gate, lambda: self.reader)
        self._network.on_bytes = self._tap.on_bytes
        self.early: list[str] = self._tap.early
        self.on_commit: list[Callable[[], Awaitable[None]]] = self._gate.on_commit
        self._gate.on_pass.append(self.changes.notify)
        self._broker = BrokerHost(Broker(), on_event=self._routed)
        self._servers = [ServerPlace(number) for number in range(plan.servers)]
        for place in self._servers:
            self._network.read_every(place.host, READS_EVERY_US)
        self._failures: list[str] = []
        self.kept: dict[str, str] = {}
        self._names = {device.mac: device.name for device in plan.devices}
        self._id_seed = {"wakestorm.id_seed": str(plan.seed)}
        self._admin = AsyncExitStack()
        self._superuser: asyncpg.Connection | None = None
        self._raw: RawLink | None = None
        self._levers = self._new_levers()
        self._standing = StandingFaults(self._levers, self.clock, doing=nullcontext, on_failure=self._failures.append)

    def _new_levers(self) -> EmbeddedLevers:
        servers = EmbeddedServers(
            self._servers,
            self._network,
            Rng(f"{self.plan.seed}/slow"),
            boot=self._boot,
            crash=self._crash,
            stop=self._stop_gracefully,
        )
        client_ids = [server.client_id for server in self._servers]
        broker = EmbeddedBroker(self._broker, self._network, client_ids, note=self._note, publish=self.publish)
        database = servers.database = EmbeddedDatabase(
            self._loop,
            self._gate,
            self._cluster,
            self._database,
            owner=lambda: self.owner,
            crash_host=servers.crash_host,
            note=self._note,
        )
        return EmbeddedLevers(
            server=servers,
            broker=broker,
            database=database,
            store=EmbeddedStore(self._note),
            wait_ms=lambda wait_ms: self.pass_time(self.clock.now_ms() + wait_ms),
            devices=topic_prefixes(self.plan),
        )

    def _note(self, who: str, action: str) -> None:
        self.history.append(self.clock.elapsed_ms(), "server", who, action=action)

    # -- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Clone the database, start broker and servers, make the devices."""
        self._superuser = await self._admin.enter_async_context(self._cluster.admin())
        await self.schema.create(by=self._superuser)
        self.owner = await self._connect(OWNER)
        self.reader = await self._connect(READER)
        await self.fill()
        self._levers.broker.listen()
        for server in self._servers if self.schema.is_newest else ():
            await self._boot(server)
        places = FleetPlaces(seed=self.plan.seed)
        lined = self.plan.devices_with_line_faults
        shared: dict[str, Any] = {"clock": self.clock, "changes": self.changes, "history": self.history}
        for planned in self.plan.devices:
            with running_as(None, planned.name):
                location = places.place(planned.group, planned.index).location
                line = self._network.line_of(planned.name, self.plan.seed) if planned.number in lined else None
                dut = SimulatedDut(
                    planned, seed=self.plan.seed, location=location, links=RawLink, broker=BROKER, line=line, **shared
                )
                self.duts.append(dut)

    async def fill(self) -> None:
        """The rows that the fleet begins with."""
        await seed_fleet(self.owner, self.plan, self.clock.now())

    async def another_reader(self) -> asyncpg.Connection:
        """A further connection of the read-only role; whoever asks for it ends it."""
        return await self._connect(READER)

    async def _connect(self, role: str) -> asyncpg.Connection:
        dsn, names = self._cluster.dsn(self._database, role), {"search_path": SEARCH_PATH} | self._id_seed
        connection: asyncpg.Connection = await asyncpg.connect(dsn, server_settings=names, **CONNECTION)
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
        return connection

    async def stop(self) -> None:
        """Stop the servers, drop the database."""
        for dut in self.duts:
            await dut.close()
        for server in self._servers:
            if server.app is not None:
                await self._stop_gracefully(server)
        self._broker.stop()
        for connection in (self.owner, self.reader):
            connection.terminate()
        async with self._admin:
            await self._cluster.drop_database(self._database, by=self._superuser)

    # -- servers ---------------------------------------------------------------------------------------

    async def _boot(self, server: ServerPlace) -> None:
        server.incarnation += 1
        with running_as(server.tag, server.host):
            dsn = self._cluster.dsn(self._database, SERVER)
            names = {"application_name": server.tag} | self._id_seed
            pool = await open_pool(dsn, size=2, server_settings=names, **POOL)
            offload = new_inline_offload()
            parts = Parts(
                clock=self.clock,
                ids=new_seeded_ids(f"{self.plan.seed}/{server.tag}"),
                pool=GatedPool(pool, self._gate),
                offload=offload,
                objects=self._levers.store.door(str(self.objects), offload),
                log=self._log,
                changes=lambda: self._gate.passed,
            )
            app = App(self._settings(server), parts)
            await app.start()
        server.app, server.pool = app, pool
        self.history.append(self.clock.elapsed_ms(), "server", server.host, action="started")
        await app.mqtt.wait_ready()

    def _settings(self, server: ServerPlace) -> Settings:
        return Settings(
            database_url=self._cluster.dsn(self._database, SERVER),
            mqtt_url=f"mqtt://{BROKER[0]}:{BROKER[1]}",
            objects_url=str(self.objects),
            client_id=server.client_id,
            keep_alive_s=KEEP_ALIVE_S,
            shared_group="wakestorm" if len(self._servers) > 1 else None,
            insecure_local=True,
        )

    async def _crash(self, server: ServerPlace) -> None:
        self.history.append(self.clock.elapsed_ms(), "server", server.host, action="crashed")
        self._network.fence(server.tag)
        await self._wait_backends_gone(server.tag)
        self._gate.forget(server.tag)
        server.app = server.pool = None

    async def _wait_backends_gone(self, tag: str) -> None:  # other databases have servers of the same name
        assert self._superuser is not None
        while await self._superuser.fetchval(BACKENDS_LEFT, self._database, tag):
            await self._superuser.execute("SELECT pg_sleep(0.001)")

    async def _stop_gracefully(self, server: ServerPlace) -> None:
        assert server.app is not None and server.pool is not None
        if server.app.failure is not None:
            self._failures.append(f"{server.host}: {type(server.app.failure).__name__}: {server.app.failure}")
        await server.app.stop()
        await server.pool.close()
        server.app = server.pool = None
        self.history.append(self.clock.elapsed_ms(), "server", server.host, action="stopped")

    async def act(self, step: ActOn) -> None:
        """Do something to server, broker or database, and plan its heal."""
        await self._standing.act(step)

    async def heal(self) -> None:
        """Everything is as it should be again."""
        await self._standing.heal()
        await self._levers.heal()

    # -- seen and done by the runner ---------------------------------------------------------------------

    def exclusive(self) -> Any:
        """No server's transaction is under way inside."""
        return self._levers.database.exclusive()

    async def pass_time(self, until_ms: int) -> None:
        """Scenario time comes to `until_ms`; what is due meanwhile happens."""
        there = asyncio.Event()
        self.clock.call_at(until_ms, there.set)
        await there.wait()

    async def finish_sessions(self) -> None:
        """The servers have noticed that all sessions are over."""
        await self.pass_time(self.clock.now_ms() + SESSIONS_OVER_AFTER_MS)
        await self.settle()

    async def settle(self) -> None:
        """The servers have worked off what the broker has taken in; one that can't is given SETTLE_MS_MAX."""
        until_ms = self.clock.now_ms() + SETTLE_MS_MAX
        while self._is_under_way() and self.clock.now_ms() < until_ms:
            await self.pass_time(self.clock.now_ms() + SETTLE_LOOK_MS)
        for server in self._servers:
            if server.app is not None and server.app.failure is None and not self._levers.database.is_paused:
                await server.app.intake.wait_idle()

    def _is_under_way(self) -> bool:
        """Something is between the broker and a server that could take it."""
        running = [server for server in self._servers if server.app is not None and server.app.failure is None]
        sessions = [self._broker.broker.session(server.client_id) for server in running if not server.is_paused]
        return any(session is not None and not session.is_empty for session in sessions)

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """A raw message from a client of its own."""
        if self._raw is None or not self._raw.is_connected:
            with running_as(None, "stranger"):
                self._raw = RawLink(
                    LinkSettings(*BROKER, client_id="stranger"), lambda topic, payload: None, lambda reason: None
                )
                await self._raw.connect()
        if retain:
            self._raw.send_packet(encode(Publish(topic=topic, payload=payload, retain=True)))
        else:
            await self._raw.publish(topic, payload, qos=qos)

    async def http(self, exchange: HttpExchange) -> HttpAnswer:
        """One exchange with a server's ASGI app, on this loop."""
        from harness.bench.virtual.asgi import exchange_with

        server = self._servers[exchange.which]
        if server.app is None:
            return HttpAnswer(503, {}, b"the server is down")
        with running_as(
            server.tag, server.host
        ):  # its connections are the server's: a database that is down refuses them
            return await exchange_with(server.app.asgi(), exchange)

    def stored_bytes(self, key: str) -> bytes | None:
        """The object of that key."""
        path = self.objects / key
        return path.read_bytes() if path.is_file() else None

    def server_failures(self) -> Sequence[str]:
        """Bugs that ended a server by itself."""
        running = [
            f"{server.host}: {type(server.app.failure).__name__}: {server.app.failure}"
            for server in self._servers
            if server.app is not None and server.app.failure is not None
        ]
        return [*self._failures, *running]

    # -- events ------------------------------------------------------------------------------------------

    def _routed(self, event: object) -> None:
        if isinstance(event, Routed):
            who, fields = message_fields(event.topic, event.payload, self._names)
            self.history.append(self.clock.elapsed_ms(), "message", who, qos=event.qos, **fields)
            self.changes.notify()
        elif isinstance(event, Dropped) and event.reason == "queue full":
            self._note("broker", f"drops {event.topic} to {event.client_id}: {event.reason}")

    def _log(self, level: str, line: str, *, device: str | None) -> None:
        who = "server" if device is None else self._names.get(device, device)
        line = line.replace(self._database, "the_database")  # its name is another in each run
        self.history.append(self.clock.elapsed_ms(), "log", who, level=level, text=line, source="server")
        self.changes.notify()
