"""`wakestorm soak`: the same seed gives the same ledger, killed and resumed or not; Ctrl-C gives a partial verdict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.report.files import LATEST

COMMAND = (sys.executable, "-P", "-m", "harness.cli", "soak")
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"} | {"PYTHONPATH": str(ROOT)}


def _ended_well(done: subprocess.CompletedProcess[str], out: Path) -> Path:
    assert done.returncode == 0, done.stderr
    assert "days/min" in done.stderr
    return (out / LATEST).resolve()


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)


def _killed_after_a_day(out: Path, words: list[str]) -> Path:
    """The run's folder after kill -9 of the command in its second day."""
    with subprocess.Popen([*COMMAND, *words], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if line.startswith("day "))
        assert line.startswith("day 1.0/2")
        process.kill()
        process.stderr.read()  # to its end: the soaking process holds it too
    (run,) = [folder for folder in out.iterdir() if folder.is_dir()]
    return run


@pytest.mark.slow
@pytest.mark.postgres
def test_a_killed_and_resumed_soak_ends_with_the_ledger_of_a_whole_one(tmp_path: Path) -> None:
    words = ["--devices", "2", "--for", "2d", "--seed", "7"]
    one = _ended_well(_run(*words, "--out", str(tmp_path / "one")), tmp_path / "one")
    ledger = (one / "ledger.csv").read_bytes()
    assert ledger.count(b"\n") > 25, "every wake but the struck ones takes a photo"
    document = json.loads((one / "soak.json").read_text())
    assert [sample["day"] for sample in document["samples"]] == [1, 2]
    assert sum(document["coverage"]["faults"].values()) > 0
    assert document["coverage"]["server"]["new -- hello -> hello_received"] > 0
    page = (one / "soak.html").read_text()
    assert page.count("<svg") >= 8
    assert "not tried yet" in page
    assert "http" not in page and "<script" not in page
    assert json.loads((one / "verdict.json").read_text())["verdict"] == "PASS"

    out = tmp_path / "other"
    other = _killed_after_a_day(out, [*words, "--out", str(out)])
    assert {path.name for path in other.iterdir()} <= {"checkpoint", "errors.log"}
    assert not (other / "soak.json").exists()
    assert _ended_well(_run("--resume", str(other)), out) == other
    assert (other / "ledger.csv").read_bytes() == ledger
    assert (other / "history.jsonl").read_bytes() == (one / "history.jsonl").read_bytes()
    resumed = json.loads((other / "soak.json").read_text())
    assert [sample["day"] for sample in resumed["samples"]] == [1, 2]
    assert resumed["coverage"] == document["coverage"]
    assert {path.name for path in other.iterdir()} == {path.name for path in one.iterdir()}
    assert _run("--resume", str(other)).returncode == 64, "there is nothing left to resume"


@pytest.mark.slow
@pytest.mark.postgres
def test_ctrl_c_ends_with_a_partial_verdict(tmp_path: Path) -> None:
    command = [*COMMAND, "--devices", "1", "--for", "300d", "--out", str(tmp_path)]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert next(line for line in process.stderr if line.startswith("day ")).startswith("day 1.0/300")
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(120) == 130, rest
    assert "--resume" in rest
    document = json.loads((tmp_path / LATEST / "soak.json").read_text())
    assert document["interrupted"] is True
    assert 1 <= document["days"] < 300
    assert json.loads((tmp_path / LATEST / "verdict.json").read_text())["interrupted"] is True


@pytest.mark.parametrize("words", [["--for", "36h"], ["--wake-every", "7h"], ["--image", "10kB"], ["--for", "30"]])
def test_a_wrong_command_line_is_one_screen(tmp_path: Path, words: list[str]) -> None:
    command = [*COMMAND, "--out", str(tmp_path), *words]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 64
    assert len(done.stderr.splitlines()) <= 3
    assert not list(tmp_path.iterdir())


def test_what_can_not_be_resumed_is_said_on_one_screen(tmp_path: Path) -> None:
    done = _run("--resume", str(tmp_path))
    assert done.returncode == 64
    assert "can not be resumed" in done.stderr
    assert len(done.stderr.splitlines()) <= 3
