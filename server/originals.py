"""Originals: the bytes of images, stored once however many rows refer to them (seed 003).

Three things hold them together. The count of references and the rows change in one transaction, by statements that
never read before they write. Bytes are stored before the row that needs them is committed, under a shared lock of
their hash; they go after the row that named them is gone, under the exclusive one, and only if no row came meanwhile.
What a death or a failure between two steps leaves behind is too much, never too little: a count that is too high, an
original without references, an object without a row. `clean_up_orphaned_originals`, `mend_counts` and `sweep` find
each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from server.clock import Clock
from server.hashing import is_hash, validate_hash
from server.ids import IdSource
from server.log import Log
from server.objects import FOLDERS, ObjectStore, StoreFailed, object_key
from server.queries import load
from server.reading import record
from server.store import DATABASE_ERRORS, WHOSE, Connection, HashLock, Store

ORIGINALS = load("originals.sql")

GRACE: Final = timedelta(hours=24)
"""How long an original without references, or an object without a row, is left alone by the clean-up."""

CLEAN_UP_LIMIT: Final = 100

FAILED_LINE: Final = "failed to decrement original reference"
DELETED_LINE: Final = "deleted unreferenced original image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A row of original_images: bytes that are stored once, and how many rows refer to them."""

    id: UUID
    content_hash: str
    s3_key: str
    file_size_bytes: int
    mime_type: str
    width: int | None
    height: int | None
    reference_count: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalStats:
    """`GetOriginalImageStats`: TotalCount, TotalSize, OrphanedCount, OrphanedSize, AvgReferences; sizes in bytes.

    `dedup_rate` is the share of references that needed no bytes of their own, 0 to 1.
    """

    total_count: int
    total_size: int
    orphaned_count: int
    orphaned_size: int
    avg_references: float
    total_references: int
    saved_size: int
    dedup_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOriginal:
    """Bytes that are about to be referred to."""

    content_hash: str
    file_size_bytes: int
    mime_type: str
    width: int | None
    height: int | None


class Originals:
    """Service of the originals. Database errors come as asyncpg raises them, those of the store as StoreFailed."""

    def __init__(self, *, store: Store, objects: ObjectStore, clock: Clock, ids: IdSource, log: Log) -> None:
        self.store = store
        self.objects = objects
        self.clock = clock
        self.ids = ids
        self._log = log

    # -- the named queries ---------------------------------------------------------------------------

    async def create(self, new: NewOriginal) -> Original:
        """`CreateOriginalImage`: with one reference, or one more of it. The bytes are the caller's to store first."""
        lock = HashLock(new.content_hash)
        async with self.store.transaction(self.clock.now(), lock) as connection:
            return await self.add_references(connection, new, 1)

    async def by_id(self, original_id: UUID) -> Original | None:
        """`GetOriginalImageByID`."""
        if WHOSE.get() is not None:
            return await self._one("original_of_company", original_id, None)
        return await self._one("get_original_image_by_id", original_id)

    async def by_hash(self, content_hash: str) -> Original | None:
        """`GetOriginalImageByHash`; raises HashFormatError."""
        if WHOSE.get() is not None:
            return await self._one("original_of_company", None, validate_hash(content_hash))
        return await self._one("get_original_image_by_hash", validate_hash(content_hash))

    async def increment(self, original_id: UUID) -> Original | None:
        """`IncrementReferenceCount`; None where there is no such original."""
        return await self._one("increment_reference_count", original_id)

    async def decrement(self, original_id: UUID) -> Original | None:
        """`DecrementReferenceCount`, never below 0; None where there is no such original."""
        return await self._one("decrement_reference_count", [original_id])

    async def orphans(self, older_than: timedelta = GRACE, limit: int = CLEAN_UP_LIMIT) -> list[Original]:
        """`ListOrphanedOriginalImages`: without references for so long, the oldest first."""
        cutoff = self.clock.now() - older_than
        async with self.store.transaction(self.clock.now()) as connection:
            rows = await connection.fetch(ORIGINALS["list_orphaned_original_images"], cutoff, limit)
        return [_original(row) for row in rows]

    async def delete(self, original: Original) -> bool:
        """`DeleteOriginalImage`: the row, then its bytes; False where something refers to it."""
        lock = HashLock(original.content_hash, is_exclusive=True)
        async with self.store.transaction(self.clock.now(), lock) as connection:
            key = await connection.fetchval(ORIGINALS["delete_original_image"], original.id)
        if key is None:
            return False
        await self._remove_object(original.content_hash, key)
        return True

    async def stats(self) -> OriginalStats:
        """`GetOriginalImageStats`."""
        async with self.store.transaction(self.clock.now()) as connection:
            row = await connection.fetchrow(ORIGINALS["get_original_image_stats"])
        assert row is not None, "an aggregate gives a row"
        return record(OriginalStats, row)

    async def _one(self, name: str, *arguments: Any) -> Original | None:
        async with self.store.transaction(self.clock.now()) as connection:
            row = await connection.fetchrow(ORIGINALS[name], *arguments)
        return None if row is None else _original(row)

    # -- within a transaction of the caller's --------------------------------------------------------

    async def add_references(self, connection: Connection, new: NewOriginal, count: int) -> Original:
        """So many references more; the transaction holds the hash's lock, and the bytes are stored."""
        row = await connection.fetchrow(
            ORIGINALS["create_original_image"],
            self.ids(),
            new.content_hash,
            object_key(new.content_hash),
            new.file_size_bytes,
            new.mime_type,
            new.width,
            new.height,
            count,
        )
        return _original(row)

    async def release(self, connection: Connection, original_ids: Sequence[UUID | None]) -> list[Original]:
        """One reference less for each id; returns those without any left.

        A failure is logged and leaves the caller's transaction as it was: the deletion goes on, the count is mended.
        """
        wanted = [original_id for original_id in original_ids if original_id is not None]
        if not wanted:
            return []
        await connection.execute("SAVEPOINT release")
        try:
            rows = await connection.fetch(ORIGINALS["decrement_reference_count"], wanted)
        except asyncpg.PostgresError as error:
            await connection.execute("ROLLBACK TO SAVEPOINT release")
            self._say("warning", FAILED_LINE, error=f"{type(error).__name__}: {error}")
            return []
        return [original for row in rows if (original := _original(row)).reference_count == 0]

    # -- going ---------------------------------------------------------------------------------------

    async def decrement_reference_and_cleanup(self, original_id: UUID) -> bool:
        """`DecrementReferenceAndCleanup`: one reference less; the last one takes row and bytes along, then True."""
        async with self.store.transaction(self.clock.now()) as connection:
            row = await connection.fetchrow(ORIGINALS["decrement_reference_count"], [original_id])
        if row is None or row["reference_count"] > 0:
            return False
        return await self.remove(_original(row))

    async def remove(self, original: Original) -> bool:
        """Take an original without references away, and say so; whatever fails is logged and left to the clean-up."""
        try:
            deleted = await self.delete(original)
        except (*DATABASE_ERRORS, StoreFailed) as error:
            self._say("warning", FAILED_LINE, error=f"{type(error).__name__}: {error}", original_id=original.id)
            return False
        if deleted:
            self._say("info", DELETED_LINE, original_id=original.id)
        return deleted

    async def clean_up_orphaned_originals(self, older_than: timedelta = GRACE, limit: int = CLEAN_UP_LIMIT) -> int:
        """`CleanupOrphanedOriginals`: the background job's work; returns how many originals went."""
        deleted = 0
        for original in await self.orphans(older_than, limit):
            deleted += await self.remove(original)
        if deleted:
            self._say("info", "cleanup completed", deleted=deleted)
        return deleted

    async def mend_counts(self, limit: int = CLEAN_UP_LIMIT) -> int:
        """Counts that do not equal the rows are counted again, one by one under their lock; returns how many."""
        async with self.store.transaction(self.clock.now()) as connection:
            wrong = [row["id"] for row in await connection.fetch(ORIGINALS["list_miscounted_originals"], limit)]
        for original_id in wrong:
            async with self.store.transaction(self.clock.now()) as connection:
                await connection.execute(ORIGINALS["lock_original"], original_id)
                await connection.execute(ORIGINALS["recount_references"], original_id)
            self._say("warning", "reference count was wrong and is mended", original_id=original_id)
        return len(wrong)

    async def _remove_object(self, content_hash: str, key: str) -> None:
        """The store is the last to go, and nothing goes that a row names by now."""
        lock = HashLock(content_hash, is_exclusive=True)
        async with self.store.transaction(self.clock.now(), lock) as connection:
            if not await connection.fetchval(ORIGINALS["is_object_named"], key, content_hash):
                await self.objects.delete(key)

    async def back_fill_named(self) -> int:
        """Rows whose bytes lie under their hash get their original, in transactions of their own; returns how many."""
        async with self.store.session() as connection:
            return int(await connection.fetchval(ORIGINALS["back_fill_originals"]))

    async def forget_object(self, key: str) -> None:
        """Bytes that belonged to one row alone, which is gone; a failure is logged, and the sweep mends it."""
        try:
            await self.objects.delete(key)
        except StoreFailed as error:
            self._say("warning", "failed to delete stored object", error=error)

    # -- the sweep -----------------------------------------------------------------------------------

    async def sweep(self, older_than: timedelta = GRACE) -> int:
        """Remove stored objects that no row has named for so long; returns how many.

        An object counts as stray from when the sweep first saw it so, or from when it was stored if that was earlier.
        """
        seen: list[str] = []
        swept = await self._sweep_unfinished(self.clock.now() - older_than)
        for prefix in FOLDERS:
            for page in await self.objects.pages(prefix):
                stored_at = {stored.key: stored.modified_at for stored in page}
                async with self.store.transaction(self.clock.now()) as connection:
                    strays = await connection.fetch(ORIGINALS["note_strays"], list(stored_at))
                for stray in strays:
                    key = stray["object_key"]
                    if min(stray["found_at"], stored_at[key]) <= self.clock.now() - older_than:
                        swept += await self._sweep_object(key)
                    else:
                        seen.append(key)
        async with self.store.transaction(self.clock.now()) as connection:
            await connection.execute(ORIGINALS["forget_strays"], seen)
        return swept

    async def _sweep_unfinished(self, older_than: datetime) -> int:
        """What the store can not do here keeps nobody from sweeping the rest."""
        try:
            return await self.objects.sweep_unfinished(older_than)
        except StoreFailed as error:
            self._say("warning", "unfinished uploads were not swept", error=error)
            return 0

    async def _sweep_object(self, key: str) -> bool:
        name = key.rpartition("/")[2]
        content_hash = name if is_hash(name) and key == object_key(name) else ""
        lock = HashLock(content_hash, is_exclusive=True) if content_hash else None
        async with self.store.transaction(self.clock.now(), lock) as connection:
            if await connection.fetchval(ORIGINALS["is_object_named"], key, content_hash):
                return False
            await self.objects.delete(key)
        self._say("info", "swept stored object without a row", key=key)
        return True

    def _say(self, level: str, line: str, **fields: Any) -> None:
        told = " ".join(f"{name}={' '.join(str(value).split())[:300]}" for name, value in fields.items())
        self._log(level, f"[Originals] {line}{' ' if told else ''}{told}", device=None)


def _original(row: Any) -> Original:
    return record(Original, row, file_size_bytes=row["file_size"])
