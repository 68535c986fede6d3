"""DTR, RTS and the straps: the sequences of real tools, step by step, and what power and buttons do."""

from __future__ import annotations

import pytest

from simulator.board.board import AppStarted, AppStopped, Board, ConsoleLine, Mode
from simulator.board.board_fault import BoardFault, FaultKind
from simulator.board.resets import ChipReset
from tests.support.board_client import BoardClient, board_with
from tests.support.board_images import flash_of, flashed

CLASSIC = [(False, False), (False, True), (True, True), (True, False), (False, False)]
"""(DTR, RTS): EN low, through both, IO0 low with EN high, done."""

TIGHT = [(False, False), (True, True), (False, True), (True, False), (False, False)]
HARD = [(False, True), (False, False)]


def with_lines(*faults: FaultKind) -> Board:
    return board_with(flash_of(flashed()), has_lines=True, faults=[BoardFault(kind=kind) for kind in faults])[0]


def drive(board: Board, steps: list[tuple[bool, bool]]) -> str:
    return b"".join(board.lines(dtr, rts, 0) for dtr, rts in steps).decode()


@pytest.mark.parametrize("steps", [CLASSIC, TIGHT], ids=["classic", "tight"])
def test_into_the_loader(steps: list[tuple[bool, bool]]) -> None:
    board = with_lines()
    assert drive(board, steps).endswith("boot:0x0 (DOWNLOAD(USB/UART0))\r\nwaiting for download\r\n")
    assert board.mode is Mode.LOADER
    assert drive(board, HARD).count("Loaded app") == 1
    assert board.mode is Mode.APP


def test_the_strap_counts_when_both_lines_are_left() -> None:
    board = with_lines()
    drive(board, [(False, True), (True, True)])
    assert board.mode is Mode.HELD
    drive(board, [(False, False)])
    assert board.mode is Mode.APP


def test_opening_a_port_resets_nothing() -> None:
    """Serial programs assert both lines when they open a port."""
    board = with_lines()
    board.events()
    assert drive(board, [(True, False), (True, True), (False, True), (False, True)][:2]) == ""
    assert (board.mode, board.events()) == (Mode.APP, [])


def test_a_board_is_silent_while_it_is_held_in_reset() -> None:
    board = with_lines()
    board.events()
    assert drive(board, [(False, True)]) == ""
    assert (board.mode, board.events()) == (Mode.HELD, [AppStopped(has_power=True)])
    assert board.feed(b"status\n", 0) == b"" and board.events() == []


def test_a_sync_is_no_button_where_there_are_lines() -> None:
    client = BoardClient(with_lines())
    assert client.sync() == [] and client.board.mode is Mode.APP


@pytest.mark.parametrize(
    ("fault", "steps", "mode"),
    [(FaultKind.STUCK_IN_DOWNLOAD, HARD, Mode.LOADER), (FaultKind.NO_DOWNLOAD, CLASSIC, Mode.APP)],
)
def test_broken_straps(fault: FaultKind, steps: list[tuple[bool, bool]], mode: Mode) -> None:
    board = with_lines(fault)
    drive(board, steps)
    assert board.mode is mode


def test_deep_sleep_ends_by_timer_pin_or_console() -> None:
    for wake in (lambda b: b.tick(500), lambda b: b.wake(3), lambda b: b.feed(b"wake\n", 3)):
        board = board_with(flash_of(flashed()))[0]
        board.app_sleeps(500)
        assert (board.mode, board.deadline_ms) == (Mode.ASLEEP, 500)
        assert board.feed(b"status\n", 1) == b"" and board.tick(499) == b""
        board.events()
        assert "rst:0x5 (DSLEEP)" in wake(board).decode()
        assert [type(event) for event in board.events()] == [AppStopped, AppStarted]


def test_power_takes_everything_but_the_flash() -> None:
    board = board_with(flash_of(flashed()))[0]
    board.events()
    board.power_off()
    assert board.events() == [AppStopped(has_power=False)]
    assert (board.feed(b"status\n", 0), board.reset(0), board.app_writes(b"late")) == (b"", b"", b"")
    assert "rst:0x1 (POWERON)" in board.power_on(0).decode()


def test_lines_typed_on_the_console() -> None:
    board = board_with(flash_of(flashed()))[0]
    board.events()
    for piece in (b"sta", b"tus\r\n", b"\nnvs\r", b"\x04heln\x7fp\x08\x08lp\n"):
        board.feed(piece, 0)
    assert board.events() == [ConsoleLine("status"), ConsoleLine("nvs"), ConsoleLine("help")]


def test_a_console_at_another_speed_shows_nothing_readable() -> None:
    board = board_with(flash_of(flashed()))[0]
    board.events()
    board.feed(b"status\n", 0, baud=9_600)
    assert board.events() == []
    assert not any(byte < 0x80 for byte in board.reset(0, ChipReset.BROWNOUT))
    board.host_speed(115_200)
    assert b"rst:0xf" in board.reset(0, ChipReset.BROWNOUT)
    board.host_speed(9_600)
    assert b"rst:0xf" in board.feed(b"\n", 0, baud=115_200) + board.reset(0, ChipReset.BROWNOUT)
