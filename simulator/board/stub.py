"""The stub: Espressif's flasher that esptool loads into RAM. Faster than the ROM, and it can erase and read. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from simulator.board.flash import FlashRangeError, NorFlash
from simulator.board.loader import Loader
from simulator.board.protocol import Answer, CommandFailed, Failure, Op, Request, Then
from simulator.board.registers import Registers

_ACK: Final = struct.Struct("<I")


@dataclass(slots=True)
class _Reading:
    """A read under way: blocks go out ahead of their acks, as far as the window allows."""

    offset: int
    count: int
    block_bytes: int
    window_bytes: int
    sent: int = 0


class StubLoader(Loader):
    """State: the download or the read that is under way."""

    is_stub = True
    status_pad = b""
    sync_value = 0

    def __init__(self, flash: NorFlash, registers: Registers) -> None:
        super().__init__(flash, registers)
        self._reading: _Reading | None = None

    def handle(self, packet: bytes) -> tuple[int, Answer]:
        if self._reading is not None and len(packet) == _ACK.size:
            return Op.READ_FLASH, Answer(packets=self._blocks(self._reading, _ACK.unpack(packet)[0]))
        return super().handle(packet)

    def _commands(self) -> dict[int, Callable[[Request], Answer]]:
        return super()._commands() | {
            Op.SPI_ATTACH: self._done,
            Op.FLASH_END: self._end,
            Op.FLASH_DEFL_END: self._end,
            Op.ERASE_FLASH: self._erase_all,
            Op.ERASE_REGION: self._erase_region,
            Op.READ_FLASH: self._read,
            Op.RUN_USER_CODE: self._run_app,
        }

    def _md5(self, request: Request) -> Answer:
        return self.reply(request, data=self._digest(request))

    def _end(self, request: Request) -> Answer:
        """With 0 the stub restarts the chip, which comes back into the ROM loader: the strap is still low."""
        self._write = None
        return self.reply(request, then=None if request.words(1)[0] else Then.RUN_ROM)

    def _run_app(self, request: Request) -> Answer:
        return Answer(then=Then.RUN_APP)

    def _erase_all(self, request: Request) -> Answer:
        self.flash.erase(0, self.flash.size_bytes)
        return self.reply(request)

    def _erase_region(self, request: Request) -> Answer:
        offset, count = request.words(2)
        try:
            self.flash.erase(offset, count)
        except FlashRangeError as error:
            raise CommandFailed(Failure.FAILED_TO_ACT) from error
        return self.reply(request)

    def _read(self, request: Request) -> Answer:
        offset, count, block_bytes, window = request.words(4)
        if not 0 < block_bytes <= 1 << 16 or not 0 < window <= 1 << 10:
            raise CommandFailed(Failure.INVALID_MESSAGE)
        if offset + count > self.flash.size_bytes:
            raise CommandFailed(Failure.READ_FAILED)
        reading = self._reading = _Reading(offset, count, block_bytes, block_bytes * window)
        first = self.reply(request)
        return Answer(packets=first.packets + self._blocks(reading, 0))

    def _blocks(self, reading: _Reading, acked: int) -> tuple[bytes, ...]:
        packets: list[bytes] = []
        while reading.sent < reading.count and reading.sent - acked < reading.window_bytes:
            size = min(reading.block_bytes, reading.count - reading.sent)
            packets.append(self.flash.read(reading.offset + reading.sent, size))
            reading.sent += size
        if acked >= reading.count:
            packets.append(self.flash.md5(reading.offset, reading.count))
            self._reading = None
        return tuple(packets)
