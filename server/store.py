"""The one door to PostgreSQL (asyncpg): reads a batch's views and writes its effects, inside one transaction.

SQL stands in `queries/`. Locks are taken in the order of keys, devices before device_images, by everybody who writes
(design 9.2). The transaction's time, for triggers and defaults, is the server's clock (`wakestorm.now`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import asyncpg
import msgspec

from server.hashing import validate_hash
from server.queries import load
from server.reading import command_view, device_view, image_view, unknown_device
from server.view import DeviceView
from server.wire.topics import Family

READ = load("read.sql")

Connection = asyncpg.Connection

DATABASE_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that died between two statements
    OSError,
    TimeoutError,
)


class BatchOutdated(Exception):
    """Another server made the row that this batch wanted to make: read again, decide again."""


class Pool(Protocol):
    """What the store needs of a pool: asyncpg's own, or a bench's that lets transactions in one by one."""

    def acquire(self) -> AbstractAsyncContextManager[Any]:
        """A connection for the length of an `async with`."""
        ...


@dataclass(frozen=True, slots=True)
class HashLock:
    """Bytes of one hash may be stored under a shared lock, and may go under an exclusive one."""

    content_hash: str
    is_exclusive: bool = False

    @property
    def statement(self) -> str:
        """The lock as SQL; a hash holds no quote."""
        kind = "" if self.is_exclusive else "_shared"
        name = f"wakestorm.object:{validate_hash(self.content_hash)}"
        return f"; SELECT pg_advisory_xact_lock{kind}(hashtextextended('{name}', 0))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows a batch needs: MACs with the family they use now, wire names and image ids in the messages."""

    families: Mapping[str, Family | None]
    image_names: frozenset[str] = frozenset()
    image_ids: frozenset[UUID] = frozenset()
    commands: bool = False


async def prepare_connection(connection: Connection) -> None:
    """Teach a new connection of the pool JSON: jsonb columns are Python values."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )


async def open_pool(dsn: str, *, size: int = 4, **options: Any) -> asyncpg.Pool:
    """A pool of prepared connections; raises OSError or asyncpg.PostgresError where the database is not there.

    Every statement is by key, so one plan serves all its calls: planning anew is half of what a batch costs.
    """
    session = {"plan_cache_mode": "force_generic_plan"} | options.pop("server_settings", {})
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        init=prepare_connection,
        reset=_nothing_to_reset,
        server_settings=session,
        **options,
    )


async def _nothing_to_reset(connection: Connection) -> None:
    """Every setting is local to its transaction, so a released connection is clean already."""


class Store:
    """Transactions over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self, now: datetime, lock: HashLock | None = None) -> AsyncIterator[Connection]:
        """One transaction whose `fn_now()` is `now`; commits at the end, rolls back on an error.

        A lock of a hash is taken before all else, and goes with the transaction.
        """
        # one round trip; an ISO time holds no quote
        begin = f"BEGIN; SET LOCAL wakestorm.now = '{now.isoformat()}'{'' if lock is None else lock.statement}"
        async with self._pool.acquire() as connection:
            try:
                await connection.execute(begin)
                yield connection
            except BaseException as error:
                await _roll_back(connection, error)
                raise
            await connection.execute("COMMIT")

    async def device_of_image(self, image_id: UUID) -> asyncpg.Record | None:
        """The MAC and the announcement of an image, outside of a batch."""
        async with self._pool.acquire() as connection:
            row: asyncpg.Record | None = await connection.fetchrow(READ["device_of_image"], image_id)
            return row

    async def image_bytes(self, image_id: UUID) -> bytes:
        """The chunks of an image, put together in order."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(READ["image_chunks"], image_id)
        return b"".join(row["data"] for row in rows)

    async def unfinished(self) -> tuple[list[UUID], list[tuple[str, datetime]]]:
        """What a sweep looks after: whole images nobody completed, and open sessions with their last message."""
        async with self._pool.acquire() as connection:
            whole = await connection.fetch(READ["whole_images"])
            sessions = await connection.fetch(READ["open_sessions"])
        return [row["image_id"] for row in whole], [(row["device_mac"], row["last_message_at"]) for row in sessions]

    async def is_anything_due(self, now: datetime) -> bool:
        """Whether an image or session is open, or a command or staged chunk is over: else a tick has no work."""
        async with self._pool.acquire() as connection:
            return bool(await connection.fetchval(READ["is_anything_due"], now))

    async def is_alive(self) -> bool:
        """Whether the database answers."""
        try:
            async with self._pool.acquire() as connection:
                return bool(await connection.fetchval("SELECT true"))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False


async def _roll_back(connection: Connection, error: BaseException) -> None:
    """Undo the transaction; a connection that can't even do that is dropped, and PostgreSQL undoes it.

    So is one to a database that was demoted: its session stays read-only, also after the way back.
    """
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        connection.terminate()
        return
    try:
        await connection.execute("ROLLBACK")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        connection.terminate()


async def views(connection: Connection, wanted: Wanted, now: datetime) -> dict[str, DeviceView]:
    """Lock and read what a batch touches; an unknown MAC gets a view without a row."""
    macs = sorted(wanted.families)
    locked = await connection.fetch(READ["lock_devices"], macs)
    device_ids = [row["device_id"] for row in locked]
    rows = await connection.fetch(READ["devices"], macs)
    found = {row["device_mac"]: device_view(row, wanted.families[row["device_mac"]]) for row in rows}
    await _read_images(connection, wanted, found, device_ids)
    by_id = {view.device_id: view for view in found.values()}
    if wanted.commands:
        for row in await connection.fetch(READ["due_commands"], device_ids, now):
            by_id[row["device_id"]].commands.append(command_view(row))
    if any(row["has_staged"] for row in rows):
        for row in await connection.fetch(READ["staged_chunks"], device_ids):
            staged = by_id[row["device_id"]].staged.setdefault(row["wire_image_name"], {})
            staged[row["chunk_index"]] = row["data"]
    return {
        mac: found.get(mac) or unknown_device(mac, wanted.families[mac] or Family.ESP32CAM) for mac in wanted.families
    }


async def _read_images(
    connection: Connection, wanted: Wanted, found: Mapping[str, DeviceView], device_ids: Sequence[UUID]
) -> None:
    names = sorted(wanted.image_names | frozenset(_names_listed(found.values())))
    ids = sorted(wanted.image_ids | frozenset(_images_of_sessions(found.values())))
    if not device_ids:
        return
    by_id = {view.device_id: view for view in found.values()}
    rows = await connection.fetch(READ["images"], device_ids, names, ids)
    by_age = sorted(rows, key=lambda row: (row["created_at"], row["captured_at"], row["image_id"]))
    for number, row in enumerate(by_age, start=1):
        by_id[row["device_id"]].images.append(image_view(row, number))


def _names_listed(found: Iterable[DeviceView]) -> Iterable[str]:
    for view in found:
        if view.session is not None and view.session.is_open:
            yield from view.session.pending_list or ()


def _images_of_sessions(found: Iterable[DeviceView]) -> Iterable[UUID]:
    for view in found:
        if view.session is not None:
            yield from view.session.images_stored
            if view.session.answer_image_id is not None:
                yield view.session.answer_image_id
