"""One holder for a board over all processes; kill -9 of the holder leaves it free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.dut.board_lock import FOLDER_VARIABLE, BoardHeld, held, holder_of, lock_path

HOLD = """
import sys
from harness.dut.board_lock import held
with held("cam", sys.argv[1], "a test"):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "locks"))
    return tmp_path / "locks"


def other_process(port: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "mine\n"
    return process


def test_a_second_holder_is_told_who_has_it(locks: Path) -> None:
    with other_process("/dev/ttyX") as process:
        with pytest.raises(BoardHeld) as caught, held("cam", "/dev/ttyX", "a run"):
            pass
        told = str(caught.value)
        assert f"process {process.pid}, a test, since 20" in told and "cam (/dev/ttyX) is held by" in told
        assert caught.value.exit_code == 3
        assert (found := holder_of("/dev/ttyX")) is not None and found.pid == process.pid
        assert holder_of("/dev/ttyY") is None
        process.communicate("")
    with held("cam", "/dev/ttyX", "a run") as mine:
        assert mine.pid == os.getpid()
    assert holder_of("/dev/ttyX") is None


def test_kill_9_leaves_no_lock(locks: Path) -> None:
    with other_process("/dev/ttyX") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert lock_path("/dev/ttyX").read_text() != ""
        assert holder_of("/dev/ttyX") is None
        with held("cam", "/dev/ttyX", "a run"):
            pass


def test_a_link_and_its_device_are_one_board(locks: Path, tmp_path: Path) -> None:
    (tmp_path / "device").touch()
    (tmp_path / "link").symlink_to(tmp_path / "device")
    with held("cam", f"{tmp_path}/link", "a run"), pytest.raises(BoardHeld), held("b", f"{tmp_path}/device", "a run"):
        pass


def test_a_child_does_not_inherit_the_lock(locks: Path) -> None:
    with held("cam", "/dev/ttyX", "a run"):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with child:
        assert holder_of("/dev/ttyX") is None
        child.communicate(b"\n")


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file" / "locks"))
    with pytest.raises(Exception, match=f"no lock can be taken in {tmp_path}") as caught, held("c", "/dev/x", "r"):
        pass
    assert FOLDER_VARIABLE in str(caught.value)
