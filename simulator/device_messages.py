"""What a device says: its readings of one wake, and the message behind each step of its outbox. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from server.wire.dialects import DIALECTS
from server.wire.limits import PENDING_LIST_NAMES_MAX
from server.wire.messages import Chunk, DeviceMessage, Hello, Metadata, Sensors, Telemetry
from simulator.effects import Captured, DeviceIdentity
from simulator.power import Battery
from simulator.profile import Profile
from simulator.rng import Rng
from simulator.sd_card import Entry, SdCard
from simulator.transfer import Step


class Readings:
    """Sensors and signal of one wake, drawn from the device's generator when they are first asked for."""

    def __init__(self, rng: Rng, wake_number: int, profile: Profile) -> None:
        self._rng = rng
        self._wake_number = wake_number
        self._profile = profile

    @property
    def sensors(self) -> Sensors:
        """What the sensors say."""
        return self._drawn[0]

    @property
    def wifi_rssi_dbm(self) -> int:
        """Strength of the signal."""
        return self._drawn[1]

    @cached_property
    def _drawn(self) -> tuple[Sensors, int]:
        draw = self._rng.child(f"readings/{self._wake_number}")
        sensors = Sensors(
            temperature=round(draw.uniform(4.0, 31.0), 1),
            humidity=round(draw.uniform(35.0, 95.0), 1),
            pressure=round(draw.uniform(985.0, 1030.0), 1),
            gas_resistance=round(draw.uniform(8.0, 60.0), 1),
        )
        drawn_dbm = draw.between(-74, -52)
        return sensors, drawn_dbm if self._profile.wifi_rssi_dbm is None else self._profile.wifi_rssi_dbm


def hello_of(card: SdCard, battery: Battery, identity: DeviceIdentity, profile: Profile, readings: Readings) -> Hello:
    """HELLO with what is pending on the card; names only in firmware that has `pending_list`."""
    names = tuple(entry.image_name for entry in card.pending[:PENDING_LIST_NAMES_MAX])
    volts = battery.voltage_v if profile.battery_voltage_v is None else profile.battery_voltage_v
    return Hello(
        device_id=identity.device_id,
        pending_count=card.pending_count,
        pending_list=names if DIALECTS[profile.dialect].sends_pending_list else None,
        firmware_version=profile.firmware_version,
        hardware_version=identity.hardware_version,
        wifi_rssi_dbm=readings.wifi_rssi_dbm,
        battery_voltage_v=volts,
    )


def message_of(
    step: Step, jpeg_of: Callable[[Entry], bytes], identity: DeviceIdentity, profile: Profile, readings: Readings
) -> DeviceMessage:
    """The message of one step; `jpeg_of` gives the bytes of an entry."""
    entry = step.entry
    if entry is None:
        return Telemetry(device_id=identity.device_id, error_code=step.error_code, sensors=readings.sensors)
    if step.kind == "telemetry":
        return Telemetry(device_id=identity.device_id, image_name=entry.image_name)
    dialect = DIALECTS[profile.dialect]
    size_bytes = profile.chunk_size_bytes
    if step.kind == "chunk":
        return chunk_message(identity.device_id, entry.image_name, jpeg_of(entry), step.index, profile)
    return Metadata(
        device_id=identity.device_id,
        image_name=entry.image_name,
        captured_at=entry.captured_at,
        image_size_bytes=entry.size_bytes,
        chunk_size_bytes=size_bytes,
        total_chunks=entry.total_chunks,
        location=identity.location or None,
        sensors=readings.sensors,
        image_sha256=entry.sha256 if dialect.sends_sha256 else None,
        dialect=profile.dialect,
    )


def chunk_message(device_id: str, image_name: str, jpeg: bytes, index: int, profile: Profile) -> Chunk:
    """Chunk `index` (from 0) of an image, numbered as the profile's dialect does."""
    start = index * profile.chunk_size_bytes
    return Chunk(
        device_id=device_id,
        image_name=image_name,
        chunk_id=index + DIALECTS[profile.dialect].first_chunk_id,
        payload=jpeg[start : start + profile.chunk_size_bytes],
        declared_size_bytes=profile.chunk_size_bytes,
    )


def captured_of(entry: Entry, profile: Profile, *, offline: bool) -> Captured:
    """What the history is told of a new photo."""
    return Captured(
        image_name=entry.image_name,
        captured_at=entry.captured_at,
        sha256=entry.sha256,
        size_bytes=entry.size_bytes,
        total_chunks=entry.total_chunks,
        wake_number=entry.wake_number,
        damaged_at_source=profile.jpeg_without is not None,
        offline=offline,
    )
