"""The terminal report: plain lines without escapes, a failure as one paragraph, the command last."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from harness.events import ScenarioResult, SuiteEnded, SuiteStarted
from harness.report.terminal import TerminalReporter
from harness.report.words import row_table
from harness.units import duration_text
from harness.verdict import Verdict
from tests.support.results import FAILED, FAILURE, PASSED, UNDECIDED, suite_events


def shown(*results: ScenarioResult, tty: bool = False, color: bool = False, interrupted: bool = False) -> str:
    stream = io.StringIO()
    reporter = TerminalReporter(stream, tty=tty, color=color, width=100 if tty else None)
    for event in suite_events(*results):
        reporter.on_event(replace(event, interrupted=interrupted) if isinstance(event, SuiteEnded) else event)
    return stream.getvalue()


def test_plain_output_has_a_line_for_each_scenario_and_no_escapes() -> None:
    text = shown(PASSED, UNDECIDED)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[0] == "2 scenarios, embedded bench, 2 at a time"
    assert lines[1] == f"PASS         {PASSED.id}  (250 ms, 3 h of scenario time)"
    assert lines[2].startswith("INCONCLUSIVE scenarios/b.yaml")
    assert lines[-1] == "PASS  2 scenarios: 1 passed, 1 inconclusive"
    assert "  Reproduce: wakestorm run scenarios/b.yaml --seed 4211" in lines


def test_a_failure_is_one_paragraph_that_ends_with_the_command() -> None:
    text = shown(PASSED, FAILED)
    paragraph = text[text.index("FAIL A cut transfer resumes [chunk-6]") :]
    order = [
        "rows of device_images are not as expected",
        "scenarios/resume/cut.yaml:17 (steps[3].expect.rows)",
        "expected  1 row: status complete",
        "found     1 row: status receiving",
        "hint      the resume was answered with SNAP",
        "> 17 |   - expect: {rows: {}}",
        "status     received_chunks  image_name",
        "receiving  6                image_1.jpg",
        "00:00:00.010 |-- HELLO ------>|",
        "Reproduce: wakestorm run scenarios/resume/cut.yaml::chunk-6 --seed 4211",
    ]
    places = [paragraph.index(part) for part in order]
    assert places == sorted(places)
    assert "2 images captured: 1 stored (1 after an interruption), 1 lost" in text
    assert text.splitlines()[-1] == "FAIL  2 scenarios: 1 passed, 1 failed"


def test_long_lines_are_not_broken_without_a_terminal() -> None:
    command = "wakestorm run " + "x" * 400
    failed = replace(FAILED, failures=(replace(FAILURE, reproduce=command),))
    assert command in shown(failed)


def test_a_device_cannot_drive_the_terminal() -> None:
    failed = replace(FAILED, failures=(replace(FAILURE, found="\x1b[2Jgone\x07"),))
    text = shown(failed)
    assert "\x1b" not in text
    assert "\\x1b[2Jgone\\x07" in text


def test_a_terminal_shows_progress_and_only_what_did_not_pass() -> None:
    text = shown(PASSED, FAILED, tty=True)
    assert "2/2 done, 1 not passed" in text
    assert "PASS         scenarios" not in text
    assert "FAIL         scenarios" in text


@pytest.mark.parametrize("color", [True, False])
def test_no_color_means_no_colour_codes(color: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert ("\x1b[1;31m" in shown(FAILED, tty=True, color=color)) is color


def test_a_run_that_was_stopped_says_so() -> None:
    stream = io.StringIO()
    reporter = TerminalReporter(stream, tty=False, color=False)
    reporter.on_event(SuiteStarted(planned=("a", "b", "c"), bench="embedded", seed=1))
    reporter.on_event(SuiteEnded(verdict=Verdict.ERROR, wall_s=1, interrupted=True))
    assert "stopped before the end" in stream.getvalue()
    assert "3 planned but not run" in stream.getvalue()


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_250, "1.2 s"),
        (200_000, "3 min 20 s"),
        (3_600_000, "1 h"),
        (27_000_000, "7 h 30 min"),
        (187_200_000, "2 d 4 h"),
    ],
)
def test_durations(milliseconds: int, text: str) -> None:
    assert duration_text(milliseconds) == text


def test_a_wide_long_table_says_what_it_leaves_out() -> None:
    rows = tuple({f"column_{n}": n for n in range(10)} for _ in range(12))
    lines = row_table(rows)
    shown_columns = len(lines[0].split())
    assert lines[-2] == f"and {10 - shown_columns} more columns"
    assert all(len(line) <= 76 for line in lines)
    assert lines[-1] == "2 more rows"
