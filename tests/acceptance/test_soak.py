"""`wakestorm soak`: the same seed gives the same ledger and history; a Ctrl-C ends it with a partial verdict."""

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


def _soaked(out: Path, *words: str) -> Path:
    command = [*COMMAND, "--devices", "2", "--for", "2d", "--out", str(out), *words]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "days/min" in done.stderr
    return out / LATEST


@pytest.mark.slow
@pytest.mark.postgres
def test_the_same_seed_gives_the_same_ledger(tmp_path: Path) -> None:
    one, other = _soaked(tmp_path / "one", "--seed", "7"), _soaked(tmp_path / "other", "--seed", "7")
    ledger = (one / "ledger.csv").read_bytes()
    assert ledger.count(b"\n") > 25, "every wake but the struck ones takes a photo"
    assert ledger == (other / "ledger.csv").read_bytes()
    assert (one / "history.jsonl").read_bytes() == (other / "history.jsonl").read_bytes()
    document = json.loads((one / "soak.json").read_text())
    assert [sample["day"] for sample in document["samples"]] == [1, 2]
    assert sum(document["coverage"]["faults"].values()) > 0
    assert document["coverage"]["server"]["new -- hello -> hello_received"] > 0
    page = (one / "soak.html").read_text()
    assert page.count("<svg") >= 8
    assert "not tried yet" in page
    assert "http" not in page and "<script" not in page
    assert json.loads((one / "verdict.json").read_text())["verdict"] == "PASS"


@pytest.mark.slow
@pytest.mark.postgres
def test_ctrl_c_ends_with_a_partial_verdict(tmp_path: Path) -> None:
    command = [*COMMAND, "--devices", "1", "--for", "300d", "--out", str(tmp_path)]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "day 1.0/300" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(120) == 130, rest
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
