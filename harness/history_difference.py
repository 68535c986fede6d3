"""Where two histories part: the first line that differs, and which words of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

SHOWN_LENGTH_CHARS_MAX: Final = 160
_NOTHING: Final = "nothing, the history ends there"


def first_difference(first: str, second: str) -> str:
    """`line 12: t_ms 843 before, 851 now`; empty where the two are the same. Lines count from 1, the header's."""
    ones, others = first.rstrip("\n").split("\n"), second.rstrip("\n").split("\n")
    for number, (one, other) in enumerate(zip(ones, others, strict=False), start=1):
        if one != other:
            return f"line {number}: {_difference(one, other)}"
    if len(ones) == len(others):
        return ""
    number = min(len(ones), len(others)) + 1
    before = _short(ones[number - 1]) if len(ones) >= number else _NOTHING
    now = _short(others[number - 1]) if len(others) >= number else _NOTHING
    return f"line {number}: {before} before, {now} now"


def _difference(one: str, other: str) -> str:
    before, now = _parsed(one), _parsed(other)
    if before is None or now is None or (before.get("kind"), before.get("who")) != (now.get("kind"), now.get("who")):
        return f"{_short(one)} before, {_short(other)} now"
    parts = [
        f"{name} {_short(json.dumps(before.get(name)))} before, {_short(json.dumps(now.get(name)))} now"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    return f"{before.get('kind')} of {before.get('who') or 'the run'}: {'; '.join(parts)}"


def _parsed(line: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_LENGTH_CHARS_MAX else text[: SHOWN_LENGTH_CHARS_MAX - 3] + "..."
