"""A worker that hangs, a checker that crashes, a reporter that crashes: said with its place, and never a PASS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import cli_run, suite
from harness.bench.postgres import Cluster
from harness.cli import exit_code_of
from harness.events import Event, SuiteEnded
from harness.machine import monotonic_s
from harness.report.junit import JunitReporter

pytestmark = pytest.mark.postgres

SCENARIO = """\
version: 1
name: One photo
devices: {cam: {image: {size: 2kB, chunk: 1kB}}}
steps:
  - hook: breaking:act
  - wake: cam
  - expect: {ledger: {who: cam, captured: 1}}
drain: {wakes: 0}
"""
HANGS = """\
import threading
from pathlib import Path

async def act(bench):
    Path(__file__).with_name("hangs").touch()
    threading.Event().wait()
"""
CHECK_CRASHES = """\
import harness.checks.no_lost_image as broken

async def act(bench):
    def check(evidence):
        raise KeyError("a column that is not there")
    broken.check = check
"""
NOTHING = "async def act(bench):\n    pass\n"
HANGS_FOR_S = 1.0
"""From the first sign of the hang to the jump of the suite's clock: what was told before is heard by then."""


@pytest.fixture
def folder(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATABASE_URL", cluster.dsn("postgres", cluster.superuser))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, hook: str) -> int:
    (folder / "one.yaml").write_text(SCENARIO)
    (folder / "breaking.py").write_text(hook)
    return exit_code_of(["run", "one.yaml"])


def verdict_of(folder: Path) -> dict[str, object]:
    (scenario,) = json.loads((folder / "runs" / "latest" / "verdict.json").read_text())["scenarios"]
    failure = next(iter(scenario["failures"]), {})
    return {"verdict": scenario["verdict"], "found": failure.get("found", "")}


def test_a_worker_past_its_deadline_is_ended_and_the_step_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def clock() -> float:
        now_s = monotonic_s()
        if (folder / "hangs").exists():
            seen.append(now_s)
        return now_s + (1e6 if seen and now_s - seen[0] > HANGS_FOR_S else 0.0)

    monkeypatch.setattr(suite, "monotonic_s", clock)
    assert run(folder, HANGS) == 70
    ended = verdict_of(folder)
    assert ended["verdict"] == "ERROR"
    assert ended["found"] == "no verdict within 300 s of real time; it was ended at one.yaml:5 (steps[0], hook)"
    assert "breaking.py" in (folder / "runs" / "latest" / "errors.log").read_text()  # the stack where it hung


def test_a_checker_that_crashes_is_an_error_with_its_name(folder: Path) -> None:
    assert run(folder, CHECK_CRASHES) == 70
    ended = verdict_of(folder)
    assert ended["verdict"] == "ERROR"
    assert "the check no_lost_image crashed: KeyError: 'a column that is not there'" in str(ended["found"])


def test_a_reporter_that_crashes_hides_neither_the_verdict_nor_the_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Torn(JunitReporter):
        def on_event(self, event: Event) -> None:
            if isinstance(event, SuiteEnded):
                raise ValueError("no room for junit.xml")

    monkeypatch.setattr(cli_run, "JunitReporter", Torn)
    assert run(folder, NOTHING) == 70
    assert verdict_of(folder)["verdict"] == "PASS"
    out, err = capsys.readouterr()
    assert out.startswith("PASS  runs/")
    assert "wakestorm: Torn broke at SuiteEnded: ValueError: no room for junit.xml; runs/" in err
    assert "test_what_breaks" in (folder / "runs" / "latest" / "errors.log").read_text()
    assert (folder / "runs" / "latest" / "report.html").exists()
