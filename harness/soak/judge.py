"""Does anything grow? Thresholds over the days of a soak; what they say decides the exit code. Pure.

A slope is the median of the slopes between all pairs of days (Theil and Sen), after a warm-up of a fifth of the days,
so one odd day does not decide. Memory fails only where its slope is over the limit and the growth over the judged days
is more than an allocator's own breathing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

RSS_SLOPE_MAX_BYTES: Final = 1_000.0
"""A camera day: 1 MB in 1,000 camera days."""

RSS_BREATHING_BYTES: Final = 12_000_000
"""Growth over all judged days that proves nothing yet."""

DAYS_TO_JUDGE_MIN: Final = 5
PAIRED_DAYS_MAX: Final = 400
"""More days are thinned out evenly: the number of pairs grows with the square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One threshold and what was found; `holds` None: too few days to say."""

    name: str
    limit: str
    found: str
    holds: bool | None


def warm_up_days(days: int) -> int:
    """Days that are left out at the start."""
    return max(1, days // 5)


def slope(values: Sequence[float]) -> float:
    """The median growth from one value to the next; 0 for fewer than two."""
    step = -(-len(values) // PAIRED_DAYS_MAX) or 1
    thinned = list(enumerate(values))[::step]
    slopes = [
        (later - earlier) / (there - here)
        for index, (here, earlier) in enumerate(thinned)
        for there, later in thinned[index + 1 :]
    ]
    return median(slopes) if slopes else 0.0


def judgements(samples: Sequence[Mapping[str, Any]], final: Mapping[str, Any], devices: int) -> list[Judgement]:
    """Every threshold, over the days' samples and the one after the drain."""
    warm = samples[warm_up_days(len(samples)) :]
    found = [_memory(warm, devices)]
    if warm:
        opened = slope([sample["connections"] for sample in warm])
        found.append(
            Judgement(
                name="open connections",
                limit="no growth",
                found=f"{warm[0]['connections']} to {warm[-1]['connections']}",
                holds=opened <= 0 or len(warm) < DAYS_TO_JUDGE_MIN,
            )
        )
    if final:
        left = final["rows_left_behind"]
        found.append(
            Judgement(
                name="chunks of complete images left behind", limit="0 rows", found=f"{left} rows", holds=left == 0
            )
        )
        staged = final["rows_chunks_forgotten"]
        found.append(
            Judgement(name="chunks staged for over a day", limit="0 rows", found=f"{staged} rows", holds=staged == 0)
        )
    return found


def _memory(warm: Sequence[Mapping[str, Any]], devices: int) -> Judgement:
    per_day = slope([sample["rss_bytes"] for sample in warm])
    per_camera_day = per_day / max(devices, 1)
    growth = per_day * max(len(warm) - 1, 0)
    holds = per_camera_day <= RSS_SLOPE_MAX_BYTES or growth <= RSS_BREATHING_BYTES
    return Judgement(
        name="memory of simulator and server (one process)",
        limit=f"slope at most {RSS_SLOPE_MAX_BYTES / 1_000:g} MB in 1,000 camera days, once growth is over"
        f" {RSS_BREATHING_BYTES // 1_000_000} MB",
        found=f"{per_camera_day / 1_000:.1f} MB in 1,000 camera days,"
        f" {growth / 1_000_000:.1f} MB over {len(warm)} days",
        holds=holds if len(warm) >= DAYS_TO_JUDGE_MIN else None,
    )
