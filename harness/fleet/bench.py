"""What a fleet sends to: own PostgreSQL, broker and server as processes, or parts that run already.

In real time and on the machine's own clock: a fleet has no scenario whose time could jump.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import asyncpg

from harness.bench.brokers import BrokerKind, BrokerProcess
from harness.bench.clock import moment_of
from harness.bench.postgres import ClusterProcess
from harness.bench.postgres_cluster import OWNER, READER, SERVER, Cluster, prepare_roles
from harness.bench.processes_server import ServerProcess
from harness.bench.template import SEARCH_PATH, ensure_template
from harness.errors import BenchUnavailable, UsageError
from harness.fleet.order import TheirWire
from harness.fleet.registering import register
from harness.machine import token, unix_ms
from simulator.fleet import MAC_FIRST

T = TypeVar("T")
DATABASE_VARIABLE: Final = "DATABASE_URL"
MQTT_PORT: Final = 1883


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the cameras connect to, and as whom."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    theirs: TheirWire | None = None
    mac_first: int = MAC_FIRST

    @classmethod
    def from_url(cls, url: str) -> BrokerAddress:
        """`mqtt://[user:password@]host[:port]`. Raises UsageError."""
        parts = urlsplit(url if "//" in url else f"mqtt://{url}")
        try:
            port = parts.port or MQTT_PORT
        except ValueError as error:
            raise UsageError(f"--broker {url}: {error}") from None
        if parts.scheme != "mqtt" or not parts.hostname:
            raise UsageError(f"--broker {url}: not a broker's address", hint="write mqtt://[user:password@]host[:port]")
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        return cls(parts.hostname, port, user, password)


class FleetBench(Protocol):
    """Where cameras connect, rows stand, and processes are."""

    broker: BrokerAddress
    pids: dict[str, int]
    """Process ids by name (`broker`, `server`, `postgres`), of those that are ours."""

    async def register(self, cameras: Sequence[int], seed: int) -> None:
        """The server knows these cameras."""

    async def images(self, macs: Sequence[str], since: datetime) -> Sequence[Mapping[str, Any]]:
        """What the server says of photos of these cameras, taken since then, in the columns of `IMAGES`."""

    async def blind_spots(self) -> str | None:
        """What stands there and the judge does not see: a blind judge passes everything."""

    def stored_bytes(self, key: str) -> bytes | None:
        """The object of that key; None where it is missing, or its store is out of reach."""

    async def failure(self) -> str | None:
        """Why the server is gone; None while all is well."""

    async def stop(self) -> None:
        """Everything that was started is gone."""


IMAGES: Final = """
SELECT d.device_mac, i.wire_image_name, i.captured_at, i.status, i.object_key, i.sha256, i.image_size,
    (SELECT count(DISTINCT p.session_id) FROM device_wake_payloads p WHERE p.device_image_id = i.image_id) AS offers
FROM device_images i JOIN devices d USING (device_id)
WHERE d.device_mac = ANY($1) AND i.captured_at >= $2
ORDER BY d.device_mac, i.captured_at, i.created_at, i.image_id
"""
_BLIND: Final = "SELECT count(*) FROM device_images"


class OwnTables:
    """Cameras and photos in wakestorm's own tables, seen through two connections."""

    reader: asyncpg.Connection
    owner: asyncpg.Connection

    async def register(self, cameras: Sequence[int], seed: int) -> None:
        """The server knows these cameras."""
        await register(self.owner, cameras, seed=seed, now=moment_of(unix_ms()))

    async def images(self, macs: Sequence[str], since: datetime) -> Sequence[Mapping[str, Any]]:
        """See `FleetBench`."""
        rows: list[Any] = await self.reader.fetch(IMAGES, list(macs), since)
        return rows

    async def blind_spots(self) -> str | None:
        """See `FleetBench`."""
        seen, there = await self.reader.fetchval(_BLIND), await self.owner.fetchval(_BLIND)
        return None if seen == there else f"the judge sees {seen} of {there} rows of device_images"


class OwnBench(OwnTables):
    """Server, broker and database of our own; the database on `cluster`, where one is lent."""

    def __init__(
        self, folder: Path, broker: BrokerKind, *, log: Callable[[str], None], cluster: Cluster | None = None
    ) -> None:
        self._folder = folder
        self._objects = folder / "objects"
        self._broker = BrokerProcess(broker, folder / "broker")
        self._log = log
        self._lent = cluster
        self._blocking = ThreadPoolExecutor(1, thread_name_prefix="wakestorm-fleet")
        self._ends = AsyncExitStack()
        self.pids: dict[str, int] = {}

    async def start(self) -> None:
        """Everything is up and no camera known. Leaves nothing where it fails."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self._ends.callback(self._blocking.shutdown)
        cluster = await self._cluster()
        database = f"wakestorm_fleet_{token()}"
        await cluster.create_database(database, await ensure_template(cluster))
        self._ends.push_async_callback(cluster.drop_database, database)
        self.dsn = partial(cluster.dsn, database)
        self.owner = await self._connect(cluster.dsn(database, OWNER))
        self.reader = await self._connect(cluster.dsn(database, READER))
        self._ends.push_async_callback(self._in_thread, self._broker.stop)
        await self._in_thread(self._broker.start)
        self.broker = BrokerAddress(self._broker.host, self._broker.port)
        self._server = ServerProcess(
            0, self._arguments(cluster.dsn(database, SERVER)), self._line, has_test_clock=False
        )
        self._ends.push_async_callback(self._server.kill)
        await self._server.start(moment_of(unix_ms()))
        self.pids |= {"broker": self._broker.pid or 0, "server": self._server.pid or 0}

    async def _cluster(self) -> Cluster:
        if self._lent is not None:
            return self._lent
        url = os.environ.get(DATABASE_VARIABLE)
        if url:
            cluster = Cluster.from_url(url)
            await prepare_roles(cluster)
            return cluster
        process = ClusterProcess(os.environ)
        self._ends.push_async_callback(self._in_thread, process.stop)
        cluster = await self._in_thread(process.start)
        self.pids["postgres"] = process.server_pid or 0
        return cluster

    async def _connect(self, dsn: str) -> asyncpg.Connection:
        connection = await asyncpg.connect(dsn, server_settings={"search_path": SEARCH_PATH})
        self._ends.callback(connection.terminate)
        return connection

    def _arguments(self, dsn: str) -> list[str]:
        options = {
            "--database-url": dsn,
            "--mqtt-url": f"mqtt://{self.broker.host}:{self.broker.port}",
            "--objects": str(self._objects),
            "--http": "127.0.0.1:0",
            "--log": "json",
        }
        return [*(word for pair in options.items() for word in pair), "--insecure-local"]

    def _line(self, level: str, text: str, device: str | None) -> None:
        if level in ("error", "critical"):
            self._log(f"server: {text}")

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._blocking, call)

    def stored_bytes(self, key: str) -> bytes | None:
        """The object of that key."""
        path = self._objects / key
        return path.read_bytes() if path.is_file() else None

    async def failure(self) -> str | None:
        """Why the server is gone."""
        return await self._server.end_unwanted()

    async def stop(self) -> None:
        """Everything is gone."""
        await self._ends.aclose()


class StandingBench(OwnTables):
    """A broker, a server and a database that run already; what is made there are the cameras' rows, and they stay."""

    def __init__(self, broker_url: str, database_url: str) -> None:
        self.broker = BrokerAddress.from_url(broker_url)
        self._url = database_url
        self.pids: dict[str, int] = {}

    async def start(self) -> None:
        """Connect. Raises BenchUnavailable."""
        try:
            self.owner = await asyncpg.connect(self._url, timeout=10)
            self.reader = await asyncpg.connect(self._url, timeout=10)
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise BenchUnavailable(f"--database-url can not be reached: {type(error).__name__}: {error}") from error

    def stored_bytes(self, key: str) -> bytes | None:
        """Out of reach: the server's own hash has to do."""
        return None

    async def failure(self) -> str | None:
        """Nobody watches it."""
        return None

    async def stop(self) -> None:
        """Disconnect."""
        for name in ("owner", "reader"):
            connection: Any = getattr(self, name, None)
            if connection is not None:
                connection.terminate()
