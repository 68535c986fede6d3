"""The loader in the chip's mask ROM: what answers after a reset with the boot strap low. Pure.

It takes code into RAM, too; that is how a stub gets in. Code isn't executed here: what was uploaded is taken for a stub
if it holds the greeting that all of Espressif's stubs send, and if the entry point lies in what was uploaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from simulator.board.flash import FlashRangeError, NorFlash
from simulator.board.loader import Loader
from simulator.board.protocol import Answer, CommandFailed, Failure, Op, Request, Then
from simulator.board.registers import Registers

GREETING: Final = b"OHAI"
"""What a stub sends when it starts."""

_SLOW_READ_BYTES: Final = 64
_RAM_BYTES_MAX: Final = 1 << 20
_PIECES_MAX: Final = 64


class RomLoader(Loader):
    """State: the download under way, and the pieces of code in RAM by address."""

    is_stub = False
    status_pad = b"\0\0"
    sync_value = 0x2012_0707

    def __init__(self, flash: NorFlash, registers: Registers) -> None:
        super().__init__(flash, registers)
        self._ram: dict[int, bytearray] = {}
        self._open: tuple[int, int] | None = None

    def _commands(self) -> dict[int, Callable[[Request], Answer]]:
        return super()._commands() | {
            Op.SPI_ATTACH: self._done,
            Op.READ_FLASH_SLOW: self._read_slow,
            Op.FLASH_END: self._end,
            Op.FLASH_DEFL_END: self._end,
            Op.MEM_BEGIN: self._mem_begin,
            Op.MEM_DATA: self._mem_data,
            Op.MEM_END: self._mem_end,
        }

    def _md5(self, request: Request) -> Answer:
        return self.reply(request, data=self._digest(request).hex().encode())

    def _read_slow(self, request: Request) -> Answer:
        offset, count = request.words(2)
        try:
            data = self.flash.read(offset, min(count, _SLOW_READ_BYTES))
        except FlashRangeError as error:
            raise CommandFailed(Failure.READ_FAILED) from error
        return self.reply(request, data=data.ljust(_SLOW_READ_BYTES, b"\0"))

    def _end(self, request: Request) -> Answer:
        self._write = None
        return self.reply(request, then=Then.RUN_APP)

    def _mem_begin(self, request: Request) -> Answer:
        size_bytes, _, _, address = request.words(4)
        self._ram.pop(address, None)
        if size_bytes + sum(map(len, self._ram.values())) > _RAM_BYTES_MAX or len(self._ram) >= _PIECES_MAX:
            raise CommandFailed(Failure.FAILED_TO_ACT)
        self._ram[address] = bytearray()
        self._open = (address, size_bytes)
        return self.reply(request)

    def _mem_data(self, request: Request) -> Answer:
        if self._open is None:
            raise CommandFailed(Failure.NOT_IN_FLASH_MODE)
        address, size_bytes = self._open
        piece = self._ram[address]
        piece += request.payload()
        if len(piece) > size_bytes:
            raise CommandFailed(Failure.TOO_MUCH_DATA)
        return self.reply(request)

    def _mem_end(self, request: Request) -> Answer:
        stays, entry = request.words(2)
        if stays:
            return self.reply(request)
        pieces, self._ram, self._open = self._ram, {}, None
        is_inside = any(address <= entry < address + len(piece) for address, piece in pieces.items())
        is_stub = is_inside and any(GREETING in piece for piece in pieces.values())
        return self.reply(request, then=Then.RUN_STUB if is_stub else Then.RUN_OTHER_CODE)
