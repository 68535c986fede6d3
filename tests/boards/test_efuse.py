"""eFuses: bits that only get more, keys that are hidden, blocks that are locked."""

from __future__ import annotations

from simulator.board.efuse import Efuse
from tests.support.board_client import CHIP

CONF, COMMAND, WRITE_CODE, PROGRAM = 0x1CC, 0x1D4, 0x5A5A, 2
WR_DIS, RD_DIS, KEY_0 = 0x2C, 0x30, 0x9C


def burn(fuses: Efuse, block: int, *words: int) -> None:
    """As espefuse does it: the pad, the write code, the command."""
    for index in range(8):
        fuses.write(4 * index, words[index] if index < len(words) else 0)
    fuses.write(CONF, WRITE_CODE)
    fuses.write(COMMAND, block << 2 | PROGRAM)


def test_what_is_burned_stays_and_only_gets_more() -> None:
    fuses = Efuse(CHIP)
    burn(fuses, 4, 0xF0)
    burn(fuses, 4, 0x0F)
    assert fuses.read(KEY_0) == 0xFF


def test_without_the_write_code_nothing_is_burned() -> None:
    fuses = Efuse(CHIP)
    fuses.write(0, 1)
    fuses.write(COMMAND, 4 << 2 | PROGRAM)
    assert fuses.read(KEY_0) == 0


def test_a_key_that_is_hidden_reads_as_nothing() -> None:
    fuses = Efuse(CHIP)
    burn(fuses, 4, 0xABCD)
    burn(fuses, 5, 0xABCD)
    burn(fuses, 0, 0, 1)
    assert (fuses.read(RD_DIS) & 1, fuses.read(KEY_0), fuses.read(KEY_0 + 0x20)) == (1, 0, 0xABCD)


def test_a_locked_block_takes_nothing_more() -> None:
    fuses = Efuse(CHIP)
    burn(fuses, 0, 1 << 23)
    burn(fuses, 4, 1)
    burn(fuses, 5, 1)
    assert fuses.read(WR_DIS) == 1 << 23
    assert (fuses.read(KEY_0), fuses.read(KEY_0 + 0x20)) == (0, 1)


def test_security_info_tells_what_was_burned() -> None:
    fuses = Efuse(CHIP)
    assert fuses.security_info() == bytes(12) + b"\x09\0\0\0" + bytes(4)
    burn(fuses, 0, 0, 0, 4 << 24 | 1 << 18, 1 << 20 | 9 << 4)
    assert fuses.security_info()[:12] == b"\x01\0\0\0" + b"\x01" + bytes([4, 0, 0, 9, 0, 0, 0])
    burn(fuses, 0, 0, 0, 2 << 18)
    assert fuses.security_info()[4] == 3
