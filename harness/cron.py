"""The part of cron that wake schedules use: `minute hour * * *`. Pure."""

from __future__ import annotations

import re
from typing import Final

from harness.units import LanguageError, format_duration

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000

_FIELD: Final = re.compile(r"\*(/[0-9]{1,2})?|[0-9]{1,2}(,[0-9]{1,2}){0,59}")


def cron_of_interval(interval_ms: int) -> str:
    """`0 */3 * * *` for three hours. Raises LanguageError for an interval that cron can not say."""
    if interval_ms == DAY_MS:
        return "0 0 * * *"
    hours, rest_ms = divmod(interval_ms, HOUR_MS)
    if rest_ms == 0 and hours and 24 % hours == 0:
        return "0 * * * *" if hours == 1 else f"0 */{hours} * * *"
    minutes, rest_ms = divmod(interval_ms, MINUTE_MS)
    if rest_ms == 0 and minutes and 60 % minutes == 0:
        return "* * * * *" if minutes == 1 else f"*/{minutes} * * * *"
    raise LanguageError(
        f"every {format_duration(interval_ms)} divides neither an hour nor a day",
        "for example 15m, 30m, 1h, 3h, 12h or 1d; or give the server's schedule as well",
    )


def cron_problem(cron: str) -> str | None:
    """What is wrong with a schedule, or None."""
    fields = cron.split()
    if len(fields) != 5:
        return f"has {len(fields)} fields, not 5"
    if fields[2:] != ["*", "*", "*"]:
        return "only minute and hour may be set"
    for name, field, limit in (("minute", fields[0], 60), ("hour", fields[1], 24)):
        if _FIELD.fullmatch(field) is None:
            return f"{name} {field!r} is not *, */N, N or a list"
        numbers = [int(number) for number in re.findall(r"[0-9]+", field)]
        if any(number >= limit for number in numbers) or (field.startswith("*/") and numbers[0] == 0):
            return f"{name} {field!r} is out of range"
    return None


def shortest_gap_ms(cron: str) -> int:
    """The shortest time between two wakes of a valid schedule."""
    minute_field, hour_field = cron.split()[:2]
    times = sorted(
        hour * HOUR_MS + minute * MINUTE_MS for hour in _values(hour_field, 24) for minute in _values(minute_field, 60)
    )
    return min(later - earlier for earlier, later in zip(times, [*times[1:], times[0] + DAY_MS], strict=True))


def _values(field: str, limit: int) -> list[int]:
    if field.startswith("*"):
        return list(range(0, limit, int(field[2:] or 1)))
    return sorted({int(number) for number in field.split(",")})
