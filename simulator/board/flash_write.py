"""One download into flash: plain or compressed, erased before it (ROM) or as it goes (stub). Pure."""

from __future__ import annotations

import zlib

from simulator.board.flash import SECTOR_BYTES, FlashRangeError, NorFlash
from simulator.board.protocol import CommandFailed, Failure


class FlashWrite:
    """`size_bytes` is what will be written; for the stub also what it may erase."""

    def __init__(self, flash: NorFlash, offset: int, size_bytes: int, *, compressed: bool, erases_ahead: bool) -> None:
        self.is_compressed = compressed
        self._flash = flash
        self._next = offset
        self._end = offset + size_bytes
        self._erased_to = offset - offset % SECTOR_BYTES
        self._inflate = zlib.decompressobj() if compressed else None
        if erases_ahead:
            self._guarded_erase(offset, size_bytes)
            self._erased_to = self._end

    def add(self, block: bytes) -> None:
        """Write the next block, without the padding of the last one; raises CommandFailed."""
        if self._inflate is None:
            self._program(block[: self._end - self._next])
            return
        if self._inflate.eof:
            raise CommandFailed(Failure.TOO_MUCH_DATA)
        room = min(self._end, self._flash.size_bytes) - self._next
        try:
            data = self._inflate.decompress(block, max(0, room) + SECTOR_BYTES)
        except zlib.error as error:
            raise CommandFailed(Failure.INFLATE_FAILED) from error
        if len(data) > self._end - self._next or self._inflate.unconsumed_tail:
            raise CommandFailed(Failure.TOO_MUCH_DATA)
        self._program(data)

    def _program(self, data: bytes) -> None:
        end = self._next + len(data)
        if end > self._erased_to:
            self._guarded_erase(self._erased_to, end - self._erased_to)
            self._erased_to = -(-end // SECTOR_BYTES) * SECTOR_BYTES
        try:
            self._flash.program(self._next, data)
        except FlashRangeError as error:
            raise CommandFailed(Failure.WRITE_FAILED) from error
        self._next = end

    def _guarded_erase(self, offset: int, count: int) -> None:
        try:
            self._flash.erase(offset, count)
        except FlashRangeError as error:
            raise CommandFailed(Failure.FAILED_TO_ACT) from error
