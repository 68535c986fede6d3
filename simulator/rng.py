"""A counter-based random generator: a pure function of (key, counter), the same on every machine and version.

`key` comes from a seed and a path of names (`Rng(4211).child("yard[0]").child("wake/3")`), so what one device draws
never shifts what another one draws. The mixing step is SplitMix64's (Steele, Lea, Flood 2014).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_GAMMA: Final = 0x9E37_79B9_7F4A_7C15
_FLOAT_BITS: Final = 53


def _mixed(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK
    return value ^ (value >> 31)


def _key_of(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class Rng:
    """One stream of numbers. `state` is all there is to it, and makes an equal generator again."""

    __slots__ = ("_counter", "_key")

    def __init__(self, seed: int | str, *, counter: int = 0) -> None:
        self._key = _key_of(f"seed:{seed}")
        self._counter = counter

    @classmethod
    def from_state(cls, state: tuple[int, int]) -> Rng:
        """The generator that had this `state`."""
        rng = cls.__new__(cls)
        rng._key, rng._counter = state
        return rng

    @property
    def state(self) -> tuple[int, int]:
        return self._key, self._counter

    def child(self, name: str) -> Rng:
        """An independent generator for `name`; it doesn't depend on what was drawn here before."""
        return Rng.from_state((_key_of(f"{self._key:016x}/{name}"), 0))

    def u64(self) -> int:
        """The next whole number, 0..2**64-1."""
        self._counter = (self._counter + 1) & _MASK
        return _mixed((self._key + self._counter * _GAMMA) & _MASK)

    def below(self, limit: int) -> int:
        """A whole number 0..limit-1, each equally likely; `limit` is 1..2**64."""
        if not 1 <= limit <= _MASK + 1:
            raise ValueError(f"limit is {limit}, expected 1..2**64")
        fair = (_MASK + 1) - (_MASK + 1) % limit
        while True:
            value = self.u64()
            if value < fair:
                return value % limit

    def between(self, low: int, high: int) -> int:
        """A whole number low..high, both ends included."""
        return low + self.below(high - low + 1)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A float in low..high, `high` excluded."""
        return low + (high - low) * ((self.u64() >> (64 - _FLOAT_BITS)) / (1 << _FLOAT_BITS))

    def chance(self, probability: float) -> bool:
        """True with `probability` (0..1)."""
        return self.uniform() < probability

    def choice(self, items: Sequence[T]) -> T:
        """One of `items`, which must not be empty."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in another order (Fisher-Yates); `items` stays as it is."""
        result = list(items)
        for index in range(len(result) - 1, 0, -1):
            other = self.below(index + 1)
            result[index], result[other] = result[other], result[index]
        return result

    def take_bytes(self, count: int) -> bytes:
        """`count` bytes."""
        words = (self.u64().to_bytes(8, "big") for _ in range(-(-count // 8)))
        return b"".join(words)[:count]
