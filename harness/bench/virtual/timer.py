"""A timer of the virtual loop."""

from __future__ import annotations

import asyncio


class VirtualTimer(asyncio.TimerHandle):
    """A timer in a total order: (microsecond, number)."""

    __slots__ = ("order",)
    order: tuple[int, int]

    def __lt__(self, other: object) -> bool:
        return isinstance(other, VirtualTimer) and self.order < other.order

    def __le__(self, other: object) -> bool:
        return isinstance(other, VirtualTimer) and self.order <= other.order

    def __gt__(self, other: object) -> bool:
        return isinstance(other, VirtualTimer) and self.order > other.order

    def __ge__(self, other: object) -> bool:
        return isinstance(other, VirtualTimer) and self.order >= other.order
