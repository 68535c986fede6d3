"""A stand to attack: PostgreSQL, broker and `wakestorm serve` as processes of their own, and people who sign in."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from harness.bench import HttpAnswer
from harness.bench.brokers import BrokerKind, missing_reason
from harness.bench.clock import moment_of
from harness.bench.postgres_cluster import OWNER, Cluster
from harness.bench.template import ensure_template
from harness.fleet.bench import OwnBench
from harness.fleet.registering import register
from harness.machine import token, unix_ms

ROOT: Final = Path(__file__).parents[2]
PASSWORD: Final = "correct horse battery"
CAMERAS: Final = 100
"""Cameras that the server knows: some at their work, each of the others for one attack."""

FIRST_ATTACKER: Final = 90


_UNDER_WAY: Final = (
    """
    INSERT INTO device_images (device_id, image_name, status, captured_at, total_chunks, received_chunks)
    SELECT device_id, 'image_1.jpg', 'receiving', created_at, 2, 1 FROM devices
    """,
    "INSERT INTO device_image_chunks (image_id, chunk_index, data) SELECT image_id, 0, 'x' FROM device_images",
)


class AttackedServer(OwnBench):
    """The server asks who comes, and every line of its log is kept."""

    def __init__(self, folder: Path, broker: BrokerKind, cluster: Cluster | None = None) -> None:
        super().__init__(folder, broker, log=lambda line: None, cluster=cluster)
        self.lines: list[str] = []

    def _arguments(self, dsn: str) -> list[str]:
        self.database_url = dsn
        return [word for word in super()._arguments(dsn) if word != "--insecure-local"]

    def _line(self, level: str, text: str, device: str | None) -> None:
        self.lines.append(f"{level} {device} {text}")

    async def _cluster(self) -> Cluster:
        self.cluster = await super()._cluster()
        return self.cluster

    @asynccontextmanager
    async def second_database(self) -> AsyncIterator[tuple[asyncpg.Connection, Callable[[str], str]]]:
        """One beside the server's, in which nobody works: its owner's connection, and addresses for roles.

        It knows CAMERAS, and has a photo under way.
        """
        name = f"wakestorm_hostile_{token()}"
        await self.cluster.create_database(name, await ensure_template(self.cluster))
        owner = await asyncpg.connect(self.cluster.dsn(name, OWNER))
        try:
            await register(owner, range(CAMERAS), seed=1, now=moment_of(unix_ms()))
            for statement in _UNDER_WAY:
                await owner.execute(statement)
            yield owner, lambda role: self.cluster.dsn(name, role)
        finally:
            await owner.close()
            await self.cluster.drop_database(name)

    @property
    def port(self) -> int:
        """Where its pages are, on loopback."""
        return self._server.port

    async def exchange(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer:
        """One request to its pages or its HTTP API; raises BenchUnavailable."""
        return await self._server.exchange(method, path, headers, body)

    def rss_bytes(self) -> int:
        """Memory of the server's process, without its children."""
        statm = Path(f"/proc/{self.pids['server']}/statm")
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0

    async def command(self, *words: str, given: str = "") -> str:
        """What a command of wakestorm prints, on this database. Raises CalledProcessError."""
        return await self._in_thread(lambda: _said(self.database_url, words, given))

    async def token(self, role: str) -> str:
        """A bearer token of a new user of that role."""
        await self.command("user", "add", role, "--role", role, "--password-stdin", given=PASSWORD)
        return (await self.command("user", "token", role, "--role", role)).strip()


def _said(url: str, words: tuple[str, ...], given: str) -> str:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-P", "-m", "harness.cli", *words],
        input=given,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": path, "DATABASE_URL": url},
    ).stdout


@asynccontextmanager
async def attacked_server(folder: Path, cluster: Cluster | None = None) -> AsyncIterator[AttackedServer]:
    """One that knows CAMERAS; behind mosquitto where there is one, else iotcore."""
    broker: BrokerKind = "iotcore" if missing_reason("mosquitto", os.environ) else "mosquitto"
    server = AttackedServer(folder, broker, cluster)
    await server.start()
    try:
        await server.register(range(CAMERAS), 1)
        yield server
    finally:
        await server.stop()


@dataclass(slots=True)
class Peak:
    """The most memory that a server took while somebody looked, in bytes."""

    before_bytes: int
    most_bytes: int

    @property
    def grown_bytes(self) -> int:
        """More than before."""
        return self.most_bytes - self.before_bytes


@asynccontextmanager
async def peak_of(rss_bytes: Callable[[], int]) -> AsyncIterator[Peak]:
    """Looks ten times a second while the block runs."""
    peak = Peak(rss_bytes(), rss_bytes())

    async def look() -> None:
        while True:
            peak.most_bytes = max(peak.most_bytes, rss_bytes())
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    try:
        yield peak
    finally:
        looking.cancel()
        peak.most_bytes = max(peak.most_bytes, rss_bytes())
