"""Single fields of a JSON payload, read with care: every refusal is a RemoteProtocolError with a stable reason."""

from __future__ import annotations

import base64
import binascii
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from server.wire import limits
from server.wire.errors import RemoteProtocolError
from server.wire.messages import Sensors

REFUSALS: Final = (
    "bad_topic",
    "bad_device_id",
    "too_large",
    "not_json",
    "not_an_object",
    "bad_text",
    "bad_number",
    "bad_payload",
    "bad_status",
    "missing_field",
    "identity_mismatch",
    "inconsistent_size",
)

_CURLY = str.maketrans({"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'"})
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})[T ](\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,6}))?\s*(Z|[+-]\d{2}:?\d{2})?\Z"
)
_YEARS: Final = range(2020, 2101)
_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]+\Z")


def json_object(payload: bytes) -> dict[str, Any]:
    if len(payload) > limits.PAYLOAD_SIZE_BYTES_MAX:
        raise RemoteProtocolError("too_large", f"{len(payload)} bytes, at most {limits.PAYLOAD_SIZE_BYTES_MAX}")
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, ValueError):
        value = _object_with_curly_quotes(payload)
    if not isinstance(value, dict):
        raise RemoteProtocolError("not_an_object", f"a JSON {type(value).__name__}, not an object")
    return value


def _object_with_curly_quotes(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload.decode("utf-8").translate(_CURLY))
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise RemoteProtocolError("not_json", str(error)[:200]) from None


def parsed_timestamp(value: object) -> datetime | None:
    """A device's time in UTC, or None where it is unreadable or its year is outside 2020..2100."""
    match = _TIMESTAMP.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction_us = int((match[7] or "0").ljust(6, "0"))
    try:
        moment = datetime(year, month, day, hour, minute, second, fraction_us, UTC)
        if match[8] and match[8] != "Z":
            sign = -1 if match[8][0] == "-" else 1
            digits = match[8][1:].replace(":", "")
            moment -= sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    except (ValueError, OverflowError):
        return None
    return moment if moment.year in _YEARS else None


def first_of(fields: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((fields[key] for key in keys if key in fields), None)


def whole_number(value: object, key: str, low: int, high: int) -> int:
    if value is None:
        raise RemoteProtocolError("missing_field", f"{key} is missing")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise RemoteProtocolError("bad_number", f"{key} is {str(value)[:40]!r}, expected {low}..{high}")
    return value


def finite_number(fields: dict[str, Any], key: str, low: float, high: float) -> float | None:
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RemoteProtocolError("bad_number", f"{key} is {str(value)[:40]!r}, expected a number")
    if not low <= value <= high:
        raise RemoteProtocolError("bad_number", f"{key} is {str(value)[:40]!r}, expected {low}..{high}")
    return float(value)


def plain_text(fields: dict[str, Any], key: str) -> str | None:
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > limits.PAYLOAD_TEXT_LENGTH_CHARS_MAX or "\x00" in value:
        raise RemoteProtocolError("bad_text", f"{key} is no plain text")
    return value


def file_name(value: object, key: str) -> str:
    if value is None:
        raise RemoteProtocolError("missing_field", f"{key} is missing")
    if (
        not isinstance(value, str)
        or not _NAME.match(value)
        or len(value) > limits.IMAGE_NAME_LENGTH_CHARS_MAX
        or value in (".", "..")
    ):
        raise RemoteProtocolError("bad_text", f"{key} is {str(value)[:80]!r}, expected a plain file name")
    return value


def image_name_of(fields: dict[str, Any]) -> str:
    return file_name(fields.get("image_name", fields.get("Image_name")), "image_name")


def error_code_of(fields: dict[str, Any]) -> int:
    return whole_number(fields.get("error") or 0, "error", -(2**31), 2**31 - 1)


def sha256_of(fields: dict[str, Any]) -> str | None:
    value = fields.get("image_sha256")
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise RemoteProtocolError("bad_text", "image_sha256 is not 64 hex digits")
    return value.lower()


def sensors_of(fields: dict[str, Any]) -> Sensors:
    nested = fields.get("sensor_data")
    source = nested if isinstance(nested, dict) else fields
    return Sensors(
        temperature=finite_number(source, "temperature", -300, 1000),
        humidity=finite_number(source, "humidity", -1, 1000),
        pressure=finite_number(source, "pressure", -1, 1_000_000),
        gas_resistance=finite_number(source, "gas_resistance", -1, 1_000_000_000),
    )


def chunk_payload(value: object) -> bytes:
    if isinstance(value, str):
        try:
            data = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise RemoteProtocolError("bad_payload", "payload is not base64") from None
    elif isinstance(value, list):
        if not all(isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= 255 for item in value):
            raise RemoteProtocolError("bad_payload", "payload is not a list of byte values")
        data = bytes(value)
    else:
        raise RemoteProtocolError("missing_field", "payload is missing or neither text nor list")
    if not 0 < len(data) <= limits.CHUNK_SIZE_BYTES_MAX:
        raise RemoteProtocolError("bad_payload", f"a chunk of {len(data)} bytes")
    return data
