"""What was written down of devices: images, wake sessions, commands, acks, history, duplicates, quarantine, by keyset.

`company_id` is that of who looks, None for every company; rows of another company are not there.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from server.clock import Clock
from server.devices import NotFound
from server.objects import ObjectStore
from server.once import EVERY_TIME, Once
from server.queries import load
from server.store import Store

JOURNALS = load("journals.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceImage:
    """An image of a device; `image_size` in bytes, as the device announced it."""

    image_id: UUID
    image_name: str
    captured_at: datetime
    status: str
    received_chunks: int
    total_chunks: int | None
    retry_count: int
    max_retries: int
    image_size: int | None
    completed_at: datetime | None
    timeout_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeSession:
    """HELLO to sleep. `missing`: chunks that were not there at its end; `missing_rounds`: how often was asked."""

    session_id: UUID
    wake_timestamp: datetime
    ended_at: datetime | None
    status: str
    answer: str | None
    image_name: str | None
    chunks_sent: int
    chunks_total: int | None
    missing: int
    pending_images_count: int
    missing_rounds: int
    chunk_duplicates: int
    next_wake_scheduled: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to a device."""

    command_id: UUID
    created_at: datetime
    command_type: str
    status: str
    priority: int
    issued_by: str | None
    image_name: str | None
    scheduled_for: datetime | None
    expires_at: datetime | None
    published_at: datetime | None
    completed_at: datetime | None
    error_message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """Something that was said to a device."""

    ack_id: int
    published_at: datetime
    ack_type: str
    image_name: str | None
    mqtt_topic: str | None
    next_wake_time: datetime | None
    missing_count: int | None
    mqtt_success: bool
    mqtt_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEvent:
    """Something that happened to a device."""

    history_id: int
    event_timestamp: datetime
    event_category: str
    event_type: str
    severity: str
    description: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """An image that was offered again in a session although it was stored, and how often."""

    log_id: int
    duplicate_received_at: datetime
    device_id: UUID
    device: str
    image_id: UUID | None
    image_name: str
    original_captured_at: datetime | None
    duplicate_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A message that nobody could read; `beginning` of its payload, with escapes."""

    id: int
    received_at: datetime
    topic: str
    reason: str
    detail: str | None
    device_mac: str | None
    size_bytes: int
    beginning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Images captured on a day (UTC), by outcome; from capture to completion in seconds."""

    day: date
    complete: int
    under_way: int
    failed: int
    retries: int
    median_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryStep:
    """Devices whose battery stands at `volts` to 0.1 V above."""

    volts: float
    devices: int


class Journal(StrEnum):
    """A list."""

    IMAGES = "images"
    WAKE_SESSIONS = "wake_sessions"
    COMMANDS = "commands"
    ACKS = "acks"
    HISTORY = "history"
    DUPLICATES = "duplicates"
    QUARANTINE = "quarantine"


def _bigint(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError("out of range")
    return number


@dataclass(frozen=True, slots=True)
class _Shape:
    """Its rows, and the columns that order them: table's letter, moment, key, the key's SQL type and check."""

    row: Callable[..., Any]
    of: str
    moment: str
    key: str
    type: str = "bigint"
    check: Callable[[str], object] = _bigint


_SHAPES: Final = {
    Journal.IMAGES: _Shape(DeviceImage, "i", "captured_at", "image_id", "uuid", UUID),
    Journal.WAKE_SESSIONS: _Shape(WakeSession, "s", "wake_timestamp", "session_id", "uuid", UUID),
    Journal.COMMANDS: _Shape(Command, "c", "created_at", "command_id", "uuid", UUID),
    Journal.ACKS: _Shape(Ack, "a", "published_at", "ack_id"),
    Journal.HISTORY: _Shape(HistoryEvent, "h", "event_timestamp", "history_id"),
    Journal.DUPLICATES: _Shape(Duplicate, "l", "duplicate_received_at", "log_id"),
    Journal.QUARANTINE: _Shape(Quarantined, "q", "received_at", "id"),
}


class Journals:
    """Reads them; and asks for a capture at the next wake."""

    def __init__(self, store: Store, clock: Clock, objects: ObjectStore) -> None:
        self._store = store
        self._clock = clock
        self._objects = objects

    async def listed(
        self,
        journal: Journal,
        company_id: UUID | None,
        limit: int,
        *,
        device_id: UUID | None = None,
        after: str | None = None,
    ) -> tuple[list[Any], str | None]:
        """A page, the newest first, and the name of the next one. ValueError: `after` is no such name."""
        shape = _SHAPES[journal]
        sql, arguments = _page(journal, company_id, device_id, after)
        async with self._store.transaction(self._clock.now()) as connection:
            found = await connection.fetch(f"{sql} LIMIT {limit + 1}", *arguments)
        rows = [shape.row(**row) for row in found[:limit]]
        return rows, _name(shape, found[limit - 1]) if len(found) > limit else None

    async def image_bytes(self, image_id: UUID, company_id: UUID | None) -> tuple[str, bytes]:
        """The name and the JPEG of a complete image; raises NotFound."""
        async with self._store.transaction(self._clock.now()) as connection:
            row = await connection.fetchrow(JOURNALS["bytes_of_image"], company_id, image_id)
        key = None if row is None else row["s3_key"] or row["object_key"]
        if row is None or key is None or row["status"] != "complete":
            raise NotFound(f"no whole image {image_id}")
        try:
            return row["image_name"], await self._objects.get(key)
        except FileNotFoundError:
            raise NotFound(f"the bytes of image {image_id} are gone") from None

    async def set_override(
        self, device_id: UUID, is_wanted: bool, by: str, company_id: UUID | None, once: Once = EVERY_TIME
    ) -> UUID:
        """Whether the device takes a photo at its next wake, whatever its schedule says; raises NotFound."""
        async with self._store.transaction(self._clock.now()) as connection:
            await once.begin(connection)
            found = await connection.fetchval(JOURNALS["override"], company_id, device_id, is_wanted, by)
            if found is None:
                raise NotFound(f"no device {device_id}")
            await connection.execute(JOURNALS["note_override"], device_id, by, is_wanted)
            await once.end(connection, device_id)
        return device_id

    async def days(self, company_id: UUID | None, since: datetime) -> list[Day]:
        """Images by the day of their capture; days without any are not there."""
        whose: tuple[UUID, ...] = () if company_id is None else (company_id,)
        sql = JOURNALS["images_by_day"].replace("{of_company}", JOURNALS["of_company"] if whose else "")
        async with self._store.transaction(self._clock.now()) as connection:
            rows = await connection.fetch(sql, since, *whose)
        return [Day(**row) for row in rows]

    async def batteries(self, company_id: UUID | None) -> list[BatteryStep]:
        """How many devices at each tenth of a volt."""
        async with self._store.transaction(self._clock.now()) as connection:
            rows = await connection.fetch(JOURNALS["batteries"], company_id)
        return [BatteryStep(**row) for row in rows]


def _page(
    journal: Journal, company_id: UUID | None, device_id: UUID | None, after: str | None
) -> tuple[str, Sequence[Any]]:
    shape = _SHAPES[journal]
    moment, key = f"{shape.of}.{shape.moment}", f"{shape.of}.{shape.key}"
    arguments: list[Any] = []

    def piece(name: str, **values: Any) -> str:
        sql = JOURNALS[name]
        for placeholder, value in values.items():
            arguments.append(value)
            sql = sql.replace(f"{{{placeholder}}}", f"${len(arguments)}")
        words = {"{moment}": moment, "{key}": key, "{type}": shape.type, "{of}": shape.of, "{device}": "d"}
        for placeholder, word in words.items():
            sql = sql.replace(placeholder, word)
        return sql

    sql = JOURNALS[journal] + "\nWHERE true"
    if company_id is not None:
        sql += "\n" + piece("whose", company=company_id)
    if device_id is not None:
        sql += "\n" + piece("of_device", device_id=device_id)
    if after is not None:
        place, last = _place(shape, after)
        sql += "\n" + piece("after", place=place, last=last)
    return f"{sql}\nORDER BY {moment} DESC, {key} DESC", arguments


def _name(shape: _Shape, row: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps([row[shape.moment].isoformat(), str(row[shape.key])]).encode()).decode()


def _place(shape: _Shape, name: str) -> tuple[str, str]:
    try:
        moment, key = json.loads(base64.urlsafe_b64decode(name.encode()))
        if datetime.fromisoformat(moment).tzinfo is None:
            raise ValueError("a moment without its zone")
        key = shape.check(key)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("give the `next` of a page as it was, or leave it out") from error
    return moment, str(key)
