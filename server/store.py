"""The one door to PostgreSQL (asyncpg): reads a batch's views and writes its effects, inside one transaction.

SQL stands in `queries/`. Locks are taken in the order of keys, devices before device_images, by everybody who writes
(design 9.2). The transaction's time, for triggers and defaults, is the server's clock (`wakestorm.now`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
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
MONITOR = load("monitor.sql")

Connection = asyncpg.Connection

WEB_ROLE: Final = "ws_web"
"""The role whose row-level security lets through the rows of one company, and without one no row at all."""


@dataclass(frozen=True, slots=True)
class Whose:
    """The company of who asks; with `is_guarded` the transactions run as WEB_ROLE, and see its rows only."""

    company_id: UUID
    is_guarded: bool = True


WHOSE: Final[ContextVar[Whose | None]] = ContextVar("whose", default=None)
"""For whom this task's transactions are; None: for the server, or somebody who may see every company."""


@contextlib.contextmanager
def as_server() -> Iterator[None]:
    """Within, the transactions of this task are the server's own, whoever asks."""
    token = WHOSE.set(None)
    try:
        yield
    finally:
        WHOSE.reset(token)


BY_KEY: Final = "".join(f"; SET LOCAL enable_{way} = off" for way in ("seqscan", "hashjoin", "mergejoin"))
"""A batch reads and writes by key. Its plans are made once a connection, perhaps while tables are empty, and must still
be good when they are not."""

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


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place in a list by age: a page begins after it."""

    created_at: datetime
    id: UUID


BEFORE_ALL: Final = Place(datetime.min.replace(tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows a batch needs: MACs with the family they use now, wire names and image ids in the messages."""

    families: Mapping[str, Family | None]
    image_names: frozenset[str] = frozenset()
    image_ids: frozenset[UUID] = frozenset()
    commands: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """When a round of the monitor has work (None: nothing is under way), and what a sweep looks after."""

    due_at: datetime | None
    whole: tuple[UUID, ...]
    in_session: tuple[str, ...]


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
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)  # a page for each outage, which the server logs itself
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
    async def transaction(
        self, now: datetime, *locks: HashLock | None, lock_devices: Iterable[str] = ()
    ) -> AsyncIterator[Connection]:
        """One transaction whose `fn_now()` is `now`; commits at the end, rolls back on an error.

        Locks of hashes are taken before all else, and go with the transaction; then the devices with these MACs are
        locked, which `views` asks for.
        """
        beginning = _beginning(now, {lock for lock in locks if lock is not None}, sorted(lock_devices))
        async with self._pool.acquire() as connection:
            try:
                await connection.execute(beginning)
                yield connection
                await connection.execute("COMMIT")
            except BaseException as error:
                await _roll_back(connection, error)
                raise

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """A connection without a transaction, for procedures that commit by themselves; it is real time for them."""
        async with self._pool.acquire() as connection:
            yield connection

    async def images_to_complete(self, image_ids: Sequence[UUID]) -> list[asyncpg.Record]:
        """The MAC, the announcement and the bytes of images that are not complete yet, outside of a batch.

        Each by its key, all in one round trip: a join with a list would read the whole table once it is planned so.
        """
        async with self._pool.acquire() as connection:
            asked = [(image_id,) for image_id in image_ids]
            rows: list[asyncpg.Record] = await connection.fetchmany(READ["image_to_complete"], asked)
            return rows

    async def look(self) -> Look:
        """What the monitor has to do, without doing it."""
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(MONITOR["look"])
        return Look(due_at=row["due_at"], whole=tuple(row["whole"]), in_session=tuple(row["in_session"]))

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
    with contextlib.suppress(asyncpg.InterfaceError):  # lost meanwhile, and the pool has taken it away
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            connection.terminate()
            return
        try:
            await connection.execute("ROLLBACK")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
            connection.terminate()


def _beginning(now: datetime, locks: Iterable[HashLock], macs: Sequence[str]) -> str:
    """BEGIN, the transaction's time and its locks in one round trip; an ISO time holds no quote."""
    taken = "".join(lock.statement for lock in sorted(locks, key=lambda lock: lock.content_hash))
    begin = f"BEGIN; SET LOCAL wakestorm.now = '{now.isoformat()}'{taken}{_whose()}"
    if not macs:
        return begin
    begin += BY_KEY
    literals = ", ".join("'" + mac.replace("'", "''") + "'" for mac in macs)
    return f"{begin}; {READ['lock_devices'].replace('$1', f'ARRAY[{literals}]')}"


def _whose() -> str:
    whose = WHOSE.get()
    if whose is None:
        return ""
    role = f"; SET LOCAL ROLE {WEB_ROLE}" if whose.is_guarded else ""
    return f"; SET LOCAL wakestorm.company_id = '{whose.company_id}'{role}"


async def views(connection: Connection, wanted: Wanted, now: datetime) -> dict[str, DeviceView]:
    """Read what a batch touches, its devices being locked; an unknown MAC gets a view without a row."""
    rows = await connection.fetch(
        READ["devices"], sorted(wanted.families), sorted(wanted.image_names), sorted(wanted.image_ids)
    )
    found: dict[str, DeviceView] = {}
    for row in rows:
        mac = row["device_mac"]
        view = found.get(mac) or found.setdefault(mac, device_view(row, wanted.families[mac]))
        if row["image_id"] is not None:
            view.images.append(image_view(row, len(view.images) + 1))
    by_id = {view.device_id: view for view in found.values()}
    if wanted.commands:
        for row in await connection.fetch(READ["due_commands"], list(by_id), now):
            by_id[row["device_id"]].commands.append(command_view(row))
    if any(row["has_staged"] for row in rows):
        for row in await connection.fetch(READ["staged_chunks"], list(by_id)):
            staged = by_id[row["device_id"]].staged.setdefault(row["wire_image_name"], {})
            staged[row["chunk_index"]] = row["data"]
    return {
        mac: found.get(mac) or unknown_device(mac, wanted.families[mac] or Family.ESP32CAM) for mac in wanted.families
    }
