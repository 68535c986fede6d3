"""What people see of devices and do about them: lists by keyset, one device, failed images retried, alerts resolved.

The pages and the HTTP API call the same functions. `company_id` is that of who looks, None for every company; rows of
another company are not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from server.clock import Clock
from server.hashing import compute_sha256
from server.once import EVERY_TIME, Once
from server.queries import load
from server.store import Place, Store

_RAW: Final = load("devices.sql")
DEVICES: Final = {
    name: sql.replace("{columns}", _RAW["device_columns"]).replace("{counts}", _RAW["counts"])
    for name, sql in _RAW.items()
}

FAILED_IMAGES_SHOWN: Final = 200
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


class Sort(StrEnum):
    """What the list of devices is ordered by."""

    NAME = "name"
    MAC = "mac"
    BATTERY = "battery"
    LAST_SEEN = "last_seen"
    NEXT_WAKE = "next_wake"


class Only(StrEnum):
    """Which devices are listed."""

    ALL = "all"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _Key:
    """A sort: the indexed expression, its SQL type, and what checks a key that came back from a page.

    `in_names` is the same among the names that a search reads, None where they do not have it.
    """

    expression: str
    type: str
    check: Callable[[str], object]
    in_names: str | None = None


def _moment(text: str) -> object:
    return text if text in ("infinity", "-infinity") else datetime.fromisoformat(text)


_KEYS: Final = {
    Sort.NAME: _Key("lower(coalesce(d.device_name, d.device_mac))", "text", str, "d.name_key"),
    Sort.MAC: _Key("d.device_mac", "text", str, "d.device_mac"),
    Sort.BATTERY: _Key("coalesce(d.battery_voltage, 'infinity'::real)", "real", float),
    Sort.LAST_SEEN: _Key("coalesce(d.last_seen_at, '-infinity'::timestamptz)", "timestamptz", _moment),
    Sort.NEXT_WAKE: _Key("coalesce(d.next_wake_at, 'infinity'::timestamptz)", "timestamptz", _moment),
}


@dataclass(frozen=True, slots=True)
class DevicePlace:
    """Where a page of devices begins: after the row with this sort key and id."""

    key: str
    device_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceQuery:
    """Which devices, in which order. `search` is part of a name or of a MAC, with or without its separators."""

    search: str = ""
    sort: Sort = Sort.NAME
    is_descending: bool = False
    only: Only = Only.ALL
    after: DevicePlace | None = None

    def checked_place(self, key: str, device_id: str) -> DevicePlace:
        """A place out of text; raises ValueError where it is none of this order."""
        _KEYS[self.sort].check(key)
        if _CONTROLS.search(key):
            raise ValueError("control characters")
        return DevicePlace(key, UUID(device_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A row of the list. `pending`: images pending or receiving."""

    device_id: UUID
    device_mac: str
    device_name: str | None
    provisioning_status: str
    is_active: bool
    battery_voltage: float | None
    battery_health_percent: int | None
    last_seen_at: datetime | None
    next_wake_at: datetime | None
    pending: int
    failed: int

    @property
    def title(self) -> str:
        """What people call it."""
        return self.device_name or self.device_mac

    @property
    def version(self) -> str:
        """Changes when anything that is shown does."""
        shown = {field.name: getattr(self, field.name) for field in fields(Device)}
        return compute_sha256([msgspec.json.encode(shown)])[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDetail(Device):
    """All of one device that its page shows. `total`: images of every state."""

    total: int
    wake_schedule_cron: str | None
    last_wake_at: datetime | None
    wifi_rssi: int | None
    firmware_version: str | None
    hardware_version: str | None
    protocol_version: str | None
    manual_wake_override: bool
    site_name: str | None
    program_name: str | None
    company_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedImage:
    """A failed image; `retry_at` is when its queued retry is due, None where none is queued."""

    image_id: UUID
    image_name: str
    captured_at: datetime
    received_chunks: int
    total_chunks: int | None
    retry_count: int
    max_retries: int
    failed_at: datetime | None
    timeout_reason: str | None
    retry_at: datetime | None
    retry_status: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert; `resolved_by` is a user, or `server` where the image came after all."""

    alert_id: UUID
    device_id: UUID
    device_name: str | None
    device_mac: str
    alert_type: str
    severity: str
    message: str
    triggered_at: datetime
    device_image_id: UUID | None
    resolved_at: datetime | None
    resolved_by: str | None
    resolution_notes: str | None


@dataclass(frozen=True, slots=True)
class Retries:
    """The commands that were queued, one for each image whose counter was set to 0."""

    image_ids: tuple[UUID, ...]
    command_ids: tuple[UUID, ...]


class NotFound(LookupError):
    """There is no such row, or it is another company's; the message names it."""


class NotNow(Exception):
    """The row stands otherwise than this needs; the message says how."""


class Devices:
    """Reads and acts on the rows of one server's database."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def listed(
        self, query: DeviceQuery, company_id: UUID | None, limit: int
    ) -> tuple[list[Device], DevicePlace | None]:
        """A page and where the next one begins, None at the end."""
        sql, arguments = page_sql(query, company_id, limit + 1)
        async with self._store.transaction(self._clock.now()) as connection:
            rows = await connection.fetch(sql, *arguments)
        last = rows[limit - 1] if len(rows) > limit else None
        place = None if last is None else DevicePlace(last["sort_key"], last["device_id"])
        return [_device(row) for row in rows[:limit]], place

    async def some(self, ids: Sequence[UUID], company_id: UUID | None) -> list[Device]:
        """The devices with these ids, as far as they are there."""
        async with self._store.transaction(self._clock.now()) as connection:
            rows = await connection.fetch(DEVICES["some"], company_id, list(ids))
        return [Device(**row) for row in rows]

    async def device(self, device_id: UUID, company_id: UUID | None) -> DeviceDetail:
        """One device; raises NotFound."""
        async with self._store.transaction(self._clock.now()) as connection:
            row = await connection.fetchrow(DEVICES["device"], company_id, device_id)
        if row is None:
            raise _no_device(device_id)
        return DeviceDetail(**row)

    async def failed_images(self, device_id: UUID, company_id: UUID | None) -> list[FailedImage]:
        """The newest failures of a device, at most FAILED_IMAGES_SHOWN."""
        async with self._store.transaction(self._clock.now()) as connection:
            rows = await connection.fetch(DEVICES["failed_images"], company_id, device_id, FAILED_IMAGES_SHOWN)
        return [FailedImage(**row) for row in rows]

    async def retry_image(self, image_id: UUID, by: str, company_id: UUID | None, once: Once = EVERY_TIME) -> Retries:
        """Sets the image's counter to 0 and queues a retry; raises NotFound, or NotNow where it has not failed."""
        async with self._store.transaction(self._clock.now()) as connection:
            await once.begin(connection)
            image = await connection.fetchrow(DEVICES["image_of"], company_id, image_id)
            if image is None:
                raise NotFound(f"no image {image_id}")
            queued = await _retried(connection, [image_id], by)
            if not queued.image_ids:
                raise NotNow(f"image {image_id} is {image['status']}: only a failed one is retried")
            await once.end(connection, queued)
        return queued

    async def retry_failed(self, device_id: UUID, by: str, company_id: UUID | None, once: Once = EVERY_TIME) -> Retries:
        """The same for every failed image of a device, all or none; raises NotFound or NotNow."""
        async with self._store.transaction(self._clock.now()) as connection:
            await once.begin(connection)
            if await connection.fetchval(DEVICES["lock_device"], company_id, device_id) is None:
                raise _no_device(device_id)
            ids = [row["image_id"] for row in await connection.fetch(DEVICES["failed_ids"], device_id)]
            queued = await _retried(connection, ids, by)
            await once.end(connection, queued)
        return queued

    async def alerts(
        self,
        company_id: UUID | None,
        limit: int,
        *,
        device_id: UUID | None = None,
        after: Place | None = None,
        are_resolved: bool = False,
    ) -> list[Alert]:
        """Alerts that are open, or are not any more, the newest first, after that place."""
        sql = DEVICES["alerts"].replace("{after}", "" if after is None else DEVICES["alerts_after"])
        sql = sql.replace("{resolved}", "NOT NULL" if are_resolved else "NULL")
        place = () if after is None else (after.created_at, after.id)
        async with self._store.transaction(self._clock.now()) as connection:
            rows = await connection.fetch(sql, company_id, limit, device_id, *place)
        return [Alert(**row) for row in rows]

    async def resolve_alert(
        self, alert_id: UUID, by: str, notes: str | None, company_id: UUID | None, once: Once = EVERY_TIME
    ) -> UUID:
        """Resolves an open alert, returns its device; raises NotFound, or NotNow where somebody has."""
        async with self._store.transaction(self._clock.now()) as connection:
            await once.begin(connection)
            device_id: UUID | None = await connection.fetchval(
                DEVICES["resolve_alert"], company_id, alert_id, by, notes
            )
            if device_id is None:
                row = await connection.fetchrow(DEVICES["alert"], company_id, alert_id)
                if row is None:
                    raise NotFound(f"no alert {alert_id}")
                raise NotNow(f"alert {alert_id} was resolved by {row['resolved_by']} already")
            await once.end(connection, device_id)
        return device_id


async def _retried(connection: Any, image_ids: Sequence[UUID], by: str) -> Retries:
    """One after another in the order of their keys; those that have not failed are left alone."""
    queued = []
    for image_id in image_ids:
        try:
            command_id = await connection.fetchval(DEVICES["retry"], image_id, by)
        except asyncpg.InvalidParameterValueError as error:
            raise NotNow(f"image {image_id} can't be retried: {error}") from None
        if command_id is not None:
            queued.append((image_id, command_id))
    return Retries(tuple(image for image, _ in queued), tuple(command for _, command in queued))


def page_sql(query: DeviceQuery, company_id: UUID | None, limit: int) -> tuple[str, list[Any]]:
    """The query of a page, with its arguments."""
    arguments: list[Any] = []
    name, macs = _patterns(query.search)

    def piece(piece_name: str, **values: Any) -> str:
        sql = DEVICES[piece_name]
        for placeholder, value in values.items():
            arguments.append(value)
            sql = sql.replace(f"{{{placeholder}}}", f"${len(arguments)}")
        return sql

    key, after = _KEYS[query.sort], query.after
    in_names = None if name is None else key.in_names
    named = "named" if in_names is not None else "named_elsewhere"
    words = {
        "{from}": "devices" if in_names is None else "device_names",
        "{whose}": "" if company_id is None else piece("whose", company=company_id),
        "{named}": "" if name is None else piece(named, name=name, macs=macs),
        "{only}": "" if query.only is Only.ALL else DEVICES[f"only_{query.only}"],
        "{after}": "" if after is None else piece("after", place=after.key, id=after.device_id),
        "{key}": key.expression,
        "{found_key}": in_names or key.expression,
        "{type}": key.type,
        "{way}": "DESC" if query.is_descending else "ASC",
        "{beyond}": "<" if query.is_descending else ">",
        "{limit}": str(limit),
    }
    sql = DEVICES["page"]
    for placeholder, word in words.items():
        sql = sql.replace(placeholder, word)
    return sql, arguments


def _patterns(search: str) -> tuple[str | None, list[str]]:
    """Of names, in lower case, and of MACs, which stand in upper case: as given, and without separators."""
    words = _CONTROLS.sub("", search.encode("utf-8", "ignore").decode()).strip()
    if not words:
        return None, []
    escaped = re.sub(r"([\\%_])", r"\\\1", words)
    macs = {escaped.upper(), re.sub("[:-]", "", escaped).upper()}
    return f"%{escaped.lower()}%", sorted(f"%{mac}%" for mac in macs)


def _device(row: Any) -> Device:
    return Device(**{name: value for name, value in row.items() if name != "sort_key"})


def _no_device(device_id: UUID) -> NotFound:
    return NotFound(f"no device {device_id}")
