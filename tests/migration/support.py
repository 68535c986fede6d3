"""Connections to a test's database, and the rows that most tests start from."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from harness.bench.postgres import OWNER, Cluster

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:  # the class takes its argument in the stubs only
    Connection = asyncpg.Connection

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Database:
    """One database of the test's cluster."""

    cluster: Cluster
    name: str

    def dsn(self, role: str = OWNER) -> str:
        """Where it is, for that role."""
        return self.cluster.dsn(self.name, role)

    @asynccontextmanager
    async def connect(self, role: str = OWNER, now: datetime | None = None) -> AsyncIterator[Connection]:
        """A connection, for which it is `now` (None: real time)."""
        connection = await asyncpg.connect(self.dsn(role))
        try:
            if now is not None:
                await set_now(connection, now)
            yield connection
        finally:
            await connection.close()


def run_alembic(dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Plain alembic from the project's root, on that database; the caller looks at its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": dsn},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def set_now(connection: Connection, now: datetime) -> None:
    """Moves the session's time."""
    await connection.execute("SELECT set_config('wakestorm.now', $1, false)", now.isoformat())


async def add_device(connection: Connection, mac: str = "AABBCCDDEEFF", **columns: Any) -> UUID:
    """Inserts a device; returns its id."""
    return await add(connection, "devices", "device_id", device_mac=mac, **columns)


async def add_image(connection: Connection, device_id: UUID, name: str = "image_1.jpg", **columns: Any) -> UUID:
    """Inserts an image that is being received; returns its id."""
    values = {"captured_at": NOW, "status": "receiving", "total_chunks": 4} | columns
    return await add(connection, "device_images", "image_id", device_id=device_id, image_name=name, **values)


async def add_chunks(connection: Connection, image_id: UUID, *indexes: int) -> None:
    """Inserts chunks and brings the image's count up to date."""
    await connection.execute(
        "INSERT INTO device_image_chunks (image_id, chunk_index, data) SELECT $1, i, 'x' FROM unnest($2::int[]) i",
        image_id,
        list(indexes),
    )
    await connection.execute(
        "UPDATE device_images SET received_chunks = received_chunks + $2 WHERE image_id = $1", image_id, len(indexes)
    )


async def add(connection: Connection, table: str, key: str, **columns: Any) -> UUID:
    """Inserts a row of known column names; returns its key."""
    names = ", ".join(columns)
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    result = await connection.fetchval(
        f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING {key}", *columns.values()
    )
    assert isinstance(result, UUID)
    return result
