"""Latencies as counts in buckets that grow by 4 percent: small, mergeable, percentiles good to 4 percent. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

_GROWTH: Final = math.log(1.04)


class Latencies:
    """Counts of durations in milliseconds; `counts` is all there is to it."""

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = {int(bucket): count for bucket, count in (counts or {}).items()}

    def add(self, duration_ms: float) -> None:
        """One more; less than a millisecond counts as one."""
        bucket = int(math.log(duration_ms) / _GROWTH) if duration_ms > 1 else 0
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    def percentile_ms(self, percent: float) -> float | None:
        """The upper end of the bucket in which that share of all is reached; None where there are none."""
        left = self.total * percent / 100
        for bucket in sorted(self.counts):
            left -= self.counts[bucket]
            if left <= 0:
                return math.exp((bucket + 1) * _GROWTH)
        return None


def merged(parts: Iterable[Latencies]) -> Latencies:
    """All of them together."""
    counts: dict[int, int] = {}
    for part in parts:
        for bucket, count in part.counts.items():
            counts[bucket] = counts.get(bucket, 0) + count
    return Latencies(counts)
