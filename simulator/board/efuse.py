"""The eFuse controller of an ESP32-S3: who the chip is, and bits that can only be burned to 1. Pure.

Addresses are those of the chip's register map. Reed-Solomon words are taken as given: blocks never have coding errors.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

BASE: Final = 0x6000_7000
END: Final = BASE + 0x200
_PROGRAM_WORDS: Final = 8
_CONF: Final = 0x1CC
_COMMAND: Final = 0x1D4
_WRITE_CODE: Final = 0x5A5A
_PROGRAM: Final = 2

_BLOCKS: Final = ((0x2C, 6), (0x44, 6), *((0x5C + 0x20 * number, 8) for number in range(9)))
"""(offset, words) of each block's read registers, by block number."""

_FIRST_KEY_BLOCK: Final = 4
_FIRST_LOCKABLE_BLOCK: Final = 1
_FIRST_LOCK_BIT: Final = 20
"""WR_DIS locks blocks 1 to 10 by its bits 20 to 29."""

_WR_DIS: Final = 0x2C
_RD_DIS: Final = 0x30
_SECURITY_FLAGS: Final = (
    (0x38, 20, 1),  # SECURE_BOOT_EN
    (0x38, 21, 1),  # SECURE_BOOT_AGGRESSIVE_REVOKE
    (0x3C, 5, 1),  # ENABLE_SECURITY_DOWNLOAD
    (0x34, 21, 1),  # SECURE_BOOT_KEY_REVOKE0 to 2
    (0x34, 22, 1),
    (0x34, 23, 1),
    (0x30, 16, 3),  # SOFT_DIS_JTAG
    (0x30, 19, 1),  # DIS_PAD_JTAG
    (0x30, 13, 1),  # DIS_USB_OTG
    (0x30, 11, 1),  # DIS_DOWNLOAD_DCACHE
    (0x30, 10, 1),  # DIS_DOWNLOAD_ICACHE
)
"""(register, first bit, bits) of each flag of GET_SECURITY_INFO, the lowest first; set by an odd number of ones."""

_CRYPT_COUNT: Final = (0x34, 18, 3)
_KEY_PURPOSES: Final = ((0x34, 24, 4), (0x34, 28, 4), *((0x38, 4 * number, 4) for number in range(4)))
CHIP_ID: Final = 9

_PSRAM_CODES: Final = {0: 0, 8: 1, 2: 2, 16: 3, 4: 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipIdentity:
    """What the factory burned. `mac` is 6 bytes; `psram_mb` 0, 2, 4, 8 or 16 inside the package."""

    mac: bytes
    revision: tuple[int, int] = (0, 2)
    psram_mb: int = 8

    def __post_init__(self) -> None:
        if len(self.mac) != 6:
            raise ValueError(f"a MAC has 6 bytes, got {len(self.mac)}")
        if self.psram_mb not in _PSRAM_CODES:
            raise ValueError(f"psram is {self.psram_mb} MB, expected one of {sorted(_PSRAM_CODES)}")

    @property
    def mac_text(self) -> str:
        """As boot logs and tools write it: 7c:df:a1:e0:b0:c5."""
        return self.mac.hex(":")


def _factory_words(chip: ChipIdentity) -> dict[int, int]:
    major, minor = chip.revision
    psram = _PSRAM_CODES[chip.psram_mb]
    vendor_ap_3v3 = 1 if psram else 0
    return {
        0x44: int.from_bytes(chip.mac[2:], "big"),
        0x48: int.from_bytes(chip.mac[:2], "big"),
        0x50: (minor & 7) << 18,
        0x54: (psram & 3) << 3 | vendor_ap_3v3 << 7,
        0x58: (minor >> 3) << 23 | (major & 3) << 24 | (psram >> 2) << 19,
        0x5C: int.from_bytes(bytes(chip.mac)[::-1].ljust(16, b"\x5a")[8:12], "little"),
    }


class Efuse:
    """Read and write by offset from BASE."""

    def __init__(self, chip: ChipIdentity) -> None:
        self.chip = chip
        self._words = _factory_words(chip)
        self._pad = [0] * _PROGRAM_WORDS
        self._conf = 0

    def read(self, offset: int) -> int:
        """A register's word; what nothing was burned into is 0, and so is a key that RD_DIS hides."""
        if offset < 4 * _PROGRAM_WORDS:
            return self._pad[offset // 4]
        block = _block_at(offset)
        if block >= _FIRST_KEY_BLOCK and self._words.get(_RD_DIS, 0) >> (block - _FIRST_KEY_BLOCK) & 1:
            return 0
        return self._words.get(offset, 0)

    def security_info(self) -> bytes:
        """The ROM's answer to GET_SECURITY_INFO: flags, crypt count, seven key purposes, chip id, API version."""
        flags = 0
        for number, place in enumerate(_SECURITY_FLAGS):
            flags |= (self._field(place).bit_count() & 1) << number
        purposes = bytes(self._field(place) for place in _KEY_PURPOSES) + b"\0"
        return struct.pack("<IB7sII", flags, self._field(_CRYPT_COUNT), purposes, CHIP_ID, 0)

    def _field(self, place: tuple[int, int, int]) -> int:
        offset, first, bits = place
        return self._words.get(offset, 0) >> first & ((1 << bits) - 1)

    def write(self, offset: int, value: int) -> None:
        """Write a register; with the write code set, the command register burns the pad into a block."""
        if offset < 4 * _PROGRAM_WORDS:
            self._pad[offset // 4] = value
        elif offset == _CONF:
            self._conf = value & 0xFFFF
        elif offset == _COMMAND and value & 3 == _PROGRAM and self._conf == _WRITE_CODE:
            self._burn(value >> 2 & 0xF)

    def _burn(self, block: int) -> None:
        is_lockable = block >= _FIRST_LOCKABLE_BLOCK
        lock = self._words.get(_WR_DIS, 0) >> (_FIRST_LOCK_BIT + block - _FIRST_LOCKABLE_BLOCK) & 1
        if block >= len(_BLOCKS) or (is_lockable and lock):
            return
        start, words = _BLOCKS[block]
        for index in range(words):
            place = start + 4 * index
            self._words[place] = self._words.get(place, 0) | self._pad[index]


def _block_at(offset: int) -> int:
    """The number of the block whose read registers lie there; -1 for another register."""
    inside = (number for number, (start, words) in enumerate(_BLOCKS) if start <= offset < start + 4 * words)
    return next(inside, -1)
