"""The queues between arrival and batch: a device's messages always go the same lane, so lanes work beside each other.

While PostgreSQL works on the batch of one lane, the server decides another's. What is in two lanes touches different
devices, like batches of two servers, and locks are taken in the same order (design 9.2). PUBACKs leave in the order of
arrival all the same: the connection holds back what is done too early.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final
from zlib import crc32

from server.batch import Item, sender_of

BATCH_MESSAGES_MAX: Final = 200
"""Best batch of the measurements is 100 to 200 rows."""


class Lanes:
    """`count` queues; whoever takes a batch from one says `done` before it takes the next."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._queues: list[deque[Item]] = [deque() for _ in range(count)]
        self._arrived = [asyncio.Event() for _ in range(count)]
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, item: Item) -> None:
        """Behind everything of its device."""
        lane = self._lane_of(item)
        self._queues[lane].append(item)
        self._idle.clear()
        self._arrived[lane].set()

    def _lane_of(self, item: Item) -> int:
        if self.count == 1:
            return 0
        mac = item.mac or sender_of(item.topic or "")
        return crc32(mac.encode()) % self.count

    async def take(self, lane: int) -> list[Item]:
        """The lane's next batch, as soon as there is one; a message over HTTP is a batch of its own, since its replies
        go elsewhere."""
        await self._arrived[lane].wait()
        queue = self._queues[lane]
        batch = [queue.popleft()]
        if batch[0].answer is None:
            while queue and len(batch) < BATCH_MESSAGES_MAX and queue[0].answer is None:
                batch.append(queue.popleft())
        self._busy += 1
        return batch

    def done(self, lane: int) -> None:
        """The batch that was taken last is finished with."""
        self._busy -= 1
        if not self._queues[lane]:
            self._arrived[lane].clear()
        if not self._busy and not len(self):
            self._idle.set()

    def clear(self) -> list[Item]:
        """Everything that waits, which waits no longer."""
        waiting = [item for queue in self._queues for item in queue]
        for queue, arrived in zip(self._queues, self._arrived, strict=True):
            queue.clear()
            arrived.clear()
        return waiting

    def __len__(self) -> int:
        return sum(map(len, self._queues))

    @property
    def is_idle(self) -> bool:
        """Nothing waits or is under way."""
        return self._idle.is_set()

    async def wait_idle(self) -> None:
        """Returns once nothing waits or is under way."""
        await self._idle.wait()
