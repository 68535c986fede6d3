"""A protocol message in a few words, whatever the dialect: `HELLO (pendingImg=1)`, `chunk 3 of image_1.jpg`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.history import Record
from harness.jsonable import json_line

_PENDING_KEYS: Final = ("pendingImg", "pending_count", "pending_images", "pending")
_COUNT_KEYS: Final = ("total_chunk_count", "total_chunks_count")
RANGES_SHOWN_MAX: Final = 6


def message_words(fields: Mapping[str, Any]) -> str:
    """What a message record says, in the words of the protocol; its keys where they say something else."""
    payload = fields.get("payload")
    channel = str(fields.get("topic", "")).split("/", 2)[-1]
    if not isinstance(payload, Mapping):
        text = fields.get("text", payload)
        return f"{channel}: not an object: {str(text)[:60]}"
    words = _down(payload) if fields.get("direction") == "down" else _up(payload, channel)
    return words or f"{channel} {json_line({key: payload[key] for key in payload if key != 'device_id'})}"


def chunk_of(record: Record) -> tuple[str, int] | None:
    """(image name, number on the wire) of a chunk's message, None for all others."""
    payload = record.fields.get("payload")
    if record.kind != "message" or not isinstance(payload, Mapping):
        return None
    number = payload.get("chunk_id")
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    return str(payload.get("image_name")), number


def number_ranges(numbers: Sequence[int]) -> str:
    """`0..4, 7` for 0, 1, 2, 3, 4, 7; each number once, in order."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    shown = [str(first) if first == last else f"{first}..{last}" for first, last in ranges[:RANGES_SHOWN_MAX]]
    if len(ranges) > RANGES_SHOWN_MAX:
        shown.append(f"{len(ranges) - RANGES_SHOWN_MAX} more")
    return ", ".join(shown)


def _up(payload: Mapping[str, Any], channel: str) -> str:
    image = payload.get("image_name")
    if "chunk_id" in payload:
        return f"chunk {payload['chunk_id']} of {image}"
    count = next((payload[key] for key in _COUNT_KEYS if key in payload), None)
    if image is not None and (count is not None or "image_size" in payload):
        error = f", error {payload['error']}" if payload.get("error") else ""
        return f"metadata of {image}, {count} chunks{error}"
    pending = next((key for key in _PENDING_KEYS if key in payload), None)
    if pending is not None:
        return f"HELLO ({pending}={payload[pending]})"
    if str(payload.get("status", "")).lower() == "alive" or (channel == "status" and "firmware_version" in payload):
        return "HELLO"
    return ""


def _down(payload: Mapping[str, Any]) -> str:
    image = payload.get("image_name")
    if "missing_chunks" in payload:
        missing = payload["missing_chunks"]
        if isinstance(missing, Sequence) and all(isinstance(item, int) for item in missing):
            return f"missing {number_ranges(missing)} of {image}"
    if "ACK_OK" in payload:
        answer = payload["ACK_OK"]
        if not answer:
            return f"ACK_OK, go on with {image}"
        return f"ACK_OK for {image}, {_rest(answer)}"
    if payload.get("capture_image"):
        return "SNAP: capture_image"
    if "send_image" in payload:
        return f"send_image {payload['send_image']}"
    if payload.get("send_all_pending"):
        return "send_all_pending"
    if "next_wake" in payload:
        return f"SLEEP, wake {payload['next_wake']}"
    return ""


def _rest(answer: Any) -> str:
    if isinstance(answer, Mapping):
        return ", ".join(f"{key.removeprefix('next_').removesuffix('_time')} {value}" for key, value in answer.items())
    return str(answer)
