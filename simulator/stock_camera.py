"""Photos for fleets: one picture with room around it, and in every chunk of it a mark of this photo alone. Pure.

As real JPEGs and as different as those of `camera`, at a tenth of its cost: only the marks are made anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from simulator.camera import render

_MARK_BYTES = 24
_SEGMENT_EVERY_BYTES = 65_537
"""Largest COM segment with its head; where the next head may stand no mark does."""


@lru_cache(maxsize=8)
def _stock(size_bytes: int, chunk_bytes: int, seed: int) -> tuple[bytes, tuple[int, ...]]:
    """The picture, and where marks go: near the start of each chunk, inside the comment."""
    jpeg = render("stock", 0, seed, size_bytes)
    start, stop = _comment_of(jpeg)
    heads = range(2, stop, _SEGMENT_EVERY_BYTES)
    places = []
    for chunk in range(0, size_bytes, chunk_bytes):
        place = max(chunk, start)
        is_free = all(place + _MARK_BYTES <= head or place >= head + 4 for head in heads)
        if is_free and place + _MARK_BYTES <= min(stop, chunk + chunk_bytes):
            places.append(place)
    return jpeg, tuple(places)


def _comment_of(jpeg: bytes) -> tuple[int, int]:
    """From the first byte of comment data to the end of the last comment."""
    at = 2
    while jpeg[at : at + 2] == b"\xff\xfe":
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return 6, at


@dataclass(frozen=True, slots=True, kw_only=True)
class StockCamera:
    """What `Device` wants for `capture`: the same bytes for the same (seed, device, wake)."""

    device_id: str
    seed: int
    size_bytes: int
    chunk_bytes: int

    def __call__(self, wake_number: int, counter: int) -> bytes:
        stock, places = _stock(self.size_bytes, self.chunk_bytes, self.seed)
        mark = hashlib.blake2b(f"{self.seed}/{self.device_id}/{wake_number}".encode(), digest_size=_MARK_BYTES).digest()
        jpeg = bytearray(stock)
        for place in places:
            jpeg[place : place + _MARK_BYTES] = mark
        return bytes(jpeg)
