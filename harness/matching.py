"""Whether what was found is what a scenario expects: rows, cells and JSON. Pure.

Expected values are what YAML can say; found values are what the database driver or a JSON decoder gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from harness.units import LanguageError, parse_duration_ms, parse_instant


@dataclass(frozen=True, slots=True)
class RowsMismatch:
    """How rows differ: columns that do not exist, expected rows not found, found rows not expected, wrong order."""

    unknown_columns: tuple[str, ...]
    missing: tuple[int, ...]
    """Indexes into the expected rows."""
    extra: tuple[int, ...]
    """Indexes into the found rows."""


def json_contains(expected: Any, found: Any) -> bool:
    """Deep partial match: every key of `expected` is there; `{}` and `[]` match only the empty; lists keep length."""
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping) or (not expected and found):
            return False
        return all(key in found and json_contains(value, found[key]) for key, value in expected.items())
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(json_contains(wanted, item) for wanted, item in zip(expected, found, strict=True))
        )
    return json_equals(expected, found)


def json_equals(expected: Any, found: Any) -> bool:
    """Exact match of JSON values; 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(expected, Mapping):
        return (
            isinstance(found, Mapping)
            and expected.keys() == found.keys()
            and all(json_equals(value, found[key]) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(json_equals(wanted, item) for wanted, item in zip(expected, found, strict=True))
        )
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    return bool(expected == found)


def cell_matches(expected: Any, found: Any) -> bool:
    """Whether one database value is the one that YAML names: instants and uuids as text, numbers by value."""
    if expected is None or found is None:
        return expected is None and found is None
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(found, int | float | Decimal):
        return isinstance(expected, int | float) and Decimal(str(expected)) == Decimal(str(found))
    if isinstance(found, datetime):
        return _is_instant(expected, found)
    if isinstance(found, timedelta):
        return _is_duration(expected, found)
    if isinstance(found, UUID):
        return isinstance(expected, str) and expected.lower() == str(found)
    if isinstance(found, bytes | bytearray | memoryview):
        return isinstance(expected, str) and expected.lower().removeprefix("\\x") == bytes(found).hex()
    if isinstance(expected, Mapping | list) and isinstance(found, str):
        return _is_json_text(expected, found)
    if isinstance(expected, list) and isinstance(found, list | tuple):
        return len(expected) == len(found) and all(map(cell_matches, expected, found))
    if isinstance(expected, Mapping):
        return json_contains(expected, found)
    return bool(expected == found)


def row_matches(expected: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether a found row has the named columns with the named values."""
    return all(column in found and cell_matches(value, found[column]) for column, value in expected.items())


def rows_mismatch(
    expected: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]], *, ordered: bool
) -> RowsMismatch | None:
    """None when every found row is one expected row and the other way round, in order if it matters."""
    known = set(found[0]) if found else None
    unknown = (
        () if known is None else tuple(dict.fromkeys(name for row in expected for name in row if name not in known))
    )
    if ordered:
        wrong = [
            index for index, row in enumerate(expected) if index >= len(found) or not row_matches(row, found[index])
        ]
        extra = [index for index in range(len(found)) if index >= len(expected) or index in wrong]
    else:
        partner = _paired(expected, found)
        wrong = [index for index in range(len(expected)) if index not in partner.values()]
        extra = [index for index in range(len(found)) if index not in partner]
    if not wrong and not extra:
        return None
    return RowsMismatch(unknown, tuple(wrong), tuple(extra))


def _paired(expected: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """The largest pairing, found row to expected row: a vague expectation must not take a precise one's only row."""
    fits = [[index for index, row in enumerate(found) if row_matches(wanted, row)] for wanted in expected]
    partner: dict[int, int] = {}
    for start in range(len(expected)):
        came_from: dict[int, int] = {}
        waiting, free = [start], None
        while waiting and free is None:
            wanted = waiting.pop()
            for index in fits[wanted]:
                if index in came_from:
                    continue
                came_from[index] = wanted
                if index not in partner:
                    free = index
                    break
                waiting.append(partner[index])
        while free is not None:
            wanted = came_from[free]
            given_up = next((index for index, owner in partner.items() if owner == wanted), None)
            partner[free] = wanted
            if given_up is not None:
                del partner[given_up]
            free = given_up if wanted != start else None
    return partner


def _is_instant(expected: Any, found: datetime) -> bool:
    aware = found.replace(tzinfo=UTC) if found.tzinfo is None else found
    try:
        return parse_instant(expected) == aware
    except LanguageError:
        return False


def _is_duration(expected: Any, found: timedelta) -> bool:
    try:
        return timedelta(milliseconds=parse_duration_ms(expected)) == found
    except LanguageError:
        return False


def _is_json_text(expected: Any, found: str) -> bool:
    try:
        return json_contains(expected, json.loads(found))
    except ValueError:
        return False
