"""Does anything grow? Thresholds over the days of a soak; what they say decides the exit code. Pure.

A slope is the median of the slopes between all pairs of days (Theil and Sen), after a warm-up in which caches and cards
fill, so one odd day does not decide. How sure it is follows from how far the days lie off that line: a slope over its
limit fails where it is over by more than twice its standard error, and says nothing where it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import Any, Final

SLOPE_MAX_BYTES: Final = 1_000.0
"""A camera day: 1 MB in 1,000 camera days."""

DAYS_TO_JUDGE_MIN: Final = 5
WARM_UP_SHARE: Final = 5
"""At least a fifth of the days."""

PAIRED_DAYS_MAX: Final = 400
"""More days are thinned out evenly: the number of pairs grows with the square."""

TOO_FEW: Final = "too few days"
NOT_PROVEN: Final = "not proven"
"""Over the limit, but within the error of the measurement."""

SURE: Final = 2.0
"""Standard errors."""


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


def slope(values: Sequence[float]) -> float:
    """The median growth from one value to the next; 0 for fewer than two."""
    thinned = _thinned(values)
    slopes = [
        (later - earlier) / (there - here)
        for index, (here, earlier) in enumerate(thinned)
        for there, later in thinned[index + 1 :]
    ]
    return median(slopes) if slopes else 0.0


def slope_error(values: Sequence[float], found: float) -> float:
    """The standard error of that slope, from the median distance of the values to their line."""
    thinned = _thinned(values)
    if len(thinned) < 3:
        return float("inf")
    offsets = [value - found * day for day, value in thinned]
    middle = median(offsets)
    spread = 1.4826 * median(abs(offset - middle) for offset in offsets)
    days = [day for day, _ in thinned]
    mean = sum(days) / len(days)
    return spread / sqrt(sum((day - mean) ** 2 for day in days))


def _thinned(values: Sequence[float]) -> list[tuple[int, float]]:
    step = -(-len(values) // PAIRED_DAYS_MAX) or 1
    return list(enumerate(values))[::step]


def judgements(
    samples: Sequence[Mapping[str, Any]], final: Mapping[str, Any], *, devices: int, cards_full_after: int
) -> list[Judgement]:
    """Every threshold, over the days' samples and the one after the drain."""
    warm = samples[warm_up_days(len(samples), cards_full_after) :]
    has_servers = any(sample.get("server_rss_bytes") for sample in samples)
    knows_heap = all(sample["heap_bytes"] for sample in samples)
    whose = "simulator" if has_servers else "simulator and server, one process"
    found = [_memory(f"memory of {whose}", warm, "heap_bytes" if knows_heap else "rss_bytes", devices)]
    if has_servers:
        found.append(_memory("memory of the servers", warm, "server_rss_bytes", devices))
    found.append(_connections(warm))
    for name, column in (
        ("connections left by stopped servers", "connections_left"),
        ("chunks of complete images left behind", "rows_left_behind"),
        ("chunks staged for over a day", "rows_chunks_forgotten"),
    ):
        if column in final:
            left = final[column]
            found.append(Judgement(name=name, limit="0", found=str(left), holds=left == 0))
    return found


def _memory(name: str, warm: Sequence[Mapping[str, Any]], column: str, devices: int) -> Judgement:
    values = [float(sample[column]) for sample in warm]
    per_day = slope(values)
    found, error = per_day / max(devices, 1), slope_error(values, per_day) / max(devices, 1)
    holds: bool | None = None
    if len(values) >= DAYS_TO_JUDGE_MIN:
        is_over = found > SLOPE_MAX_BYTES
        holds = (False if found - SURE * error > SLOPE_MAX_BYTES else None) if is_over else True
    text = f"{found / 1_000:.2f} MB in 1,000 camera days" if len(values) > 1 else "no slope"
    if holds is not None or len(values) >= DAYS_TO_JUDGE_MIN:
        text += f" (standard error {error / 1_000:.2f}), over {len(values)} days"
    limit = f"slope at most {SLOPE_MAX_BYTES / 1_000:g} MB in 1,000 camera days"
    doubt = NOT_PROVEN if len(values) >= DAYS_TO_JUDGE_MIN else TOO_FEW
    return Judgement(name=name, limit=limit, found=text, holds=holds, doubt=doubt)


def _connections(warm: Sequence[Mapping[str, Any]]) -> Judgement:
    opened = [float(sample["connections"]) for sample in warm]
    return Judgement(
        name="open connections to the database",
        limit="no growth",
        found=f"{opened[0]:g} to {opened[-1]:g}" if opened else "no day",
        holds=slope(opened) <= 0 if len(opened) >= DAYS_TO_JUDGE_MIN else None,
    )
