"""NOR flash: erase sets, write clears, sectors wear; SLIP and its checksum."""

from __future__ import annotations

from functools import reduce
from operator import xor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.board.flash import SECTOR_BYTES, FlashRangeError, NorFlash
from simulator.board.slip import Decoder, checksum, encode

SIZE = 1 << 20


@given(first=st.binary(min_size=1, max_size=64), second=st.binary(min_size=1, max_size=64), offset=st.integers(0, 99))
def test_writing_twice_is_an_and(first: bytes, second: bytes, offset: int) -> None:
    flash = NorFlash.blank(SIZE)
    flash.program(100, first)
    flash.program(offset, second)
    expected = bytearray(b"\xff" * 256)
    for start, data in ((100, first), (offset, second)):
        for place, byte in enumerate(data, start):
            expected[place] &= byte
    assert flash.read(0, 256) == expected


def test_erasing_takes_whole_sectors_and_wears_them() -> None:
    flash = NorFlash.blank(SIZE)
    flash.program(0, bytes(3 * SECTOR_BYTES))
    flash.erase(SECTOR_BYTES + 10, 20)
    assert flash.read(0, 3 * SECTOR_BYTES) == bytes(SECTOR_BYTES) + b"\xff" * SECTOR_BYTES + bytes(SECTOR_BYTES)
    flash.erase(SECTOR_BYTES - 1, 2)
    assert list(flash.erases[:3]) == [1, 2, 0]
    assert flash.wear_max == 2


def test_a_worn_sector_keeps_bits() -> None:
    flash = NorFlash.blank(SIZE)
    flash.program(SECTOR_BYTES, b"\x0f" * 32)
    flash.wear_out([1])
    flash.erase(SECTOR_BYTES, SECTOR_BYTES)
    assert flash.read(SECTOR_BYTES, 32) == b"\x0f" * 16 + b"\xff" * 16
    flash.renew()
    flash.erase(SECTOR_BYTES, SECTOR_BYTES)
    assert flash.read(SECTOR_BYTES, 32) == b"\xff" * 32


def test_beyond_the_end() -> None:
    flash = NorFlash.blank(SIZE)
    for act in (lambda: flash.read(SIZE - 1, 2), lambda: flash.erase(SIZE, 1), lambda: flash.program(-1, b"x")):
        with pytest.raises(FlashRangeError):
            act()


@given(packets=st.lists(st.binary(min_size=1, max_size=40), max_size=6), cuts=st.lists(st.integers(1, 17), min_size=1))
def test_slip_in_any_pieces(packets: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(encode(packet) for packet in packets)
    decoder, found, turn = Decoder(), [], 0
    while stream:
        size = cuts[turn % len(cuts)]
        found += decoder.feed(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert found == packets


@given(data=st.binary(max_size=300))
def test_checksum_is_the_xor_of_all_bytes(data: bytes) -> None:
    assert checksum(data) == reduce(xor, data, 0xEF)


def test_noise_without_end_does_not_pile_up() -> None:
    decoder = Decoder()
    for _ in range(100):
        decoder.feed(b"x" * 4_096)
    decoder.feed(b"\xc0")
    assert decoder.feed(b"packet\xc0") == [b"packet"]
