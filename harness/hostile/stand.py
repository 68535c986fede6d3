"""A stand to attack: PostgreSQL, broker and `wakestorm serve` as processes of their own, and people who sign in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from harness.bench.brokers import BrokerKind, missing_reason
from harness.bench.clock import moment_of
from harness.bench.postgres_cluster import OWNER, Cluster
from harness.bench.template import ensure_template
from harness.fleet.guarded import GuardedBench
from harness.fleet.registering import register
from harness.machine import token, unix_ms

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


class AttackedServer(GuardedBench):
    """The server asks who comes, and every line of its log is kept."""

    def __init__(self, folder: Path, broker: BrokerKind, cluster: Cluster | None = None) -> None:
        super().__init__(folder, broker, log=lambda line: None, cluster=cluster)
        self.lines: list[str] = []

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

    def rss_bytes(self) -> int:
        """Memory of the server's process, without its children."""
        statm = Path(f"/proc/{self.pids['server']}/statm")
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


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
