"""Photos for fleets: one picture with room around it, and in every chunk of it a mark of this photo alone. Pure.

As real JPEGs and as different as those of `camera`, at a tenth of its cost: only the marks are made anew.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from dataclasses import dataclass
from functools import lru_cache

from simulator.camera import render

_MARK_BYTES = 24
_SEGMENT_EVERY_BYTES = 65_537
"""Largest COM segment with its head; where the next head may stand no mark does."""


@dataclass(frozen=True, slots=True)
class Stock:
    """The picture as what stands around the marks: a photo is these pieces, joined by its mark."""

    pieces: tuple[bytes, ...]
    mark_bytes: int
    prepared: dict[int, tuple[bytes, int, bytes]]
    """For a chunk with one mark: Base64 before it, its place in the photo, Base64 behind it."""


@lru_cache(maxsize=8)
def stock_of(size_bytes: int, chunk_bytes: int, seed: int) -> Stock:
    """Made once: marks go near the start of each chunk, inside the comment."""
    jpeg = render("stock", 0, seed, size_bytes)
    start, stop = _comment_of(jpeg)
    heads = range(2, stop, _SEGMENT_EVERY_BYTES)
    pieces: list[bytes] = []
    prepared: dict[int, tuple[bytes, int, bytes]] = {}
    last = 0
    for number, chunk in enumerate(range(0, size_bytes, chunk_bytes)):
        place = max(chunk, start)
        is_free = all(place + _MARK_BYTES <= head or place >= head + 4 for head in heads)
        if is_free and place + _MARK_BYTES <= min(stop, chunk + chunk_bytes):
            pieces.append(jpeg[last:place])
            last = place + _MARK_BYTES
            if (place - chunk) % 3 == 0:
                behind = jpeg[last : chunk + chunk_bytes]
                prepared[number] = _base64(jpeg[chunk:place]), place, _base64(behind)
    mark_bytes = _MARK_BYTES
    if not pieces:  # a photo so small that its comment has no room for a whole mark
        mark_bytes = max(0, min(stop, size_bytes) - start)
        pieces.append(jpeg[:start])
        last = start + mark_bytes
    return Stock((*pieces, jpeg[last:]), mark_bytes, prepared)


def _base64(data: bytes) -> bytes:
    return b2a_base64(data, newline=False)


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
        stock = stock_of(self.size_bytes, self.chunk_bytes, self.seed)
        name = f"{self.seed}/{self.device_id}/{wake_number}".encode()
        mark = hashlib.blake2b(name, digest_size=_MARK_BYTES).digest()[: stock.mark_bytes]
        return mark.join(stock.pieces)


class StockBase64:
    """The Base64 of chunks of stock photos: only their marks are encoded anew."""

    def __init__(self, size_bytes: int, chunk_bytes: int, seed: int) -> None:
        self._prepared = stock_of(size_bytes, chunk_bytes, seed).prepared
        self._chunk_bytes = chunk_bytes

    def __call__(self, jpeg: bytes, index: int) -> tuple[bytes, ...]:
        """Of that chunk, in pieces that are joined once with what stands around them."""
        found = self._prepared.get(index)
        if found is None:
            start = index * self._chunk_bytes
            return (_base64(jpeg[start : start + self._chunk_bytes]),)
        before, place, behind = found
        return before, _base64(jpeg[place : place + _MARK_BYTES]), behind
