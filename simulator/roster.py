"""Who sleeps until when: one whole number for each sleeping camera in a heap, and its few numbers in arrays. Pure.

A camera that sleeps needs no object: what a wake leaves behind is how often it woke, its image counter and the charge
it used. The few whose photo is still unconfirmed are kept whole by the fleet. A million cameras take about 60 MB.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator
from typing import Final

from simulator.rng import Rng

_INDEX_BITS: Final = 32
_INDEX_MASK: Final = (1 << _INDEX_BITS) - 1
_SHARD_KEY: Final = 0x5AD5_0F_F1EE7
"""Fixed: a camera is in the same shard whatever the seed."""


def shard_of_camera(index: int, parts: int) -> int:
    """The part, counted from 1, that a camera belongs to: by a hash, so that no part gets one kind only."""
    return 1 + Rng.from_state((_SHARD_KEY, index)).u64() % parts


class Roster:
    """The sleeping cameras of one shard. `interval_ms` apart, spread over `spread_ms`, in a run of `length_ms`."""

    def __init__(
        self,
        devices: int,
        *,
        seed: int,
        interval_ms: int,
        spread_ms: int,
        length_ms: int,
        part: int = 1,
        parts: int = 1,
    ) -> None:
        self.wakes = array("I", bytes(4 * devices))
        self.counters = array("I", bytes(4 * devices))
        self.used_mj = array("f", bytes(4 * devices))
        self.registered = 0
        self._phase_key = Rng(f"{seed}/fleet phases").u64()
        self._interval_ms, self._spread_ms, self._length_ms = interval_ms, spread_ms, length_ms
        self._heap: list[int] = []
        for index in range(devices):
            if parts == 1 or shard_of_camera(index, parts) == part:
                self.registered += 1
                due_ms = self.planned_ms(index, 0)
                if due_ms is not None:
                    self._heap.append(due_ms << _INDEX_BITS | index)
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._heap)

    def planned_ms(self, index: int, number: int) -> int | None:
        """When a camera's wake of that number (from 0) is due, from the start of the run; None after its end."""
        phase_ms = Rng.from_state((self._phase_key, index)).below(self._spread_ms) if self._spread_ms > 1 else 0
        due_ms = phase_ms + number * self._interval_ms
        return due_ms if due_ms < self._length_ms else None

    def sleep(self, index: int, until_ms: int) -> None:
        """The camera sleeps until then."""
        heapq.heappush(self._heap, until_ms << _INDEX_BITS | index)

    @property
    def next_due_ms(self) -> int | None:
        """When the next one wakes."""
        return self._heap[0] >> _INDEX_BITS if self._heap else None

    def take_due(self, now_ms: int) -> tuple[int, int] | None:
        """(index, due_ms) of the camera that is due longest, which sleeps no more; None where nobody is due."""
        if not self._heap or self._heap[0] >> _INDEX_BITS > now_ms:
            return None
        entry = heapq.heappop(self._heap)
        return entry & _INDEX_MASK, entry >> _INDEX_BITS

    def clear(self) -> Iterator[int]:
        """Nobody wakes any more; gives those who would have."""
        heap, self._heap = self._heap, []
        return (entry & _INDEX_MASK for entry in heap)
