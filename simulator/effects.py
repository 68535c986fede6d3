"""What a simulated device asks its driver to do, as frozen values: a closed union, made for `match`.

Times are scenario time in Unix milliseconds (UTC); sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from server.wire.messages import DeviceMessage

PublishEvent = Literal["hello", "metadata", "chunk", "telemetry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIdentity:
    """Who a device is: `device_id` stands in its topics (a MAC: 12 upper-case hex digits)."""

    device_id: str
    location: str = ""
    name: str = ""
    hardware_version: str = "ESP32-S3-CAM"


@dataclass(frozen=True, slots=True)
class Connect:
    """Try to get online, try `attempt` of `attempts`; give up after `limit_ms`.

    With `wifi_is_up` only the MQTT part (CONNECT and SUBSCRIBE) is wanted.
    """

    attempt: int
    attempts: int
    limit_ms: int
    wifi_is_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Publish this message, then report `Device.sent(number, now_ms)`; never more than one is under way."""

    number: int
    message: DeviceMessage
    event: PublishEvent
    chunk_index: int | None = None
    chunk_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishChunks:
    """Publish these chunks of one image together, then report `Device.sent(number, now_ms)`; only with `burst_chunks`.

    Each is what `Publish` of a `Chunk` would be; only the whole image is handed over, to be cut where it is encoded.
    """

    number: int
    image_name: str
    jpeg: bytes
    first_index: int
    count: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Leave the broker: with DISCONNECT, or without a word where `abrupt` (power gone, reset)."""

    abrupt: bool = False


@dataclass(frozen=True, slots=True)
class SleepUntil:
    """Call `Device.wake` at this time; until then nothing happens. None: no power, nobody knows until when."""

    at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A new photo is on the SD card; `sha256` is of its bytes as the camera made them (lower-case hex)."""

    image_name: str
    captured_at: datetime
    sha256: str
    size_bytes: int
    total_chunks: int
    wake_number: int
    damaged_at_source: bool
    offline: bool


@dataclass(frozen=True, slots=True)
class Woken:
    """A wake has begun; `reason` is `timer`, `button` or a reset reason."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class CardLost:
    """These photos were pending on a card that is gone (lower-case hex SHA-256): the device itself lost them."""

    lost_sha256: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageReleased:
    """The image left the queue of pending ones: the device takes it for stored. `sha256` tells equal names apart."""

    image_name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Log:
    """A line of the device's console."""

    level: Literal["info", "warning", "error"]
    text: str


Effect = Connect | Publish | PublishChunks | Disconnect | SleepUntil | Captured | ImageReleased | Log | Woken | CardLost
