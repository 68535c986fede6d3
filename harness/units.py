"""Durations, sizes and instants as people write them; a bare number is always refused. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

DURATION_MAX_MS: Final = 400 * 86_400_000
"""Longest duration of the language: a year with room to spare."""

SIZE_MAX_BYTES: Final = 64 * 1_048_576
"""Largest size of the language: far beyond any image, small enough to be held in memory."""

DURATION_PATTERN: Final = r"^([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h|d))+$"
SIZE_PATTERN: Final = r"^[0-9]{1,9}(\.[0-9]{1,9})?(B|kB|MB|KiB|MiB)$"
PERCENT_PATTERN: Final = r"^[0-9]{1,3}(\.[0-9]{1,6})?%$"
PPM_PATTERN: Final = r"^[0-9]{1,7}ppm$"

_MS_PER: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BYTES_PER: Final = {"B": 1, "kB": 1_000, "MB": 1_000_000, "KiB": 1_024, "MiB": 1_048_576}
_DURATION_PART: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_SIZE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([A-Za-z]+)")
_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?")


class LanguageError(ValueError):
    """A value that the scenario language does not know; `hint` says what to write instead."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def parse_duration_ms(value: object) -> int:
    """`500ms`, `3h`, `1h30m` as milliseconds. Raises LanguageError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise LanguageError(f"{value} has no unit", f"write {value}s, {value}m or {value}h")
    if not isinstance(value, str) or not re.match(DURATION_PATTERN, value):
        raise LanguageError(f"{_shown(value)} is not a duration", "for example 500ms, 30s, 5m, 3h, 1d or 1h30m")
    total = sum(Decimal(number) * _MS_PER[unit] for number, unit in _DURATION_PART.findall(value))
    if total != int(total):
        raise LanguageError(f"{value} is not a whole number of milliseconds")
    if total > DURATION_MAX_MS:
        raise LanguageError(f"{value} is too long", "at most 400d")
    return int(total)


def parse_size_bytes(value: object) -> int:
    """`800B`, `10kB` (10,000 bytes), `10KiB` (10,240 bytes) as bytes. Raises LanguageError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise LanguageError(f"{value} has no unit", f"write {value}B, {value}kB or {value}KiB")
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise LanguageError(f"{_shown(value)} is not a size", "for example 800B, 10kB (10,000 bytes) or 10KiB")
    number, unit = match.groups()
    if unit not in _BYTES_PER:
        raise LanguageError(f"unit {unit!r} is not known", "B, kB (1,000), MB, KiB (1,024) or MiB")
    total = Decimal(number) * _BYTES_PER[unit]
    if total != int(total):
        raise LanguageError(f"{value} is not a whole number of bytes")
    if total > SIZE_MAX_BYTES:
        raise LanguageError(f"{value} is too large", "at most 64MiB")
    return int(total)


def parse_percent(value: object) -> float:
    """`5%`, `0.5%` as parts of a hundred. Raises LanguageError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise LanguageError(f"{value} has no unit", f"write {value}%")
    if not isinstance(value, str) or not re.match(PERCENT_PATTERN, value):
        raise LanguageError(f"{_shown(value)} is not a share", "for example 5% or 0.5%")
    return float(value[:-1])


def parse_ppm(value: object) -> int:
    """`200ppm` as parts per million. Raises LanguageError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise LanguageError(f"{value} has no unit", f"write {value}ppm")
    if not isinstance(value, str) or not re.match(PPM_PATTERN, value):
        raise LanguageError(f"{_shown(value)} is not parts per million", "for example 200ppm")
    return int(value[:-3])


def parse_instant(value: object) -> datetime:
    """An ISO 8601 instant as an aware UTC datetime; without an offset it is UTC. Raises LanguageError."""
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        try:
            found = datetime.fromisoformat(value)
        except ValueError as error:
            raise LanguageError(f"{value} is not an instant", str(error)) from error
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    raise LanguageError(f"{_shown(value)} is not an instant", "for example 2026-01-05T00:00:00Z")


def format_duration(duration_ms: int) -> str:
    """Milliseconds in the language's own words: 5_400_000 is `1h30m`."""
    parts: list[str] = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, duration_ms = divmod(duration_ms, _MS_PER[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_size(size_bytes: int) -> str:
    """Bytes in the largest decimal unit that divides them: 10_000 is `10kB`."""
    for unit in ("MB", "kB"):
        if size_bytes and size_bytes % _BYTES_PER[unit] == 0:
            return f"{size_bytes // _BYTES_PER[unit]}{unit}"
    return f"{size_bytes}B"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def duration_text(milliseconds: float) -> str:
    """`850 ms`, `1.2 s`, `3 min 20 s`, `7 h 30 min`, `2 d 4 h`."""
    seconds = milliseconds / 1_000
    if seconds < 1:
        return f"{milliseconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for size_s, unit, below_s, below_unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size_s:
            whole, rest = divmod(int(seconds), size_s)
            part = rest // below_s
            return f"{whole} {unit} {part} {below_unit}" if part else f"{whole} {unit}"
    raise AssertionError("unreachable: below a minute was handled above")
