"""Ports: a pseudo-terminal that nobody reads, a socket with one host, RFC 2217 with lines, and pyserial's vboard://."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from simulator.board.board_fault import parse
from simulator.board.flash import NorFlash
from simulator.board.inprocess import started_board
from simulator.board.ports.pty import PtyPort
from tests.support.board_images import flash_of, flashed
from tests.support.virtual_board import ROOT, esptool, running_board

PATIENCE_S = 120.0
"""For machines that are busy: a limit to hanging, no measure of speed."""


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    serial.protocol_handler_packages.append("simulator.board.urls")
    yield
    serial.protocol_handler_packages.remove("simulator.board.urls")


def read_until(port: serial.SerialBase, wanted: bytes) -> bytes:
    """What comes up to a text."""
    found = b""
    deadline = time.monotonic() + PATIENCE_S
    while wanted not in found:
        assert time.monotonic() < deadline, found[-400:]
        found += port.read(max(1, port.in_waiting))
    return found


def test_lines_of_a_board_in_the_same_process() -> None:
    with started_board("lines", flash=NorFlash(flash_of(flashed()))):
        port = serial.serial_for_url("vboard://lines", 115_200, timeout=0.2)
        port.dtr, port.rts = False, True
        port.reset_input_buffer()
        port.dtr, port.rts = True, False
        assert read_until(port, b"waiting for download\r\n").startswith(b"ESP-ROM:esp32s3")
        port.rts = True
        port.dtr = False
        port.rts = False
        read_until(port, b"main_task: Calling app_main()")
        port.close()


def test_esptool_in_a_program_of_its_own() -> None:
    """esptool's own reset sequences, over the lines of a port that is no file."""
    program = """
import serial, sys
serial.protocol_handler_packages.append("simulator.board.urls")
from simulator.board.flash import NorFlash
from simulator.board.inprocess import started_board
import esptool
with started_board("cam", flash=NorFlash.blank(1 << 22)):
    esptool.main(["--chip", "esp32s3", "--port", "vboard://cam", "flash-id"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0 and "Detected flash size: 4MB" in done.stdout, done.stdout + done.stderr


def test_no_such_board() -> None:
    with started_board("here", flash=NorFlash.blank(1 << 20)), pytest.raises(serial.SerialException, match="here"):
        serial.serial_for_url("vboard://there")


def test_an_unplugged_board_is_an_error_to_its_host() -> None:
    fault = parse("unplug:sync:1")
    with started_board("gone", flash=NorFlash.blank(1 << 20), faults=[fault]) as wire:
        port = serial.serial_for_url("vboard://gone", 115_200, timeout=PATIENCE_S)
        for dtr, rts in ((False, True), (True, False)):
            wire.set_lines(dtr, rts)
        read_until(port, b"waiting for download\r\n")
        port.write(b"\xc0\x00\x08\x24\x00\x00\x00\x00\x00" + b"\x07\x07\x12\x20" + b"\x55" * 32 + b"\xc0")
        with pytest.raises(serial.SerialException, match="unplugged"):
            port.read(1)


def test_a_terminal_that_nobody_reads_does_not_stop_the_board(tmp_path: Path) -> None:
    """The blank board prints for ever into a full terminal; whoever opens it later finds the board alive."""
    log = tmp_path / "log"
    with running_board("--log", str(log)) as board:
        descriptor = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
        try:
            wake = b"x" * 4_000
            for _ in range(20):
                os.write(descriptor, wake)
        finally:
            os.close(descriptor)
        assert esptool(board.port, "--no-stub", "read-mac").code == 0


def test_what_a_host_throws_away_does_not_come_later() -> None:
    """esptool flushes before it speaks: the rest of an answer to somebody else may not follow."""

    async def story() -> bytes:
        port, heard = PtyPort(), asyncio.Event()
        await port.plug(lambda data, baud: heard.set(), lambda dtr, rts: None)
        host = os.open(port.name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            port.write(b"x" * 300_000)
            termios.tcflush(host, termios.TCIFLUSH)
            os.write(host, b"status")
            await asyncio.wait_for(heard.wait(), PATIENCE_S)
            port.write(b"fresh")
            got = b""
            while not got.endswith(b"fresh"):
                with contextlib.suppress(BlockingIOError):
                    got += os.read(host, 65_536)
                await asyncio.sleep(0)
            return got
        finally:
            os.close(host)
            port.unplug()

    assert len(asyncio.run(story())) < 100_000


def test_one_host_at_a_time() -> None:
    with running_board("--tcp", "0") as board:
        first = serial.serial_for_url(board.port, timeout=1)
        second = serial.serial_for_url(board.port, timeout=1)
        with pytest.raises(serial.SerialException):
            for _ in range(5):
                second.read(1)
        second.close()
        first.close()
        assert esptool(board.port, "--no-stub", "read-mac").code == 0


@pytest.mark.slow
def test_esptool_over_rfc2217(tmp_path: Path) -> None:
    """Half a minute, nearly all of it pyserial's waits at each change of lines and timeouts."""
    file = tmp_path / "data.bin"
    file.write_bytes(bytes(range(256)) * 32)
    with running_board("--rfc2217", "0") as board:
        written = esptool(board.port, "write-flash", "0x1000", str(file))
    assert written.code == 0 and "Hash of data verified" in written.output, written.output
    assert "Hard resetting via RTS pin" in written.output and "NOT reset" not in written.output
