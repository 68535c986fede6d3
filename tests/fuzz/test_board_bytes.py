"""A board under any bytes: it answers, refuses or keeps silent; it never raises, never loops, never grows."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulator.board.board import Board
from simulator.board.boot import boot
from simulator.board.flash import SECTOR_BYTES, NorFlash
from simulator.board.nvs import read_nvs
from simulator.board.partition import ota_entry
from simulator.board.protocol import Op
from simulator.board.resets import ChipReset
from simulator.board.slip import checksum, encode
from tests.support.board_client import CHIP, SYNC, BoardClient
from tests.support.board_images import OTA_0, TWO_SLOTS, bootloader, flash_of, flashed, table

SIZE = 1 << 20
OUT_BYTES_MAX = 3 * SIZE
"""A read of the whole flash, all of it escaped, is the longest answer that there is."""

FLASHED = bytes(flash_of(flashed()))

Act = Callable[[Board, float], bytes | None]

words = st.one_of(
    st.sampled_from([0, 1, 16, 64, 0x400, 0x1000, 0x2_0000, SIZE - 1, SIZE, 0x6000_2000, 0x6000_7000, 0x6000_71D4]),
    st.sampled_from([0x6000_8098, 0x6000_80B0, 0x6000_812C, 0x4037_8000, 0xFFFF_FFFF]),
    st.integers(0, 0xFFFF_FFFF),
)
data_blocks = st.one_of(
    st.binary(max_size=80),
    st.builds(lambda byte, count: zlib.compress(bytes([byte]) * count), st.integers(0, 255), st.integers(0, 20_000)),
    st.just(b"OHAI" * 8),
)


def command(op: int, numbers: list[int], block: bytes, is_summed: bool) -> bytes:
    """A frame: words, then a block whose length and sum may be told truly."""
    if is_summed:
        numbers = [len(block), *numbers[:3], *(0,) * (3 - len(numbers))]
    body = struct.pack(f"<{len(numbers)}I", *numbers) + block
    return encode(struct.pack("<BBHI", 0, op, len(body) & 0xFFFF, checksum(block)) + body)


frames = st.builds(
    command,
    st.one_of(st.sampled_from([int(op) for op in Op]), st.integers(0, 255)),
    st.lists(words, max_size=8),
    data_blocks,
    st.booleans(),
)
streams = st.one_of(
    st.binary(max_size=200),
    frames,
    st.lists(frames, min_size=2, max_size=6).map(b"".join),
    st.just(encode(struct.pack("<BBHI", 0, Op.SYNC, 36, 0) + SYNC)),
    st.sampled_from([b"\xc0", b"\xdb", b"wake\n", b"status\r\n", b"\xc0\x00\x08\x24\x00"]),
)
bauds = st.sampled_from([None, 0, 1, 9_600, 115_200, 460_800, 4_000_000])
acts: st.SearchStrategy[Act] = st.one_of(
    st.builds(lambda data, baud: lambda board, now: board.feed(data, now, baud), streams, bauds),
    st.builds(lambda dtr, rts: lambda board, now: board.lines(dtr, rts, now), st.booleans(), st.booleans()),
    st.builds(lambda why: lambda board, now: board.reset(now, why), st.sampled_from(ChipReset)),
    st.builds(lambda wake_at: lambda board, now: board.app_sleeps(wake_at), st.sampled_from([None, 5.0, 1e6])),
    st.sampled_from(
        [
            lambda board, now: board.tick(now),
            lambda board, now: board.wake(now),
            lambda board, now: board.power_off(),
            lambda board, now: board.power_on(now),
            lambda board, now: board.app_writes(b"text"),
            lambda board, now: board.host_speed(0),
        ]
    ),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(st.tuples(acts, st.integers(0, 400)), max_size=30), has_lines=st.booleans(), stub=st.booleans())
def test_nothing_upsets_a_board(steps: list[tuple[Act, int]], has_lines: bool, stub: bool) -> None:
    board = Board(CHIP, NorFlash(bytearray(FLASHED)), has_lines=has_lines)
    board.power_on(0)
    if stub and not has_lines:
        client = BoardClient(board)
        client.sync()
        client.load_stub()
    now = 0.0
    for act, later_ms in steps:
        now += later_ms
        out = act(board, now) or b""
        assert len(out) <= OUT_BYTES_MAX
        assert len(board.events()) <= 300
        assert board.deadline_ms is None or board.deadline_ms >= 0
    board.power_off()
    board.power_on(now)
    client = BoardClient(board)
    client.now_ms = now
    if not has_lines:
        assert len(client.sync()) == 8, "whatever came before, power and a SYNC bring the loader"


@settings(max_examples=60, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, 0x2_1000), st.integers(0, 7)), max_size=6),
    ota=st.lists(st.one_of(st.binary(max_size=32), st.integers(0, 9).map(ota_entry)), max_size=2),
    rows=st.lists(
        st.tuples(
            st.sampled_from(["otadata", "app", "x" * 16]),
            st.sampled_from([0, 1, 0x40]),
            st.integers(0, 255),
            st.one_of(st.sampled_from([OTA_0, SIZE - 0x1000, SIZE - 1, SIZE]), st.integers(0, SIZE)),
            st.one_of(st.sampled_from([0, 1, 0x1000, 0x2000]), st.integers(0, SIZE)),
        ),
        max_size=6,
    ),
)
@example(flips=[], ota=[], rows=[("otadata", 1, 0, SIZE - 0x1000, 0x1000), ("app", 0, 0x10, OTA_0, 0x4_0000)])
def test_whatever_lies_in_flash_boots_or_is_refused(
    flips: list[tuple[int, int]], ota: list[bytes], rows: list[tuple[str, int, int, int, int]]
) -> None:
    """Also through `Board`, which writes OTA data when it boots."""
    cells = flash_of(flashed(table=table(rows or TWO_SLOTS), bootloader=bootloader()))
    for number, entry in enumerate(ota):
        cells[0xF000 + number * SECTOR_BYTES : 0xF000 + number * SECTOR_BYTES + len(entry)] = entry
    for place, bit in flips:
        cells[place] ^= 1 << bit
    started = boot(bytes(cells), CHIP, ChipReset.POWERON)
    assert (started.app is None) == (started.restart is not None)
    board = Board(CHIP, NorFlash(cells))
    assert board.power_on(0).startswith(b"ESP-ROM:esp32s3")


@given(raw=st.binary(max_size=200), place=st.integers(0, 4_000), seed=st.integers(0, 3))
def test_any_bytes_in_nvs(raw: bytes, place: int, seed: int) -> None:
    """Pages and entries whose checksums are right, with anything in them."""
    page = bytearray(b"\xff" * 4096)
    page[:8] = struct.pack("<II", 0xFFFF_FFFE, seed)
    page[28:32] = struct.pack("<I", zlib.crc32(bytes(page[4:28]), 0xFFFF_FFFF))
    page[32:64] = bytes([0xAA]) * 32
    for start in range(0, len(raw) - 32, 32):
        entry = bytearray(raw[start : start + 32])
        entry[4:8] = struct.pack("<I", zlib.crc32(bytes(entry[:4] + entry[8:]), 0xFFFF_FFFF))
        page[64 + start : 96 + start] = entry
    read_nvs(bytes(page) * 2)
    read_nvs(bytes(page[:place]))


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.integers(0, 3 * SECTOR_BYTES), st.binary(min_size=1, max_size=300)),
            st.tuples(st.integers(0, 3 * SECTOR_BYTES), st.integers(0, 2 * SECTOR_BYTES)),
        ),
        max_size=12,
    )
)
def test_nor_flash_against_a_model_of_single_bytes(steps: list[tuple[int, bytes | int]]) -> None:
    """Bytes are written, a number erases. A bit that is clear stays so until its sector is erased, which is counted."""
    flash, model, erases = NorFlash.blank(SIZE), bytearray(b"\xff" * 6 * SECTOR_BYTES), [0] * 6
    for offset, value in steps:
        if isinstance(value, bytes):
            flash.program(offset, value)
            for place, byte in enumerate(value, offset):
                model[place] &= byte
        else:
            flash.erase(offset, value)
            for sector in sorted({place // SECTOR_BYTES for place in range(offset, offset + value)}):
                model[sector * SECTOR_BYTES : (sector + 1) * SECTOR_BYTES] = b"\xff" * SECTOR_BYTES
                erases[sector] += 1
    assert flash.read(0, len(model)) == model
    assert list(flash.erases[:6]) == erases and not any(flash.erases[6:])
    assert flash.md5(0, len(model)) == hashlib.md5(model).digest()
