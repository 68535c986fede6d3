"""Any value of a history or a report as plain JSON data, the same bytes for the same value. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Set
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

import msgspec

TEXT_LENGTH_BYTES_MAX: Final = 4_096
"""Longest bytes value that is kept as text; a longer one becomes its size and SHA-256."""

_PLAIN_TYPES: Final = frozenset({type(None), bool, int, str})


def plain(value: Any) -> Any:
    """`value` as dicts with text keys, lists, text, numbers, booleans and None.

    Bytes become text where they are short UTF-8, else `{"size_bytes", "sha256"}`; sets are sorted; a number that JSON
    has no word for becomes text. Raises TypeError for a value of any other type.
    """
    if type(value) in _PLAIN_TYPES:
        return value
    if type(value) is dict:
        return {name if type(name) is str else str(plain(name)): plain(item) for name, item in value.items()}
    match value:
        case int() | str():
            return value.value if isinstance(value, Enum) else value
        case float():
            return value if math.isfinite(value) else str(value)
        case Enum():
            return plain(value.value)
        case bytes() | bytearray() | memoryview():
            return _bytes_as_plain(bytes(value))
        case UUID() | Decimal():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat()
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(plain(key)): plain(item) for key, item in value.items()}
        case Set():
            return sorted((plain(item) for item in value), key=str)
        case list() | tuple():
            return [plain(item) for item in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no plain JSON form")


def _bytes_as_plain(value: bytes) -> Any:
    if len(value) <= TEXT_LENGTH_BYTES_MAX:
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return {"size_bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()}


def json_line(value: Any) -> str:
    """One line of JSON with sorted keys, without the line feed."""
    return line_of_plain(plain(value))


def line_of_plain(value: Any) -> str:
    """`json_line` of what `plain` returned."""
    try:
        return msgspec.json.encode(value, order="deterministic").decode("utf-8")
    except (UnicodeEncodeError, OverflowError):
        return msgspec.json.encode(_encodable(value), order="deterministic").decode("utf-8")


def _encodable(value: Any) -> Any:
    """Text that UTF-8 can't carry (lone surrogates) is written with escapes; integers above 64 bits as text."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        case bool():
            return value
        case int():
            return value if -(2**63) <= value < 2**64 else str(value)
        case dict():
            return {_encodable(key): _encodable(item) for key, item in value.items()}
        case list():
            return [_encodable(item) for item in value]
    return value
