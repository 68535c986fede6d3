"""Next wake time from a cron-like schedule in the site's time zone: pure (facts: wire 5; design 6.7).

Forms: minute `N`, a list, `*/N`; hour `*`, `N`, a list, `*/N`; the other three fields `*`. A local time that daylight
saving skips does not occur that day; one that occurs twice fires at its first. SQL's `fn_calculate_next_wake_time`
gives the same answers; a test compares them.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

DEFAULT_WAKE_AFTER = timedelta(hours=12)
"""Next wake of a device without a schedule: far enough to spare the battery, near enough to come back today."""

_DAYS_AHEAD_MAX = 3
"""A daily schedule may skip one day (DST); three cover every form."""


class ScheduleError(ValueError):
    """The schedule has a form that wakestorm does not support; the message names the field."""


def _number(text: str) -> int:
    """Plain digits only: int() would take +5 and 1_0 too."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def parsed_field(text: str, name: str, size: int, *, star: bool) -> tuple[int, ...]:
    """The values a cron field names; raises ScheduleError naming the field."""
    if text == "*" and star:
        return tuple(range(size))
    try:
        if text.startswith("*/"):
            step = _number(text[2:])
            if not 1 <= step < size + 1:
                raise ValueError
            return tuple(range(0, size, step))
        values = sorted({_number(part) for part in text.split(",")})
    except ValueError:
        raise ScheduleError(
            f"{name} field {text!r}: supported are a number, a list such as 8,16, and */N" + (", *" if star else "")
        ) from None
    if not values or values[0] < 0 or values[-1] >= size:
        raise ScheduleError(f"{name} field {text!r}: values must be 0..{size - 1}")
    return tuple(values)


def parsed_schedule(cron: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(minutes, hours) of a schedule; raises ScheduleError for an unsupported form."""
    fields = cron.split()
    if len(fields) != 5:
        raise ScheduleError(f"schedule {cron!r} has {len(fields)} fields, expected 5 (minute hour * * *)")
    for name, text in zip(("day", "month", "weekday"), fields[2:], strict=True):
        if text != "*":
            raise ScheduleError(f"{name} field {text!r}: only * is supported")
    return (
        parsed_field(fields[0], "minute", 60, star=False),
        parsed_field(fields[1], "hour", 24, star=True),
    )


def next_wake(cron: str | None, timezone: str, now: datetime) -> datetime:
    """The first scheduled instant strictly after `now`, in UTC; without a schedule `now` plus the default.

    Raises ScheduleError for an unsupported form.
    """
    if cron is None:
        return now + DEFAULT_WAKE_AFTER
    minutes, hours = parsed_schedule(cron)
    zone = ZoneInfo(timezone)
    today = now.astimezone(zone).date()
    for offset in range(_DAYS_AHEAD_MAX):
        day = today + timedelta(days=offset)
        for hour in hours:
            for minute in minutes:
                local = datetime.combine(day, time(hour, minute), tzinfo=zone)
                moment = local.astimezone(UTC)
                exists = moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None)
                if exists and moment > now:
                    return moment
    raise ScheduleError(f"schedule {cron!r} in {timezone} names no instant within {_DAYS_AHEAD_MAX} days")
