"""Does anything grow? Thresholds over the days of a soak; what they say decides the exit code. Pure.

A slope is the median of the slopes between all pairs of days (Theil and Sen), after a warm-up in which caches and cards
fill, so one odd day does not decide. How sure it is follows from the ranks of those slopes: their 95 % interval below
the limit holds, above it fails, and one that has the limit in it proves neither. What a day's work leaves at its end
(open captures, queues) is not the same on all days, so it is taken off in proportion to the messages of the day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, inf, sqrt
from statistics import median
from typing import Any, Final

SLOPE_MAX_BYTES: Final = 1_000.0
"""A camera day: 1 MB in 1,000 camera days."""

DAYS_TO_JUDGE_MIN: Final = 5
WARM_UP_SHARE: Final = 5
"""At least a fifth of the days."""

WORK_DIFFERENCE_MIN: Final = 0.05
"""Of a day's messages: days more alike say nothing of what a message leaves."""

PAIRED_DAYS_MAX: Final = 400
"""More days are thinned out evenly: the number of pairs grows with the square."""

TOO_FEW: Final = "too few days"
NOT_PROVEN: Final = "not proven"
"""The limit lies within the error of the measurement."""

SURE: Final = 1.96
"""Standard deviations to either side of a mean that have 95 % of all values between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One threshold and what was found; `holds` None: nobody can say yet, because of `doubt`."""

    name: str
    limit: str
    found: str
    holds: bool | None
    doubt: str = TOO_FEW


def warm_up_days(days: int, cards_full_after: int) -> int:
    """Days that are left out at the start; `cards_full_after`: by then a simulated card grows no more."""
    return max(cards_full_after, days // WARM_UP_SHARE)


Series = Sequence[tuple[float, float]]
"""(day, value), by day."""


def slope(series: Series) -> float:
    """The median growth a day; 0 for fewer than two days."""
    slopes = _slopes(series)
    return median(slopes) if slopes else 0.0


def slope_interval(series: Series) -> tuple[float, float]:
    """The slope lies in between with 95 % certainty: Sen's interval, by the ranks of the slopes of all pairs."""
    slopes = sorted(_slopes(series))
    days = len(_thinned(series))
    spread = SURE * sqrt(days * (days - 1) * (2 * days + 5) / 18)
    below = floor((len(slopes) - spread) / 2)
    if not slopes or below < 0:
        return -inf, inf
    return slopes[below], slopes[len(slopes) - 1 - below]


def _slopes(series: Series) -> list[float]:
    thinned = _thinned(series)
    return [
        (later - earlier) / (there - here)
        for index, (here, earlier) in enumerate(thinned)
        for there, later in thinned[index + 1 :]
    ]


def _thinned(series: Series) -> Series:
    return series[:: -(-len(series) // PAIRED_DAYS_MAX) or 1]


def _series(samples: Sequence[Mapping[str, Any]], column: str) -> Series:
    return [(float(sample["day"]), float(sample[column])) for sample in samples]


def judgements(
    samples: Sequence[Mapping[str, Any]], final: Mapping[str, Any], *, devices: int, cards_full_after: int
) -> list[Judgement]:
    """Every threshold, over the days' samples and the one after the drain."""
    warm = samples[warm_up_days(len(samples), cards_full_after) :]
    has_servers = any(sample.get("server_rss_bytes") for sample in samples)
    whose = "simulator" if has_servers else "simulator and server, one process"
    found = [_memory(f"memory of {whose}", _memory_series(samples, warm), devices)]
    if has_servers:
        found.append(_memory("memory of the servers", _series(warm, "server_rss_bytes"), devices))
    found.append(_connections(warm))
    for name, column in (
        ("connections left by stopped servers", "connections_left"),
        ("chunks of complete images left behind", "rows_left_behind"),
        ("chunks staged for over a day", "rows_chunks_forgotten"),
        ("chunks of damaged copies beyond the newest 3 of an image", "rows_aside_beyond"),
    ):
        if column in final:
            left = final[column]
            found.append(Judgement(name=name, limit="0", found=str(left), holds=left == 0))
    return found


def _memory_series(samples: Sequence[Mapping[str, Any]], warm: Sequence[Mapping[str, Any]]) -> Series:
    """Of the days on which the servers were away, all of one age, where they are enough; else of every day."""
    before = {sample["day"] + 1: sample["messages"] for sample in samples}
    work_by_day = {float(sample["day"]): sample["messages"] - before.get(sample["day"], 0) for sample in samples}
    parked = [sample for sample in warm if sample["kept_bytes"]]
    if len(parked) >= DAYS_TO_JUDGE_MIN:
        return _less_work(_series(parked, "kept_bytes"), work_by_day)
    column = "heap_bytes" if all(sample["heap_bytes"] for sample in samples) else "rss_bytes"
    return _less_work(_series(warm, column), work_by_day)


def _less_work(series: Series, work_by_day: Mapping[float, int]) -> Series:
    """What a busy day has still open at its end is no growth: taken off in proportion to the messages of the day."""
    least = WORK_DIFFERENCE_MIN * sum(work_by_day.values()) / max(len(work_by_day), 1)
    a_message = [
        (later - earlier) / more
        for index, (here, earlier) in enumerate(series)
        for there, later in series[index + 1 :]
        if abs(more := work_by_day[there] - work_by_day[here]) > least
    ]
    bytes_each = median(a_message) if a_message else 0.0
    return [(day, value - bytes_each * work_by_day[day]) for day, value in series]


def _memory(name: str, values: Series, devices: int) -> Judgement:
    found = slope(values) / max(devices, 1)
    low, high = (edge / max(devices, 1) for edge in slope_interval(values))
    holds: bool | None = None
    if len(values) >= DAYS_TO_JUDGE_MIN and not low <= SLOPE_MAX_BYTES < high:
        holds = high <= SLOPE_MAX_BYTES
    text = f"{found / 1_000:.2f} MB in 1,000 camera days" if len(values) > 1 else "no slope"
    if len(values) >= DAYS_TO_JUDGE_MIN:
        text += f" (95 % sure: {low / 1_000:.2f} to {high / 1_000:.2f}), over {len(values)} days"
    limit = f"slope at most {SLOPE_MAX_BYTES / 1_000:g} MB in 1,000 camera days"
    doubt = NOT_PROVEN if len(values) >= DAYS_TO_JUDGE_MIN else TOO_FEW
    return Judgement(name=name, limit=limit, found=text, holds=holds, doubt=doubt)


def _connections(warm: Sequence[Mapping[str, Any]]) -> Judgement:
    opened = _series(warm, "connections")
    return Judgement(
        name="open connections to the database",
        limit="no growth",
        found=f"{opened[0][1]:g} to {opened[-1][1]:g}" if opened else "no day",
        holds=slope(opened) <= 0 if len(opened) >= DAYS_TO_JUDGE_MIN else None,
    )
