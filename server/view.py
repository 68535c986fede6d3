"""What the server knows of one device: read in the transaction, changed by `ingest`, written back by `store`.

Plain records without I/O. `None` for a device_id means that no row exists yet. Times are aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from uuid import UUID

from server.wire.dialects import Dialect, dialect_named
from server.wire.messages import Metadata
from server.wire.topics import Family


class Standing(StrEnum):
    """What a device may do: only a mapped one is asked for pictures."""

    UNKNOWN = "unknown"
    UNMAPPED = "unmapped"
    INACTIVE = "inactive"
    MAPPED = "mapped"


@dataclass(slots=True, kw_only=True)
class ImageView:
    """One row of device_images with the chunk indexes that are there (empty where the image is complete)."""

    image_id: UUID
    image_name: str
    wire_image_name: str
    status: str
    captured_at: datetime
    captured_at_source: str
    image_size_bytes: int | None
    chunk_size_bytes: int | None
    total_chunks: int | None
    have: set[int] = field(default_factory=set)
    retry_count: int = 0
    max_retries: int = 3
    attempt: int = 0
    failed_at: datetime | None = None
    failure: str | None = None
    session_id: UUID | None = None
    last_chunk_at: datetime | None = None
    dialect: str | None = None
    expected_sha256: str | None = None
    metadata: dict[str, object] = field(default_factory=dict)
    created_seq: int = 0
    error_code: int = 0

    @property
    def is_complete(self) -> bool:
        """Stored whole."""
        return self.status == "complete"

    @property
    def is_superseded(self) -> bool:
        """Closed by newer metadata of another capture with its name; only its own metadata opens it again."""
        return self.status == "failed" and self.failure == SUPERSEDED

    @property
    def is_open(self) -> bool:
        """Chunks of its name belong to it."""
        return not self.is_complete and not self.is_superseded

    @property
    def is_resumable(self) -> bool:
        """The server asks for the rest of it at HELLO (design 6.3)."""
        if self.status in ("pending", "receiving"):
            return True
        return self.status == "failed" and not self.is_superseded and self.retry_count < self.max_retries

    @property
    def is_whole(self) -> bool:
        """Every chunk is there, and the image waits for its completion."""
        return not self.is_complete and self.total_chunks is not None and len(self.have) >= self.total_chunks

    def missing(self) -> tuple[int, ...]:
        """0-based indexes that are not there yet, ascending."""
        return tuple(self._missing())

    def first_missing(self, count: int) -> tuple[int, ...]:
        """No more than so many of them."""
        return tuple(islice(self._missing(), count))

    def _missing(self) -> Iterator[int]:
        return (index for index in range(self.total_chunks or 0) if index not in self.have)


SUPERSEDED = "superseded"


@dataclass(slots=True, kw_only=True)
class SessionView:
    """One wake session and its wake payload row: HELLO (or first message) to sleep."""

    session_id: UUID
    payload_id: UUID
    wake_at: datetime
    status: str
    protocol_state: str
    wake_type: str
    answer: str
    hello_digest: str | None
    last_message_at: datetime
    next_wake_at: datetime
    pending_count: int = 0
    pending_list: tuple[str, ...] | None = None
    offers_expected: int = 0
    missing_rounds: int = 0
    asked_at: datetime | None = None
    backlog_asked: list[str] = field(default_factory=list)
    images_stored: list[UUID] = field(default_factory=list)
    image_id: UUID | None = None
    answer_image_id: UUID | None = None
    captured: bool = False
    messages: int = 1
    chunks_received: int = 0
    chunk_duplicates: int = 0
    error_codes: list[int] = field(default_factory=list)
    telemetry: dict[str, object] = field(default_factory=dict)
    ack_sent_at: datetime | None = None
    snap_sent_at: datetime | None = None
    sleep_sent_at: datetime | None = None
    ended_at: datetime | None = None
    payload_status: str = "in_progress"

    @property
    def is_open(self) -> bool:
        """The device may still be awake."""
        return self.status == "in_progress"


@dataclass(slots=True, kw_only=True)
class CommandView:
    """One due command of the queue, in the order in which it is to be delivered.

    `was_sent`: an earlier HELLO was answered with it, and nobody has seen that answer leave. `published`: this batch
    has dealt with it.
    """

    command_id: UUID
    command_type: str
    image_id: UUID | None
    image_status: str | None = None
    payload: dict[str, object] = field(default_factory=dict)
    was_sent: bool = False
    published: bool = False


def newest(images: Iterable[ImageView]) -> ImageView | None:
    """The capture that came last; of those that came at once, the one that was taken last."""
    return max(images, key=lambda image: (image.created_seq, image.captured_at), default=None)


@dataclass(slots=True, kw_only=True)
class DeviceView:
    """Everything one decision needs about one device."""

    mac: str
    device_id: UUID | None
    standing: Standing
    dialect: Dialect
    family: Family
    cron: str | None = None
    timezone: str = "UTC"
    manual_wake_override: bool = False
    next_wake_at: datetime | None = None
    session: SessionView | None = None
    images: list[ImageView] = field(default_factory=list)
    commands: list[CommandView] = field(default_factory=list)
    staged: dict[str, dict[int, bytes]] = field(default_factory=dict)
    battery_voltage_v: float | None = None
    wifi_rssi_dbm: int | None = None
    firmware_version: str | None = None
    hardware_version: str | None = None
    last_seen_at: datetime | None = None
    last_wake_at: datetime | None = None

    def speaks(self, family: Family) -> None:
        """Its message came on that family's topics: an update may have brought it there."""
        if family != self.family:
            self.family = family
            self.dialect = dialect_named(self.dialect.name, family)

    def image(self, image_id: UUID | None) -> ImageView | None:
        """The image with that id, if it was read."""
        return next((image for image in self.images if image.image_id == image_id), None)

    def newest_open(self, wire_name: str) -> ImageView | None:
        """The capture that chunks of this name belong to (design 9.4)."""
        named = [image for image in self.images if image.wire_image_name == wire_name and image.is_open]
        return newest(named)

    def same_capture(self, metadata: Metadata, *, photo_due: bool) -> ImageView | None:
        """The image that this metadata announces again, or None for a new photo (design 6.8).

        A photo that is offered again says the time that it said before: another time, or none where there was one, is
        another photo. The server's own time says nothing: name, size and count decide while the image is incomplete;
        a complete one is the same where the device still says no time, unless a commanded photo is due.
        """
        for image in sorted(self.images, key=lambda image: -image.created_seq):
            if (
                image.wire_image_name != metadata.image_name
                or image.image_size_bytes != metadata.image_size_bytes
                or image.total_chunks != metadata.total_chunks
            ):
                continue
            if image.captured_at_source == "device":
                if image.captured_at == metadata.captured_at:
                    return image
            elif not image.is_complete or (metadata.captured_at is None and not photo_due):
                return image
        return None

    def oldest_resumable(self, names: tuple[str, ...] | None) -> ImageView | None:
        """The image to go on with at HELLO: oldest capture first, among `names` where the device listed them."""
        candidates = [
            image for image in self.images if image.is_resumable and (names is None or image.wire_image_name in names)
        ]
        return min(candidates, key=lambda image: (image.captured_at, image.created_seq), default=None)

    def free_image_name(self, wire_name: str, captured_at: datetime) -> str:
        """The row's name for a new capture: the plain one first, then `<stem>__<captured_at UTC>.jpg`."""
        taken = {image.image_name for image in self.images}
        if wire_name not in taken:
            return wire_name
        stem, dot, ending = wire_name.rpartition(".")
        base = f"{stem if dot else wire_name}__{captured_at:%Y%m%dT%H%M%SZ}"
        suffix = f".{ending}" if dot else ""
        number = 1
        name = base + suffix
        while name in taken:
            number += 1
            name = f"{base}_{number}{suffix}"
        return name
