"""The pytest plugin in other people's projects: it helps those who ask and leaves the others alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OTHERS = """
import sys, pytest

@pytest.fixture
def board():
    return "my own"

def test_mine(board):
    assert board == "my own"
    assert not [name for name in sys.modules if name.startswith(("harness.dut", "simulator", "asyncpg"))]
"""
WITH_A_BOARD = """
PHOTO = '''
version: 1
name: A photo
devices: {yard: {image: {size: 1kB, chunk: 1kB}}}
steps: [{wake: yard}]
'''

def test_boots(board):
    board.switch.power_on()
    assert board.console.expect(r"cam: ready .*version=(\\\\S+)").groups == ("3.5.0",)

def test_panics(dut):
    dut.switch.power_on()
    dut.console.expect("cam: ready")
    dut.console.write_line("crash panic")
    dut.console.expect("never", 20)

def test_plays(bench):
    ended = bench.run(PHOTO)
    assert ended[0].result.ledger.stored == 2
""".replace("\\\\", "\\")


def run_pytest(folder: Path, *words: str, path: str = str(ROOT)) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-P", "-m", "pytest", "-p", "harness.pytest_plugin", "-q", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


def test_other_peoples_tests_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "test_others.py").write_text(OTHERS)
    ended = run_pytest(tmp_path)
    assert ended.returncode == 0, ended.stdout


def test_a_package_of_the_same_name_is_explained_on_one_screen(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "__init__.py").write_text("")
    (tmp_path / "test_board.py").write_text("def test_it(board):\n    pass\n")
    ended = run_pytest(tmp_path, path=os.pathsep.join([str(tmp_path), str(ROOT)]))
    assert ended.returncode == 1
    assert "needs its own package `server`" in ended.stdout and str(tmp_path / "server") in ended.stdout
    assert "Traceback" not in ended.stdout


@pytest.mark.postgres
@pytest.mark.slow
def test_boards_and_benches_in_python(tmp_path: Path) -> None:
    (tmp_path / "test_board.py").write_text(WITH_A_BOARD)
    junit = tmp_path / "junit.xml"
    ended = run_pytest(tmp_path, "--junitxml", str(junit), "--wakestorm-logs", str(tmp_path / "logs"))
    assert "2 passed, 1 failed" in ended.stdout or "1 failed, 2 passed" in ended.stdout, ended.stdout
    assert "panic: Guru Meditation Error" in ended.stdout
    assert 'name="blame" value="firmware"' in junit.read_text()
    assert "cam: ready" in (tmp_path / "logs" / "test_boots.virtual.log").read_text()
