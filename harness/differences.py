"""How a found value differs from the expected one, in words, place by place. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from harness.jsonable import plain
from harness.matching import cell_matches, json_equals

VALUE_LENGTH_CHARS_MAX: Final = 60


def json_differences(expected: Any, found: Any, *, exact: bool = False, place: str = "") -> list[str]:
    """`ACK_OK.next_wake_time is "3:00AM", expected "6:00AM"`; with `exact` keys that nobody expected count too."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        if not expected and found and not exact:
            return [f"{place or 'it'} is {shown_value(found)}, expected empty"]
        parts: list[str] = []
        for key, value in expected.items():
            inner = f"{place}.{key}" if place else str(key)
            if key not in found:
                parts.append(f"{inner} is not there, expected {shown_value(value)}")
            else:
                parts += json_differences(value, found[key], exact=exact, place=inner)
        if exact:
            more = [key for key in found if key not in expected]
            parts += [f"{f'{place}.' if place else ''}{key} is there too: {shown_value(found[key])}" for key in more]
        return parts
    if json_equals(expected, found):
        return []
    return [f"{place or 'it'} is {shown_value(found)}, expected {shown_value(expected)}"]


def row_differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """`status is receiving, expected complete` for each column that the expectation names and that differs."""
    return [
        f"{name} is {shown_cell(found.get(name))}, expected {shown_cell(value)}"
        for name, value in expected.items()
        if not cell_matches(value, found.get(name))
    ]


def row_words(row: Mapping[str, Any]) -> str:
    """`status complete, received_chunks 10`."""
    return ", ".join(f"{name} {shown_cell(value)}" for name, value in row.items())


def shown_value(value: Any, longest: int = VALUE_LENGTH_CHARS_MAX) -> str:
    """A JSON value as JSON, cut where it is long."""
    return _cut(json.dumps(value, default=str), longest)


def shown_cell(value: Any) -> str:
    """A cell as people write it: text without quotes, an instant as in YAML, nothing as null."""
    if isinstance(value, datetime | UUID):
        value = plain(value)
    return _cut(value if isinstance(value, str) else json.dumps(value, default=_plain_text))


def _plain_text(value: Any) -> str:
    return str(plain(value))


def _cut(text: str, longest: int = VALUE_LENGTH_CHARS_MAX) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
