"""A SPI NOR flash: an erase sets whole sectors to FF, a write can only clear bits, and every erase wears. Pure.

The cells may be any mutable buffer: a bytearray, or a mapped file that outlives the process.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from mmap import mmap
from typing import Final

SECTOR_BYTES: Final = 4_096
_BLANK_SECTOR: Final = b"\xff" * SECTOR_BYTES

WINBOND: Final = 0xEF
_W25Q: Final = 0x40


class FlashRangeError(ValueError):
    """The range reaches beyond the end of the flash."""


class NorFlash:
    """`size_bytes` is a power of two; `erases` counts the erase cycles of each sector.

    A worn sector doesn't erase any more: its first bits that are 0 stay 0.
    """

    def __init__(self, cells: bytearray | mmap) -> None:
        size_bytes = len(cells)
        if size_bytes < 1 << 20 or size_bytes & (size_bytes - 1):
            raise ValueError(f"a flash has a power of two of bytes, at least 1 MiB; got {size_bytes}")
        self.size_bytes = size_bytes
        self.erases = array("I", bytes(4 * (size_bytes // SECTOR_BYTES)))
        self._cells = cells
        self._worn: dict[int, bytes] = {}

    @classmethod
    def blank(cls, size_bytes: int) -> NorFlash:
        """A new chip: all FF."""
        return cls(bytearray(b"\xff") * size_bytes)

    @property
    def jedec_id(self) -> int:
        """Manufacturer, type and capacity as RDID gives them, first byte lowest: 0x174: a W25Q64 is 0x1740EF."""
        return WINBOND | _W25Q << 8 | (self.size_bytes.bit_length() - 1) << 16

    @property
    def wear_max(self) -> int:
        """Erase cycles of the sector that has most."""
        return max(self.erases)

    def read(self, offset: int, count: int) -> bytes:
        """Raises FlashRangeError."""
        self._check(offset, count)
        with memoryview(self._cells) as view, view[offset : offset + count] as part:
            return bytes(part)

    @contextmanager
    def view(self) -> Iterator[memoryview]:
        """All of it, without a copy, for as long as the block lasts."""
        with memoryview(self._cells) as view, view.toreadonly() as readable:
            yield readable

    def md5(self, offset: int, count: int) -> bytes:
        """Digest of a range, without a copy of it."""
        self._check(offset, count)
        with memoryview(self._cells) as view, view[offset : offset + count] as part:
            return hashlib.md5(part, usedforsecurity=False).digest()

    def erase(self, offset: int, count: int) -> None:
        """Erase every sector that the range touches."""
        self._check(offset, count)
        if not count:
            return
        first, end = offset // SECTOR_BYTES, -(-(offset + count) // SECTOR_BYTES)
        self._cells[first * SECTOR_BYTES : end * SECTOR_BYTES] = _BLANK_SECTOR * (end - first)
        for sector in range(first, end):
            self.erases[sector] += 1
        for sector in self._worn_in(first, end):
            self._stick(sector)

    def program(self, offset: int, data: bytes) -> None:
        """Clear the bits that are 0 in `data`; bits that are 0 already stay 0."""
        self._check(offset, len(data))
        end = offset + len(data)
        old = self._cells[offset:end]
        if old.count(0xFF) == len(data):
            self._cells[offset:end] = data
        else:
            cleared = int.from_bytes(old, "little") & int.from_bytes(data, "little")
            self._cells[offset:end] = cleared.to_bytes(len(data), "little")

    def wear_out(self, sectors: Iterable[int]) -> None:
        """From now on these sectors keep what is in their first 16 bytes: an erase doesn't set those bits again."""
        for sector in sectors:
            start = sector * SECTOR_BYTES
            self._check(start, SECTOR_BYTES)
            stuck = bytes(self._cells[start : start + 16])
            self._worn[sector] = bytes(16) if stuck == _BLANK_SECTOR[:16] else stuck
            self._stick(sector)

    def renew(self) -> None:
        """No sector is worn any more."""
        self._worn.clear()

    def flip(self, offset: int, bit: int) -> None:
        """Flip one bit where it stands, as charge that leaked does."""
        self._check(offset, 1)
        self._cells[offset : offset + 1] = bytes([self._cells[offset] ^ (1 << bit)])

    def _worn_in(self, first: int, end: int) -> list[int]:
        return [sector for sector in self._worn if first <= sector < end]

    def _stick(self, sector: int) -> None:
        self.program(sector * SECTOR_BYTES, self._worn[sector])

    def _check(self, offset: int, count: int) -> None:
        if offset < 0 or count < 0 or offset + count > self.size_bytes:
            raise FlashRangeError(f"0x{offset:x}+0x{count:x} is beyond a flash of 0x{self.size_bytes:x} bytes")
