"""Faults of line, straps and flash: written, read, and what a host sees of them."""

from __future__ import annotations

import pytest

from harness.dut.boot_proof import watchdog_frames
from simulator.board.board import Mode, Unplugged
from simulator.board.board_fault import FaultKind, UnknownBoardFault, parse
from simulator.board.protocol import Op
from tests.support.board_client import BoardClient, board_with
from tests.support.board_images import OTA_0, flash_of, flashed

TEXTS = [
    "lost-reply:flash_data:3",
    "error-status:any:1",
    "bad-md5:2",
    "noise:read_reg:1",
    "panic:mem_data:1",
    "unplug:flash_data:2",
    "baud-mismatch",
    "stuck-in-download",
    "no-download",
    "worn-sector:0x20000",
    "corrupt-image:0x20060",
]


@pytest.mark.parametrize("text", TEXTS)
def test_written_as_read(text: str) -> None:
    assert parse(text).text == text


def test_every_kind_is_tried_here() -> None:
    assert {parse(text).kind for text in TEXTS} == set(FaultKind)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("lost-replay:sync", "did you mean lost-reply?"),
        ("lost-reply", "write lost-reply:COMMAND[:NTH]"),
        ("lost-reply:flash_date:1", "neither a command nor a number"),
        ("worn-sector", "write worn-sector:ADDRESS"),
        ("no-download:3", "write no-download alone"),
    ],
)
def test_mistakes(text: str, hint: str) -> None:
    with pytest.raises(UnknownBoardFault, match=hint.replace("[", "\\[").replace("?", "\\?")):
        parse(text)


def client_with(*texts: str, cells: bytearray | None = None) -> BoardClient:
    client = BoardClient(board_with(cells, faults=[parse(text) for text in texts])[0])
    client.sync()
    return client


def test_a_lost_reply_was_carried_out_all_the_same() -> None:
    client = client_with("lost-reply:flash_begin:1")
    client.board.flash.program(0, bytes(16))
    assert client.replies(Op.FLASH_BEGIN, bytes(4 * 5)) == []
    assert client.write(0x1000, b"data")[0].status == (0, 0)


def test_an_error_status_carries_nothing_out() -> None:
    client = client_with("error-status:flash_data:2")
    replies = client.write(0, bytes(3 * 0x400))
    assert [reply.status for reply in replies] == [(0, 0), (1, 6), (0, 0)]


def test_a_wrong_digest_once() -> None:
    client = client_with("bad-md5")
    digests = [client.command(Op.SPI_FLASH_MD5, 0, 4096, 0, 0).data for _ in range(3)]
    assert digests[0] != digests[1] == digests[2]


@pytest.mark.parametrize(
    ("fault", "seen"), [("noise:read_reg:1", b"\x00\xff\x13"), ("panic:any:2", b"Guru Meditation")]
)
def test_stray_bytes(fault: str, seen: bytes) -> None:
    client = client_with(fault)
    assert client.board.feed(b"\xc0\x00\x0a\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc0", 0).startswith(seen)


def test_unplugged_in_the_middle_of_a_write() -> None:
    client = client_with("unplug:flash_data:2")
    assert client.write(0, bytes(0x400))[0].status == (0, 0)
    client.command(Op.FLASH_BEGIN, 0x400, 1, 0x400, 0x1000, 0)
    assert client.replies(Op.FLASH_DATA, b"\x04\0\0\0" + bytes(16), sum_of=bytes(4)) == []
    assert client.board.mode is Mode.OFF and client.board.events()[-1] == Unplugged()
    assert client.board.flash.read(0x1000, 4) == b"\xff" * 4


def test_another_speed_than_was_agreed() -> None:
    client = client_with("baud-mismatch")
    assert client.command(Op.CHANGE_BAUDRATE, 460_800, 0).status == (0, 0)
    assert client.replies(Op.READ_REG, bytes(4)) == []
    assert b"ESP-ROM" in client.board.reset(0)


def test_a_loader_at_another_speed_is_reset_all_the_same() -> None:
    """Without modem lines: by a SYNC at the console's speed, then the watchdog."""
    client = BoardClient(board_with(flash_of(flashed()))[0], baud=115_200)
    client.sync()
    client.load_stub()
    client.command(Op.CHANGE_BAUDRATE, 460_800, 115_200)
    client.baud = 460_800
    assert len(client.replies(Op.READ_REG, bytes(4))) == 1
    client.board.feed(watchdog_frames(), client.now_ms, baud=115_200)
    assert "rst:0x10 (RTCWDT_RTC_RST)" in client.board.tick(client.board.deadline_ms or 0).decode()
    assert client.board.mode is Mode.APP


def test_a_mismatch_is_over_with_the_next_start_of_a_tool() -> None:
    client = client_with("baud-mismatch")
    client.command(Op.CHANGE_BAUDRATE, 460_800, 0)
    assert client.replies(Op.READ_REG, bytes(4)) == []
    assert len(client.sync()) == 8
    assert len(client.replies(Op.READ_REG, bytes(4))) == 1


def test_the_host_goes_on_at_the_old_speed() -> None:
    client = client_with()
    client.baud = 115_200
    client.command(Op.CHANGE_BAUDRATE, 921_600, 0)
    assert client.replies(Op.READ_REG, bytes(4)) == []
    client.baud = 921_600
    assert len(client.replies(Op.READ_REG, bytes(4))) == 1


def test_a_worn_sector_shows_in_the_digest_and_the_boot() -> None:
    parts = flashed()
    client = client_with(f"worn-sector:{OTA_0:#x}", cells=flash_of(parts))
    client.load_stub()
    client.write(OTA_0, bytes(range(256)) * 16)
    assert client.board.flash.read(OTA_0, 4_096) != bytes(range(256)) * 16


def test_a_bit_that_flips_before_the_next_start() -> None:
    board, first = board_with(flash_of(flashed()))
    assert "Loaded app" in first
    board.faults.arm(parse(f"corrupt-image:{OTA_0 + 0x60:#x}"))
    assert "Checksum failed" in board.reset(0).decode()
