"""The pytest plugin in other people's projects: it helps those who ask and leaves the others alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness.cli import exit_code_of
from harness.flakes import RELEASE_AFTER, FlakeLedger

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

def test_panics(duts):
    assert [dut.name for dut in duts] == ["virtual-1", "virtual-2"]
    for dut in duts:
        dut.switch.power_on()
    ids = [dut.console.expect(r"cam: ready .*device=(\\S+)").groups[0] for dut in duts]
    assert ids == ["7CDFA1E0B0C5", "7CDFA1E0B0C6"]
    duts[1].console.write_line("crash panic")
    duts[1].console.expect("never", 20)

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
    words = ["--dut", "virtual,virtual", "--junitxml", str(junit), "--wakestorm-logs", str(tmp_path / "logs")]
    ended = run_pytest(tmp_path, *words)
    assert "2 passed, 1 failed" in ended.stdout or "1 failed, 2 passed" in ended.stdout, ended.stdout
    assert "panic: Guru Meditation Error" in ended.stdout
    assert 'name="blame" value="firmware"' in junit.read_text()
    logs = {file.name: file.read_text() for file in (tmp_path / "logs").iterdir()}
    assert set(logs) == {"test_boots.virtual-1.log", "test_panics.virtual-1.log", "test_panics.virtual-2.log"}
    assert all("cam: ready" in text for text in logs.values())
    assert ["Guru" in logs[f"test_panics.virtual-{number}.log"] for number in (1, 2)] == [False, True]


SOMETIMES = """
from pathlib import Path

def test_sometimes(bench):
    seen = Path("seen")
    there = seen.exists()
    seen.touch()
    assert there

def test_alone():
    assert not Path("seen").exists()
"""


@pytest.mark.parametrize("words", [[], ["-p", "xdist.plugin", "-n", "1"]], ids=["alone", "xdist"])
def test_what_passes_on_a_later_attempt_stands_in_ledger_and_junit(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "test_it.py").write_text(SOMETIMES)
    files = ["--wakestorm-flakes", str(tmp_path / "flakes.jsonl"), "--junitxml", str(tmp_path / "junit.xml")]
    ended = run_pytest(tmp_path, "--wakestorm-retries", "2", *files, *words)
    assert "1 failed, 1 passed, 1 tried again" in ended.stdout, ended.stdout
    lines = [json.loads(line) for line in (tmp_path / "flakes.jsonl").read_text().splitlines()]
    assert [(line["scenario"], line["attempt"], line["verdict"], line["blame"]) for line in lines] == [
        ("test_it.py::test_sometimes", 1, "FAIL", ["harness"]),  # a test that knows no board: nothing points elsewhere
        ("test_it.py::test_sometimes", 2, "PASS", []),
    ], "a test that is none of wakestorm's is neither tried again nor counted"
    cases = {case.get("name"): case for case in ET.parse(tmp_path / "junit.xml").iter("testcase")}
    assert cases["test_sometimes"].find("failure") is None
    attempt = cases["test_sometimes"].find("properties/property[@name='attempt']")
    assert attempt is not None and attempt.get("value") == "2"


def test_quarantine_decides_nothing_until_the_ledger_releases_it(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(bench):\n    assert False\n")
    ledger = FlakeLedger(tmp_path / "flakes.jsonl")
    ledger.quarantine("test_it.py::test_it", "old cable")
    words = ["--wakestorm-flakes", str(ledger.path), "-rx"]
    ended = run_pytest(tmp_path, *words)
    assert ended.returncode == 0 and "in quarantine: old cable" in ended.stdout, ended.stdout
    assert ledger.standings()["test_it.py::test_it"].failures == 1
    for _ in range(RELEASE_AFTER):
        ledger.note({"scenario": "test_it.py::test_it", "attempt": 1, "verdict": "PASS"})
    assert run_pytest(tmp_path, *words).returncode == 1


def test_only_what_is_there_can_be_put_into_quarantine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_it.py").write_text("class TestIt:\n    def test_it(self, bench):\n        pass\n")
    order = ["flakes", "quarantine", "--because", "old cable", "--flakes", "flakes.jsonl"]
    assert exit_code_of([*order, "test_it.py::TestIt::test_it[virtual]"]) == 0
    assert exit_code_of([*order, "test_it.py::TestIt::test_other"]) == 64
    assert "no such test" in capsys.readouterr().err
    assert len((tmp_path / "flakes.jsonl").read_text().splitlines()) == 1
