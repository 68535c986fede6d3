"""`wakestorm bench boards`: many boards at once, told apart by who spent the CPU time."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.virtual_board import ROOT


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "harness.cli", "bench", "boards", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def test_two_boards_are_flashed_run_and_know_who_they_are() -> None:
    done = bench("--boards", "2", "--app", "60kB", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["boards"], report["mistakes"], report["attempts_max"]) == (2, [], 1)
    assert report["written_bytes"] > 2 * report["app_bytes"] > 100_000
    assert 0 < report["boards_cpu_s"] < report["esptool_cpu_s"], "boards may not be what such a run waits for"


def test_an_app_that_is_too_large() -> None:
    done = bench("--app", "2MB")
    assert done.returncode == 64 and "at most 1900kB" in done.stderr
