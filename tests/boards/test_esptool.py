"""The judge of the loaders: esptool itself, unchanged, on each transport, with its stub and without."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.virtual_board import RunningBoard, esptool, running_board

DATA = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(640))
"""20 KiB that don't compress; all sorts of bytes, among them SLIP's own."""

LOADERS = {"stub": (), "rom": ("--no-stub",)}


@pytest.fixture(scope="module", params=["pty", "tcp"])
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBoard]:
    folder = tmp_path_factory.mktemp("board")
    options = {"pty": ("--pty", str(folder / "cam")), "tcp": ("--tcp", "0")}[request.param]
    with running_board(*options, "--flash", str(folder / "flash.bin"), "--mac", "7c:df:a1:00:00:42") as started:
        yield started


@pytest.fixture(params=LOADERS)
def loader(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return LOADERS[request.param]


def flash_file(tmp_path: Path, data: bytes = DATA) -> str:
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    return str(path)


def test_tells_who_it_is(board: RunningBoard, loader: tuple[str, ...]) -> None:
    told = esptool(board.port, *loader, "--after", "watchdog-reset", "flash-id")
    assert told.code == 0, told.output
    assert "ESP32-S3 (QFN56) (revision v0.2)" in told.output
    assert "7c:df:a1:00:00:42" in told.output
    assert "Embedded PSRAM 8MB" in told.output
    assert "Detected flash size: 8MB" in told.output


def test_write_verify_erase_read(board: RunningBoard, loader: tuple[str, ...], tmp_path: Path) -> None:
    """Each command finds the board as another one left it: reset, in its loader, at another speed."""
    file = flash_file(tmp_path)
    written = esptool(board.port, *loader, "-b", "460800", "write-flash", "0x10000", file)
    assert written.code == 0 and "Hash of data verified" in written.output, written.output
    verified = esptool(board.port, *loader, "--after", "no-reset", "verify-flash", "0x10000", file)
    assert verified.code == 0 and "verification successful" in verified.output.lower(), verified.output
    erased = esptool(board.port, *loader, "erase-region", "0x11000", "0x1000")
    assert erased.code == 0, erased.output
    read = esptool(board.port, *loader, "read-flash", "0x10f00", "0x1200", str(tmp_path / "read.bin"))
    assert read.code == 0, read.output
    assert (tmp_path / "read.bin").read_bytes() == DATA[0xF00:0x1000] + b"\xff" * 0x1000 + DATA[0x2000:0x2100]


def test_erase_flash(board: RunningBoard, tmp_path: Path) -> None:
    """Of the stub only: the ROM doesn't know it. The last block reaches beyond the chip, as padding."""
    data = DATA[:4096]
    written = esptool(board.port, "write-flash", "--no-compress", "0x7ff000", flash_file(tmp_path, data))
    assert written.code == 0, written.output
    assert esptool(board.port, "erase-flash").code == 0
    read = esptool(board.port, "read-flash", "0x7ff000", "0x1000", str(tmp_path / "read.bin"))
    assert (read.code, (tmp_path / "read.bin").read_bytes()) == (0, b"\xff" * 4096)
