"""ROM loader and stub, command by command: what esptool doesn't show, refusals above all."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest

from simulator.board.board import Mode
from simulator.board.protocol import Op
from simulator.board.registers import OPTION1
from simulator.board.slip import encode
from tests.support.board_client import BoardClient, board_with


@pytest.fixture
def rom() -> BoardClient:
    client = BoardClient(board_with()[0])
    client.sync()
    return client


@pytest.fixture
def stub(rom: BoardClient) -> BoardClient:
    rom.load_stub()
    return rom


def test_sync_enters_the_loader_of_a_board_without_lines() -> None:
    client = BoardClient(board_with()[0])
    replies = client.sync()
    assert len(replies) == 8 and all(reply.value for reply in replies)
    assert client.board.mode is Mode.LOADER


def test_a_stub_answers_sync_with_zero(stub: BoardClient) -> None:
    assert [reply.value for reply in stub.sync()] == [0] * 8


def test_code_that_is_no_stub_runs_silently(rom: BoardClient) -> None:
    rom.command(Op.MEM_BEGIN, 4, 1, 4, 0x4037_8000)
    rom.command(Op.MEM_DATA, 4, 0, 0, 0, data=b"code")
    assert len(rom.frames(struct.pack("<BBHIII", 0, Op.MEM_END, 8, 0, 0, 0x4037_8000))) == 1
    assert rom.board.mode is Mode.RAM_CODE


@pytest.mark.parametrize(("loader", "code"), [("rom", 0x07), ("stub", 0xC1)])
def test_a_wrong_checksum_writes_nothing(request: pytest.FixtureRequest, loader: str, code: int) -> None:
    client: BoardClient = request.getfixturevalue(loader)
    client.command(Op.FLASH_BEGIN, 16, 1, 16, 0, 0)
    body = struct.pack("<4I", 16, 0, 0, 0) + bytes(16)
    (reply,) = client.replies(Op.FLASH_DATA, body, sum_of=b"something else")
    assert reply.status == (1, code)
    assert client.board.flash.read(0, 16) == b"\xff" * 16


@pytest.mark.parametrize(("loader", "code"), [("rom", 0x05), ("stub", 0xFF)])
def test_unknown_commands(request: pytest.FixtureRequest, loader: str, code: int) -> None:
    assert request.getfixturevalue(loader).command(0x7E).status == (1, code)


def test_the_rom_knows_no_stub_commands(rom: BoardClient) -> None:
    assert rom.command(Op.ERASE_FLASH).status == (1, 0x05)


def test_data_without_begin(rom: BoardClient) -> None:
    assert rom.command(Op.FLASH_DATA, 4, 0, 0, 0, data=b"data").status == (1, 0x06)


def test_garbage_instead_of_deflate(stub: BoardClient) -> None:
    stub.command(Op.FLASH_DEFL_BEGIN, 4096, 1, 0x4000, 0, 0)
    assert stub.command(Op.FLASH_DEFL_DATA, 8, 0, 0, 0, data=b"\xff" * 8).status == (1, 0xC7)


def test_data_behind_the_end_of_deflate(stub: BoardClient) -> None:
    """Refused, not piled up."""
    packed = zlib.compress(bytes(4096))
    stub.command(Op.FLASH_DEFL_BEGIN, 8192, 1, 0x4000, 0, 0)
    assert stub.command(Op.FLASH_DEFL_DATA, len(packed), 0, 0, 0, data=packed).status == (0, 0)
    assert stub.command(Op.FLASH_DEFL_DATA, 4, 1, 0, 0, data=b"more").status == (1, 0xC9)


def test_ram_and_registers_have_an_end(rom: BoardClient) -> None:
    codes = [rom.command(Op.MEM_BEGIN, 1 << 19, 1, 1 << 14, 0x4000_0000 + step).status[0] for step in range(100)]
    assert codes[:2] == [0, 0] and codes[-1] == 1 and len(set(codes[64:])) == 1
    for address in range(0x5000_0000, 0x5000_0000 + 4 * 20_000, 4):
        rom.board.feed(encode(struct.pack("<BBHI4I", 0, Op.WRITE_REG, 16, 0, address, 7, 0xFFFF_FFFF, 0)), 0)
    assert rom.command(Op.READ_REG, 0x5000_0000).value == 7
    assert rom.command(Op.READ_REG, 0x5000_0000 + 4 * 19_999).value == 0


def test_more_data_than_announced(stub: BoardClient) -> None:
    packed = zlib.compress(bytes(1 << 20))
    stub.command(Op.FLASH_DEFL_BEGIN, 4096, 1, 0x4000, 0, 0)
    assert stub.command(Op.FLASH_DEFL_DATA, len(packed), 0, 0, 0, data=packed).status == (1, 0xC9)
    assert stub.board.flash.read(0x2000, 16) == b"\xff" * 16


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (Op.ERASE_REGION, (1 << 20, 4096)),
        (Op.SPI_FLASH_MD5, (1 << 20, 16, 0, 0)),
        (Op.READ_FLASH, (1 << 20, 16, 16, 1)),
    ],
)
def test_beyond_the_chip(stub: BoardClient, op: Op, words: tuple[int, ...]) -> None:
    assert stub.command(op, *words).status == (1, 0xC4)


def test_reading_waits_for_acks(stub: BoardClient) -> None:
    """64 bytes in blocks of 16, a window of 2: two ahead, one more for each ack, the digest after the last."""
    stub.board.flash.program(0, bytes(range(64)))
    first = stub.frames(struct.pack("<BBHI4I", 0, Op.READ_FLASH, 16, 0, 0, 64, 16, 2))
    assert [len(frame) for frame in first] == [10, 16, 16]
    assert [stub.frames(struct.pack("<I", acked)) for acked in (16, 32)] == [
        [bytes(range(32, 48))],
        [bytes(range(48, 64))],
    ]
    assert stub.frames(struct.pack("<I", 64)) == [stub.board.flash.md5(0, 64)]


def test_the_stub_erases_as_it_goes_and_the_rom_ahead(rom: BoardClient) -> None:
    """Power that goes in the middle finds the rest of the old data with the stub, and nothing with the ROM."""
    rom.board.flash.program(0, bytes(0x3000))
    rom.load_stub()
    rom.command(Op.FLASH_BEGIN, 0x2000, 8, 0x400, 0, 0)
    rom.command(Op.FLASH_DATA, 4, 0, 0, 0, data=b"new!")
    assert rom.board.flash.read(0, 0x2001) == b"new!" + b"\xff" * 0xFFC + bytes(0x1001)
    rom.command(Op.FLASH_END, 0)
    rom.board.tick(1_000)
    rom.command(Op.FLASH_BEGIN, 0x2000, 8, 0x400, 0, 0)
    assert rom.board.flash.read(0, 0x2001) == b"\xff" * 0x2000 + b"\0"


def test_several_registers_in_one_command(rom: BoardClient) -> None:
    records = struct.pack("<8I", 0x6000_0100, 0xFFFF, 0x00F0, 0, 0x6000_0104, 7, 0xFFFF_FFFF, 0)
    assert rom.replies(Op.WRITE_REG, records)[0].status == (0, 0)
    assert [rom.command(Op.READ_REG, address).value for address in (0x6000_0100, 0x6000_0104)] == [0xF0, 7]


def test_the_announced_reset_waits_for_another_command(rom: BoardClient) -> None:
    """esptool's write before a hard reset is that reset, unless it goes on talking."""
    rom.command(Op.WRITE_REG, OPTION1, 0, 1, 0)
    assert rom.board.deadline_ms == 250
    rom.command(Op.READ_REG, 0)
    assert rom.board.deadline_ms is None
    rom.command(Op.WRITE_REG, OPTION1, 0, 1, 0)
    assert b"rst:0x1 (POWERON),boot:0x8" in rom.board.tick(250)


def watchdog_reset(client: BoardClient) -> None:
    """esptool's `--after watchdog-reset`, register by register."""
    for address, value in ((0x6000_80B0, 0x50D8_3AA1), (0x6000_809C, 2_000), (0x6000_8098, 1 << 31), (0x6000_80B0, 0)):
        client.command(Op.WRITE_REG, address, value, 0xFFFF_FFFF, 0)


RESETS: dict[str, Callable[[BoardClient], object]] = {
    "announced": lambda client: client.command(Op.WRITE_REG, OPTION1, 0, 1, 0),
    "watchdog": watchdog_reset,
    "end of flashing": lambda client: client.command(Op.FLASH_END, 0),
}


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("late_ms", [1, 10_000])
def test_a_reset_under_way_leaves_no_stub_to_the_next_host(stub: BoardClient, reset: str, late_ms: int) -> None:
    """Its timer may ring late, on a loaded machine: the next tool finds the ROM, as `--no-stub` needs it."""
    RESETS[reset](stub)
    assert stub.board.deadline_ms is not None
    stub.now_ms += late_ms
    assert all(reply.value for reply in stub.sync())
    assert (stub.board.is_stub_running, stub.board.deadline_ms) == (False, None)
    assert len(stub.command(Op.SPI_FLASH_MD5, 0, 16, 0, 0).data) == 32


def test_what_comes_after_a_reset_is_not_heard_by_what_ran_before_it(stub: BoardClient) -> None:
    watchdog_reset(stub)
    assert stub.board.feed(b"status\n", 10_000).startswith(b"ESP-ROM:esp32s3")
    assert stub.board.mode is Mode.FAILED


def test_fuses_only_burn_to_one(rom: BoardClient) -> None:
    base = 0x6000_7000
    for value in (0x0F, 0x30):
        rom.command(Op.WRITE_REG, base, value, 0xFFFF_FFFF, 0)
        rom.command(Op.WRITE_REG, base + 0x1CC, 0x5A5A, 0xFFFF_FFFF, 0)
        rom.command(Op.WRITE_REG, base + 0x1D4, 3 << 2 | 2, 0xFFFF_FFFF, 0)
    assert rom.command(Op.READ_REG, base + 0x7C).value == 0x3F
