"""`wakestorm board` as a child: its port, its control socket, its file, and faults as esptool meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.board.cli import main
from tests.support.board_images import flashed
from tests.support.virtual_board import ROOT, esptool, running_board


def ask(socket: Path, order: str) -> tuple[int, dict[str, object]]:
    """`wakestorm board --send`."""
    command = [sys.executable, "-P", "-m", "harness.cli", "board", "--control", str(socket), "--send", order]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tcp", "0", "--rfc2217", "0"], "exclude each other"),
        (["--mac", "12:34"], "--mac is '12:34', expected 12 hex digits"),
        (["--psram", "3"], "psram is 3 MB, expected one of [0, 2, 4, 8, 16]"),
        (["--revision", "1"], "--revision is '1', expected 0.0 to 3.15"),
        (["--flash-size", "3"], "--flash-size is 3, expected one of 2, 4, 8, 16, 32"),
        (["--faults", "no-dowload"], "did you mean no-download?"),
        (["--send", "reset"], "--send needs --control"),
        (["--tcp", "99999"], "Usage: wakestorm board"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 64
    assert said in capsys.readouterr().err


def test_nobody_at_the_control_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--control", str(tmp_path / "none"), "--send", "reset"]) == 3
    assert "no board answers" in capsys.readouterr().err


def test_a_board_by_hand(tmp_path: Path) -> None:
    """Flashed, switched off and on, unplugged and plugged; the flash outlives the process, the links don't."""
    link, socket, flash, log = (tmp_path / name for name in ("cam", "ctl", "flash.bin", "log"))
    parts = []
    for offset, data in flashed().items():
        path = tmp_path / f"{offset:x}.bin"
        path.write_bytes(data)
        parts += [hex(offset), str(path)]
    options = ["--pty", str(link), "--flash", str(flash), "--flash-size", "4", "--log", str(log)]
    with running_board(*options, "--control", str(socket)) as board:
        assert board.port == str(link)
        written = esptool(board.port, "write-flash", *parts)
        assert written.code == 0, written.output
        assert ask(socket, "power off")[1]["mode"] == "off"
        code, status = ask(socket, "power on")
        assert (code, status["mode"], status["ok"]) == (0, "app", True)
        device = status["device"]
        assert isinstance(device, dict) and device["profile"] == "esp32s3-cam@3.5.0"
        assert ask(socket, "unplug")[1]["plugged"] is False and not os.path.lexists(link)
        assert ask(socket, "plug")[1]["plugged"] is True and link.exists()
        code, refused = ask(socket, "power of")
        assert (code, refused["ok"]) == (64, False) and "power off at STEP" in str(refused["error"])
    assert "cam: ready project=esp32s3-cam" in log.read_text(encoding="utf-8", errors="replace")
    assert not os.path.lexists(link) and not socket.exists()
    with running_board(*options, "--control", str(socket)):
        assert ask(socket, "status")[1]["mode"] == "app"
