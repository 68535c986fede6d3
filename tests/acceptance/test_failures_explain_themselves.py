"""Kinds of failing scenarios: the first screen of each names the cause, and nothing is wider than a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from harness.bench.postgres import Cluster
from harness.events import SuiteEnded, SuiteStarted
from harness.loader import load_file
from harness.plan import plans_of
from harness.report.terminal import TerminalReporter
from harness.verdict import Verdict
from tests.support.scenario_runs import played

FOLDER = Path(__file__).parents[1] / "fixtures" / "failing"
SCREEN_LINES = 50
CAUSES = {
    "01-photo-not-whole-yet": ("status is receiving, expected complete", "then power loss", "image_1 6/10"),
    "02-row-that-is-not-there": ("0 rows", "image_name=image_2.jpg", "image_1 complete 5/5"),
    "03-answer-that-never-comes": ("none on that topic", "X## metadata.sent: lost on its way"),
    "04-wrong-value-in-a-message": ('ACK_OK.next_wake_time is "3:00AM"', "00:00:01.840"),
    "05-rule-broken-meanwhile": ("it did not hold always", "image_1 4/10", "!!! here it did not hold"),
    "06-damaged-photo": ("stored 0, damaged 1", "X## chunk[1].sent: changed on its w"),
    "07-server-down": (
        "yard[2] has 0",
        "server0: stopped X",
        "held: HELLO",
        "server0: stopped at 00:00:00.140, and not up again",
    ),
    "08-http-answer": ("404 {", "> 5 |", "/api/v1/projects/00000000"),
    "09-function-result": ("can_resume true", "0 rows", "fn_check_image_resumable gives"),
    "11-one-line-is-dead": ("pending: still on the card (yard[1])", "blackhole begins", "takes image_1, offline"),
    "10-cut-and-copies": ("ledger stored 2, recovered 0", "then cut", "cam[0]: awake"),
}


@pytest.mark.postgres
@pytest.mark.parametrize("name", CAUSES)
def test_the_first_screen_names_the_cause(name: str, cluster: Cluster, tmp_path: Path) -> None:
    (plan,) = plans_of(load_file(FOLDER / f"{name}.yaml"))
    ended = played(plan, cluster, tmp_path, explain=True)
    assert ended.result.verdict is Verdict.FAIL
    assert ended.detail is not None and ended.detail.again == "", "the second run was not the first"
    stream = io.StringIO()
    reporter = TerminalReporter(stream, tty=False, color=False)
    for event in (
        SuiteStarted(planned=(ended.result.id,), bench="embedded", seed=None),
        ended,
        SuiteEnded(verdict=Verdict.FAIL, wall_s=1.0),
    ):
        reporter.on_event(event)
    lines = stream.getvalue().splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("FAIL ") and plan.name in line)
    screen = lines[begin : begin + SCREEN_LINES]
    for cause in CAUSES[name]:
        assert any(cause in line for line in screen), (cause, screen)
    wide = [line for line in screen if len(line) > 80 and not line.startswith(("FAIL ", "    at ", "  Reproduce"))]
    assert not wide, wide


def test_every_failing_scenario_is_judged() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(CAUSES)
