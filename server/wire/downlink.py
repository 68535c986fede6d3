"""Server to device: replies to bytes (the server's half) and back (the device's half), by dialect (facts: wire 3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from server.wire import limits
from server.wire.dialects import Dialect
from server.wire.errors import RemoteProtocolError
from server.wire.fields import file_name, image_name_of, json_object, whole_number
from server.wire.messages import (
    Capture,
    Done,
    MissingChunks,
    Resume,
    Retry,
    SendAllPending,
    SendImage,
    ServerMessage,
    Sleep,
)
from server.wire.topics import Channel

_WAKE_TIME = re.compile(r"(\d{1,2}):(\d{2})\s?([AP]M)\Z", re.IGNORECASE)


def wake_time_text(moment: datetime) -> str:
    """`5:30PM`: UTC, 12-hour, no leading zero, minutes always shown."""
    utc = moment.astimezone(UTC)
    return f"{utc.hour % 12 or 12}:{utc.minute:02d}{'AM' if utc.hour < 12 else 'PM'}"


def wake_time_after(text: str, now: datetime) -> datetime | None:
    """The next instant after `now` that `text` names; None where it is no wake time."""
    match = _WAKE_TIME.match(text.strip())
    if match is None or not 1 <= int(match[1]) <= 12 or int(match[2]) > 59:
        return None
    hour = int(match[1]) % 12 + (12 if match[3].upper() == "PM" else 0)
    moment = now.astimezone(UTC).replace(hour=hour, minute=int(match[2]), second=0, microsecond=0)
    return moment if moment > now else moment + timedelta(days=1)


def encode_reply(message: ServerMessage, device_id: str, dialect: Dialect) -> tuple[Channel, bytes]:
    """Channel and payload of a reply to a device."""
    first = dialect.first_chunk_id
    body: dict[str, Any] = {"device_id": device_id}
    match message:
        case Capture():
            channel, body["capture_image"] = Channel.CMD, True
        case SendImage(image_name=name):
            channel, body["send_image"] = Channel.CMD, name
        case SendAllPending():
            channel, body["send_all_pending"] = Channel.CMD, True
        case Sleep(next_wake=moment):
            channel, body["next_wake"] = Channel.CMD, wake_time_text(moment)
        case MissingChunks(image_name=name, chunk_indexes=indexes):
            channel = Channel.ACK
            body |= {"image_name": name, "missing_chunks": [index + first for index in indexes]}
        case Resume(image_name=name):
            channel = Channel.ACK
            body |= {"image_name": name, "ACK_OK": {}}
        case Done(image_name=name, next_wake=moment):
            channel = Channel.ACK
            body |= {"image_name": name, "ACK_OK": {"next_wake_time": wake_time_text(moment)}}
        case Retry(image_id=image_id, image_name=name, chunk_indexes=maybe):
            channel = Channel.RETRY
            chunks = "all" if maybe is None else [index + first for index in maybe]
            body |= {"image_id": image_id, "image_name": name, "chunks_to_send": chunks}
    return channel, msgspec.json.encode(body)


def decode_reply(channel: Channel, payload: bytes, now: datetime, dialect: Dialect) -> ServerMessage:
    """What a reply tells a device, read as tolerantly as firmware does; raises RemoteProtocolError."""
    fields = json_object(payload)
    name = fields.get("image_name", fields.get("Image_name"))
    ack = fields.get("ACK_OK")
    if channel is Channel.RETRY:
        return _retry(fields, dialect)
    if isinstance(fields.get("missing_chunks"), list) and name is not None:
        return MissingChunks(image_name=file_name(name, "image_name"), chunk_indexes=_indexes(fields, dialect))
    if isinstance(ack, dict) and name is not None:
        wake = ack.get("next_wake_time")
        if not wake:
            return Resume(image_name=file_name(name, "image_name"))
        return Done(image_name=file_name(name, "image_name"), next_wake=_wake_time(wake, now))
    if fields.get("capture_image") is True:
        return Capture()
    if "send_image" in fields:
        return SendImage(image_name=file_name(fields["send_image"], "send_image"))
    if fields.get("send_all_pending") is True:
        return SendAllPending()
    if "next_wake" in fields:
        return Sleep(next_wake=_wake_time(fields["next_wake"], now))
    raise RemoteProtocolError("missing_field", f"no command in {sorted(fields)[:8]}")


def _wake_time(value: object, now: datetime) -> datetime:
    moment = wake_time_after(value, now) if isinstance(value, str) else None
    if moment is None:
        raise RemoteProtocolError("bad_text", f"{str(value)[:40]!r} is no wake time such as '5:30PM'")
    return moment


def _indexes(fields: dict[str, Any], dialect: Dialect, key: str = "missing_chunks") -> tuple[int, ...]:
    first = dialect.first_chunk_id
    return tuple(whole_number(item, key, first, limits.CHUNK_COUNT_MAX) - first for item in fields[key])


def _retry(fields: dict[str, Any], dialect: Dialect) -> Retry:
    chunks = fields.get("chunks_to_send")
    indexes = _indexes(fields, dialect, "chunks_to_send") if isinstance(chunks, list) else None
    return Retry(image_id=str(fields.get("image_id", "")), image_name=image_name_of(fields), chunk_indexes=indexes)
