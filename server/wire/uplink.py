"""Device to server: bytes to messages (the server's half) and back (the simulator's half), by dialect.

Decoding refuses with RemoteProtocolError(reason, detail); `reason` is one of `fields.REFUSALS`. What the field is known
for is read: curly quotes, unpadded or space-separated timestamps, `Image_name`, `pending_count` (facts: wire 1, 2).
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec

from server.wire import limits
from server.wire.dialects import (
    CHUNK_COUNT_KEYS,
    CHUNK_SIZE_KEYS,
    SENSOR_KEYS,
    TIME_KEYS,
    Dialect,
    dialect_of_metadata,
)
from server.wire.errors import RemoteProtocolError
from server.wire.fields import (
    chunk_payload,
    error_code_of,
    file_name,
    finite_number,
    first_of,
    image_name_of,
    json_object,
    parsed_timestamp,
    plain_text,
    sensors_of,
    sha256_of,
    whole_number,
)
from server.wire.messages import Chunk, DeviceMessage, Hello, Metadata, Sensors, Telemetry
from server.wire.topics import Channel, TopicAddress, normalised_device_id, parse_uplink

# -- device to server: decode ----------------------------------------------------------------------


def decode(topic: str, payload: bytes) -> tuple[TopicAddress, DeviceMessage]:
    """The message in one PUBLISH from a device; raises RemoteProtocolError with a reason of `REFUSALS`."""
    address = parse_uplink(topic)
    fields = json_object(payload)
    _check_identity(address, fields)
    if address.channel is Channel.STATUS:
        return address, _hello(address, fields)
    if "chunk_id" in fields:
        return address, _chunk(address, fields)
    if any(key in fields for key in CHUNK_COUNT_KEYS):
        return address, _metadata(address, fields)
    return address, _telemetry(address, fields)


def _check_identity(address: TopicAddress, fields: dict[str, Any]) -> None:
    for key in ("device_id", "device_mac"):
        named = fields.get(key)
        if named is None:
            continue
        if not isinstance(named, str) or normalised_device_id(named) != address.device_id:
            raise RemoteProtocolError(
                "identity_mismatch", f"{key} names {str(named)[:64]!r} on the topic of {address.device_id}"
            )


def _hello(address: TopicAddress, fields: dict[str, Any]) -> Hello:
    status = fields.get("status")
    if not isinstance(status, str) or status.strip().lower() != "alive":
        raise RemoteProtocolError("bad_status", f"status is {str(status)[:40]!r}, expected 'Alive'")
    pending = fields.get("pendingImg", fields.get("pending_count", 0))
    names = fields.get("pending_list")
    pending_list = None
    if names is not None:
        if not isinstance(names, list):
            raise RemoteProtocolError("bad_text", "pending_list is not a list of names")
        pending_list = tuple(file_name(name, "pending_list") for name in names[: limits.PENDING_LIST_NAMES_MAX])
    rssi = finite_number(fields, "wifi_rssi", -200, 100)
    return Hello(
        device_id=address.device_id,
        pending_count=whole_number(pending, "pendingImg", 0, limits.PENDING_COUNT_MAX),
        pending_list=pending_list,
        firmware_version=plain_text(fields, "firmware_version"),
        hardware_version=plain_text(fields, "hardware_version"),
        wifi_rssi_dbm=None if rssi is None else round(rssi),
        battery_voltage_v=finite_number(fields, "battery_voltage", 0, 100),
    )


def _metadata(address: TopicAddress, fields: dict[str, Any]) -> Metadata:
    dialect = dialect_of_metadata(fields, address.family)
    size_bytes = whole_number(fields.get("image_size"), "image_size", 1, limits.IMAGE_SIZE_BYTES_MAX)
    total = whole_number(first_of(fields, CHUNK_COUNT_KEYS), dialect.chunk_count_key, 1, limits.CHUNK_COUNT_MAX)
    chunk_size = first_of(fields, CHUNK_SIZE_KEYS)
    if chunk_size is None:
        chunk_size = -(-size_bytes // total)
    chunk_size_bytes = whole_number(chunk_size, dialect.chunk_size_key, 1, limits.CHUNK_SIZE_BYTES_MAX)
    if total > size_bytes or total * chunk_size_bytes < size_bytes:
        raise RemoteProtocolError(
            "inconsistent_size", f"{size_bytes} bytes do not fit into {total} chunks of {chunk_size_bytes}"
        )
    return Metadata(
        device_id=address.device_id,
        image_name=image_name_of(fields),
        captured_at=parsed_timestamp(first_of(fields, TIME_KEYS)),
        image_size_bytes=size_bytes,
        chunk_size_bytes=chunk_size_bytes,
        total_chunks=total,
        location=plain_text(fields, "location"),
        error_code=error_code_of(fields),
        sensors=sensors_of(fields),
        image_sha256=sha256_of(fields),
        dialect=dialect.name,
    )


def _chunk(address: TopicAddress, fields: dict[str, Any]) -> Chunk:
    declared = fields.get("max_chunk_size", fields.get("max_chunks_size"))
    return Chunk(
        device_id=address.device_id,
        image_name=image_name_of(fields),
        chunk_id=whole_number(fields["chunk_id"], "chunk_id", 0, limits.CHUNK_COUNT_MAX),
        payload=chunk_payload(fields.get("payload")),
        declared_size_bytes=None
        if declared is None
        else whole_number(declared, "max_chunk_size", 1, limits.CHUNK_SIZE_BYTES_MAX),
    )


def _telemetry(address: TopicAddress, fields: dict[str, Any]) -> Telemetry:
    rssi = finite_number(fields, "wifi_rssi", -200, 100)
    name = fields.get("image_name")
    return Telemetry(
        device_id=address.device_id,
        captured_at=parsed_timestamp(first_of(fields, TIME_KEYS)),
        image_name=None if name is None else file_name(name, "image_name"),
        error_code=error_code_of(fields),
        sensors=sensors_of(fields),
        wifi_rssi_dbm=None if rssi is None else round(rssi),
        battery_voltage_v=finite_number(fields, "battery_voltage", 0, 100),
    )


# -- device to server: encode (the simulator's half) -------------------------------------------------


def encode_device_message(
    message: DeviceMessage, dialect: Dialect, quirks: frozenset[str] = frozenset()
) -> tuple[Channel, bytes]:
    """Channel and payload as a device of `dialect` writes them.

    Quirks: `unpadded_timestamps`, `space_timestamps`, `curly_quotes` (facts: wire 1).
    """
    match message:
        case Hello():
            channel, body = Channel.STATUS, _hello_body(message, dialect)
        case Metadata():
            channel, body = Channel.DATA, _metadata_body(message, dialect, quirks)
        case Chunk():
            channel, body = Channel.DATA, _chunk_body(message, dialect)
        case Telemetry():
            channel, body = Channel.DATA, _telemetry_body(message, dialect, quirks)
    payload = msgspec.json.encode(body)
    if "curly_quotes" in quirks and not isinstance(message, Chunk):
        payload = payload.replace(b'"', "\u201c".encode())
    return channel, payload


def _hello_body(message: Hello, dialect: Dialect) -> dict[str, Any]:
    body: dict[str, Any] = {
        "device_id": message.device_id,
        "status": "Alive",
        "pendingImg": message.pending_count,
    }
    if dialect.sends_pending_list and message.pending_list is not None:
        body["pending_list"] = list(message.pending_list[: limits.PENDING_LIST_NAMES_MAX])
    optional = {
        "firmware_version": message.firmware_version,
        "hardware_version": message.hardware_version,
        "wifi_rssi": message.wifi_rssi_dbm,
        "battery_voltage": message.battery_voltage_v,
    }
    return body | {key: value for key, value in optional.items() if value is not None}


def _metadata_body(message: Metadata, dialect: Dialect, quirks: frozenset[str]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "device_id": message.device_id,
        "image_name": message.image_name,
        dialect.time_key: None if message.captured_at is None else _time_text(message.captured_at, quirks),
        "image_size": message.image_size_bytes,
        dialect.chunk_size_key: message.chunk_size_bytes,
        dialect.chunk_count_key: message.total_chunks,
        "location": message.location or "",
        "error": message.error_code,
    }
    body |= _sensor_fields(message.sensors, dialect)
    if dialect.sends_sha256 and message.image_sha256:
        body["image_sha256"] = message.image_sha256
    return body


def _chunk_body(message: Chunk, dialect: Dialect) -> dict[str, Any]:
    as_text = dialect.payload_form == "base64"
    return {
        "device_id": message.device_id,
        "image_name": message.image_name,
        "chunk_id": message.chunk_id,
        "max_chunk_size": message.declared_size_bytes or len(message.payload),
        "payload": base64.b64encode(message.payload).decode() if as_text else list(message.payload),
    }


def _telemetry_body(message: Telemetry, dialect: Dialect, quirks: frozenset[str]) -> dict[str, Any]:
    body: dict[str, Any] = {"device_id": message.device_id}
    optional = {
        dialect.time_key: None if message.captured_at is None else _time_text(message.captured_at, quirks),
        "image_name": message.image_name,
        "error": message.error_code or None,
        "wifi_rssi": message.wifi_rssi_dbm,
        "battery_voltage": message.battery_voltage_v,
    }
    body |= {key: value for key, value in optional.items() if value is not None}
    return body | _sensor_fields(message.sensors, dialect)


def _sensor_fields(sensors: Sensors, dialect: Dialect) -> dict[str, Any]:
    values = {key: value for key in SENSOR_KEYS if (value := getattr(sensors, key)) is not None}
    return {"sensor_data": values} if dialect.sensors_nested and values else values


def _time_text(moment: datetime, quirks: frozenset[str]) -> str:
    utc = moment.astimezone(UTC)
    if "unpadded_timestamps" in quirks:
        return f"{utc.year}-{utc.month}-{utc.day}T{utc.hour}:{utc.minute:02d}:{utc.second:02d}Z"
    separator = " " if "space_timestamps" in quirks else "T"
    return f"{utc.replace(microsecond=0, tzinfo=None).isoformat(separator)}Z"
