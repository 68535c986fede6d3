"""Every message of the protocol as a frozen value, in the project's own words.

Field names of the wire live in `dialects`; nothing here knows them. `chunk_index` is 0-based; `Chunk.chunk_id`
is what stood on the wire (a dialect may count from 1). Sizes are bytes, times are aware UTC datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

# -- device to server ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensors:
    """Readings: degrees Celsius, %RH, hPa, kOhm. None where the device sent none."""

    temperature: float | None = None
    humidity: float | None = None
    pressure: float | None = None
    gas_resistance: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The device is awake and says what it still holds (`pending_list` is None where the firmware has none)."""

    device_id: str
    pending_count: int
    pending_list: tuple[str, ...] | None = None
    firmware_version: str | None = None
    hardware_version: str | None = None
    wifi_rssi_dbm: int | None = None
    battery_voltage_v: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Announces one image, before its chunks. `captured_at` is None where the device's time was unreadable."""

    device_id: str
    image_name: str
    captured_at: datetime | None
    image_size_bytes: int
    chunk_size_bytes: int
    total_chunks: int
    location: str | None = None
    error_code: int = 0
    sensors: Sensors = field(default_factory=Sensors)
    image_sha256: str | None = None
    dialect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One piece of an image."""

    device_id: str
    image_name: str
    chunk_id: int
    payload: bytes
    declared_size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """Anything else on `data`: sensor readings without an image."""

    device_id: str
    captured_at: datetime | None = None
    image_name: str | None = None
    error_code: int = 0
    sensors: Sensors = field(default_factory=Sensors)
    wifi_rssi_dbm: int | None = None
    battery_voltage_v: float | None = None


DeviceMessage = Hello | Metadata | Chunk | Telemetry

# -- server to device ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """SNAP: take a picture and send it (`cmd`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendImage:
    """Send the named image from the SD card (`cmd`); also used as the retry."""

    image_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAllPending:
    """Send everything that is still on the SD card, one after another (`cmd`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """Sleep until `next_wake` (`cmd`)."""

    next_wake: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingChunks:
    """Send just these chunks again (`ack`); 0-based here."""

    image_name: str
    chunk_indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """`ACK_OK: {}`: go on sending this image (`ack`)."""

    image_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """`ACK_OK` with a next wake time: this image is stored (`ack`)."""

    image_name: str
    next_wake: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Send (parts of) a timed-out image again (`device/{mac}/commands/retry`); None means all chunks."""

    image_id: str
    image_name: str
    chunk_indexes: tuple[int, ...] | None


ServerMessage = Capture | SendImage | SendAllPending | Sleep | MissingChunks | Resume | Done | Retry
