"""The memory-mapped registers that a flasher touches: eFuse, SPI1 with the flash behind it, RTC watchdog, straps. Pure.

What isn't modelled is plain memory: it reads back what was written, 0 before that.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from simulator.board import efuse
from simulator.board.efuse import Efuse
from simulator.board.flash import NorFlash

GPIO_STRAP: Final = 0x6000_4038
STRAP_FLASH_BOOT: Final = 0x8
OPTION1: Final = 0x6000_812C
_WATCHDOG_CONFIG0: Final = 0x6000_8098
_WATCHDOG_PROTECT: Final = 0x6000_80B0
_WATCHDOG_ENABLE: Final = 1 << 31
_UART_CLOCK_DIVIDER: Final = 0x6000_0014
_XTAL_HZ: Final = 40_000_000

_CHIP_MAGIC: Final = (0x4000_1000, 9)
"""A word of the mask ROM that older tools tell chips by."""

_WORDS_MAX: Final = 1 << 14
"""More registers than any tool touches; a host that writes on and on gets no more memory."""

_SPI1: Final = 0x6000_2000
_SPI_COMMAND: Final = _SPI1
_SPI_ADDRESS: Final = _SPI1 + 0x04
_SPI_USER2: Final = _SPI1 + 0x20
_SPI_MISO_BITS: Final = _SPI1 + 0x28
_SPI_W0: Final = _SPI1 + 0x58
_SPI_USER_START: Final = 1 << 18

_SFDP: Final = b"SFDP\x06\x01\x01\xff\x00\x06\x01\x10\x80\x00\x00\xff" + b"\xff" * 112


class RegisterEvent(Enum):
    """What a write asks of the whole chip."""

    HOST_WILL_RESET = "the host clears the forced download boot, as it does before each hard reset"
    WATCHDOG_RESET = "the RTC watchdog was armed and locked"


class Registers:
    """All registers of one chip, from one reset to the next."""

    def __init__(self, fuses: Efuse, flash: NorFlash, strap: int = STRAP_FLASH_BOOT, baud: int = 115_200) -> None:
        self._fuses = fuses
        self._flash = flash
        self._words: dict[int, int] = {
            GPIO_STRAP: strap,
            _UART_CLOCK_DIVIDER: _XTAL_HZ // max(1, baud),
            _CHIP_MAGIC[0]: _CHIP_MAGIC[1],
        }
        self._status = [0, 2, 0]
        self._write_enabled = False
        self._watchdog_armed = False

    @property
    def security_info(self) -> bytes:
        """What the eFuses say of secure boot, encryption and keys, as GET_SECURITY_INFO has it."""
        return self._fuses.security_info()

    def read(self, address: int) -> int:
        """A word."""
        if efuse.BASE <= address < efuse.END:
            return self._fuses.read(address - efuse.BASE)
        return self._words.get(address, 0)

    def write(self, address: int, value: int, mask: int = 0xFFFF_FFFF) -> RegisterEvent | None:
        """Change the bits of `mask`."""
        if efuse.BASE <= address < efuse.END:
            self._fuses.write(address - efuse.BASE, value & mask)
            return None
        if address not in self._words and len(self._words) >= _WORDS_MAX:
            return None
        self._words[address] = (self.read(address) & ~mask & 0xFFFF_FFFF) | (value & mask)
        if address == _SPI_COMMAND and value & _SPI_USER_START:
            self._words[_SPI_COMMAND] &= ~_SPI_USER_START
            self._spi_transfer()
        elif address == _WATCHDOG_CONFIG0:
            self._watchdog_armed = bool(value & _WATCHDOG_ENABLE)
        elif address == _WATCHDOG_PROTECT and value == 0 and self._watchdog_armed:
            self._watchdog_armed = False
            return RegisterEvent.WATCHDOG_RESET
        elif address == OPTION1 and mask & 1 and not value & 1:
            return RegisterEvent.HOST_WILL_RESET
        return None

    def _spi_transfer(self) -> None:
        """A user-defined command: opcode and address go out, at most 32 bits come back."""
        opcode = self.read(_SPI_USER2) & 0xFF
        answer = _ANSWERS.get(opcode)
        if answer is not None:
            bits = (self.read(_SPI_MISO_BITS) & 0x3FF) + 1
            self._words[_SPI_W0] = answer(self) & ((1 << min(bits, 32)) - 1)
        elif opcode in (0x06, 0x50):
            self._write_enabled = True
        elif opcode in _STATUS_WRITES and self._write_enabled:
            self._status[_STATUS_WRITES[opcode]] = self.read(_SPI_W0) & 0xFF
            self._write_enabled = False

    def _sfdp(self) -> int:
        start = self.read(_SPI_ADDRESS) & 0xFF_FFFF
        return int.from_bytes(_SFDP[start : start + 4].ljust(4, b"\xff"), "little")


_STATUS_WRITES: Final = {0x01: 0, 0x31: 1, 0x11: 2}
_ANSWERS: Final[dict[int, Callable[[Registers], int]]] = {
    0x9F: lambda chip: chip._flash.jedec_id,
    0x05: lambda chip: chip._status[0],
    0x35: lambda chip: chip._status[1],
    0x15: lambda chip: chip._status[2],
    0x5A: Registers._sfdp,
}
"""What the flash chip answers, by SPI opcode: RDID, the three status registers, SFDP."""
