"""Cameras that do nothing wrong while another attacks: how long each waits for the answer to its HELLO."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Final, Self

from harness.hostile.prober import Prober
from harness.machine import monotonic_s
from simulator.fleet import camera_mac

COUNT: Final = 10
EVERY_S: Final = 0.1
ANSWER_WITHIN_S: Final = 30.0
_HELLO: Final = b'{"status": "Alive", "pendingImg": 0}'


class Bystanders:
    """Each says HELLO ten times a second, or as often as it is answered."""

    def __init__(self) -> None:
        self._probers: list[tuple[str, Prober]] = []
        self._ends = AsyncExitStack()

    @classmethod
    async def come(cls, port: int) -> Self:
        """All are connected and have been answered once."""
        found = cls()
        for number in range(1, COUNT + 1):
            mac = camera_mac(number)
            prober = await Prober.open("127.0.0.1", port)
            found._ends.push_async_callback(prober.close)
            await prober.connect(f"bystander-{number}".encode(), None, None)
            await prober.subscribe(f"ESP32CAM/{mac}/cmd", 1)
            found._probers.append((f"ESP32CAM/{mac}/status", prober))
        await found.waits_ms(asyncio.Event(), least=1)
        return found

    async def waits_ms(self, over: asyncio.Event, least: int) -> list[float]:
        """How long each answer took, until `over` is set and each has `least` of them."""
        found = await asyncio.gather(*(self._waits_ms(*each, over, least) for each in self._probers))
        return [wait_ms for waits_ms in found for wait_ms in waits_ms]

    async def _waits_ms(self, topic: str, prober: Prober, over: asyncio.Event, least: int) -> list[float]:
        waits_ms: list[float] = []
        while len(waits_ms) < least or (not over.is_set() and least > 1):
            began_s = monotonic_s()
            await prober.publish(topic, _HELLO)
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await prober.message()
            waits_ms.append((monotonic_s() - began_s) * 1_000)
            await asyncio.sleep(max(0.0, began_s + EVERY_S - monotonic_s()))
        return waits_ms

    async def leave(self) -> None:
        """All disconnect."""
        await self._ends.aclose()


def percentile(values: list[float], share: float) -> float:
    """The smallest value that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
