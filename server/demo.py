"""Seed 002's test data: `Test Device 002 - Missing Chunks`, whose image waits for its last chunk.

The picture is a real one: the missing chunk is the end of a JPEG, and whoever sends it completes the image.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg

from server.database import reached
from server.migrations.apply import current, upgrade, upgrade_all
from server.serving import EXIT_USAGE, ServeError, place_of

DUPLICATES: Final = Path(__file__).with_name("demo_duplicates.sql")
DEVICE_NAME: Final = "Test Device 002 - Missing Chunks"
DEVICE_MAC: Final = "TEST-ESP32-002"
IMAGE_NAME: Final = "image_1762625082788.jpg"
CAPTURED_AT: Final = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1762625082788)
"""The moment that the image's name says."""
WAKE_SCHEDULE: Final = "0 */3 * * *"
TOTAL_CHUNKS: Final = 4
RECEIVED_CHUNKS: Final = 3

_INSERT_DEVICE: Final = """
    INSERT INTO devices (
        device_mac, device_name, provisioning_status, is_active, wake_schedule_cron, next_wake_at, last_seen_at
    ) VALUES ($1, $2, 'active', true, $3, fn_calculate_next_wake_time(fn_now(), $3), fn_now())
    RETURNING device_id
"""
_INSERT_IMAGE: Final = """
    INSERT INTO device_images (
        device_id, image_name, status, captured_at, image_size, chunk_size_bytes, total_chunks, retry_count,
        max_retries, received_at, last_chunk_at
    ) VALUES ($1, $2, 'receiving', $3, $4, $5, $6, 0, 3, fn_now(), fn_now())
    RETURNING image_id
"""
_INSERT_CHUNKS: Final = """
    INSERT INTO device_image_chunks (image_id, chunk_index, data)
    SELECT $1, t.number - 1, t.data FROM unnest($2::bytea[]) WITH ORDINALITY AS t (data, number)
"""


@dataclass(frozen=True, slots=True)
class Demo:
    """What was loaded."""

    device_name: str
    device_mac: str
    image_name: str
    received_chunks: int
    total_chunks: int


def picture() -> bytes:
    """The demo's JPEG, the same bytes at every call."""
    from PIL import Image

    file = io.BytesIO()
    Image.linear_gradient("L").resize((320, 240)).save(file, "JPEG", quality=80)
    return file.getvalue()


def chunks_of(data: bytes) -> list[bytes]:
    """The picture in as many chunks as the seed's image has."""
    size_bytes = -(-len(data) // TOTAL_CHUNKS)
    return [data[at : at + size_bytes] for at in range(0, len(data), size_bytes)]


def load(url: str) -> Demo:
    """Bring the database to the newest schema and load the demo; what an earlier load left is replaced.

    Raises ServeError where the database refuses.
    """
    return reached(url, _load(url))


def load_duplicates(url: str) -> None:
    """Seed 000's situation, in an empty database: revision legacy_base with 78 duplicate rows of 13 images.

    Raises ServeError where the database is not empty, or refuses.
    """
    reached(url, _load_duplicates(url))


async def _load_duplicates(url: str) -> None:
    stands_at = await current(url)
    if stands_at is not None:
        raise ServeError(f"{place_of(url)} stands at {stands_at}: these rows need an empty database", EXIT_USAGE)
    await upgrade(url, "legacy_base")
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction():
            await connection.execute(DUPLICATES.read_text(encoding="utf-8"))
    finally:
        await connection.close()


async def _load(url: str) -> Demo:
    await upgrade_all(url)
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction():
            await write(connection)
    finally:
        await connection.close()
    return Demo(DEVICE_NAME, DEVICE_MAC, IMAGE_NAME, RECEIVED_CHUNKS, TOTAL_CHUNKS)


async def write(connection: asyncpg.Connection) -> None:
    """The demo's rows, in the caller's transaction."""
    data = picture()
    chunks = chunks_of(data)
    await connection.execute("DELETE FROM devices WHERE device_mac = $1", DEVICE_MAC)
    device_id = await connection.fetchval(_INSERT_DEVICE, DEVICE_MAC, DEVICE_NAME, WAKE_SCHEDULE)
    image_id = await connection.fetchval(
        _INSERT_IMAGE, device_id, IMAGE_NAME, CAPTURED_AT, len(data), len(chunks[0]), TOTAL_CHUNKS
    )
    await connection.execute(_INSERT_CHUNKS, image_id, chunks[:RECEIVED_CHUNKS])
    await connection.execute(
        "UPDATE device_images SET received_chunks = $2 WHERE image_id = $1", image_id, RECEIVED_CHUNKS
    )
