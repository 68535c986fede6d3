"""Attempts, flake ledger and quarantine of pytest items: tests of boards and benches, and scenario files.

Loaded where `--wakestorm-retries` or `--wakestorm-flakes` is given. What did not pass is tried again, from its set-up
on; an attempt that is not the last has the outcome `rerun`, as in pytest-rerunfailures. Each attempt is a line of the
ledger, which under xdist the controller writes alone. What is in quarantine runs and is shown as an expected failure,
which decides nothing, until the ledger releases it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from _pytest.runner import runtestprotocol

from harness.flakes import FlakeLedger
from harness.machine import run_name

ATTEMPT: Final = pytest.StashKey[int]()
"""Which attempt at this item it is, from 1."""

AGAIN: Final = "rerun"


class Attempts:
    """The plugin. `is_ours` says which items are tried again and counted; the others are left alone."""

    def __init__(
        self, retries: int, file: Path | None, *, writes: bool, is_ours: Callable[[pytest.Item], bool]
    ) -> None:
        self._retries = retries
        self._is_ours = is_ours
        self._ledger = None if file is None else FlakeLedger(file, f"pytest {run_name()}")
        self._writes = writes
        standings = {} if self._ledger is None else self._ledger.standings()
        self._quarantine = {name: one.quarantined_because for name, one in standings.items() if one.is_quarantined}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """All attempts at one item; only the last one decides."""
        if not self._is_ours(item):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        properties = list(item.user_properties)
        for number in range(1, self._retries + 2):
            item.stash[ATTEMPT] = number
            item.user_properties[:] = [*properties, *([("attempt", str(number))] if number > 1 else [])]
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            has_failed = any(report.failed for report in reports)
            is_last = number > self._retries or not has_failed
            told = reports if is_last else [next(report for report in reports if report.failed)]
            if has_failed or not any(report.skipped for report in reports):
                told[-1].wakestorm_attempt = _line(item, number, reports)  # type: ignore[attr-defined]  # as xdist sends
            for report in told:
                self._soften(report, ledger_id(item.nodeid), is_last=is_last)
                item.ihook.pytest_runtest_logreport(report=report)
            if is_last:
                break
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _soften(self, report: pytest.TestReport, name: str, *, is_last: bool) -> None:
        """What a failure counts for: another attempt, nothing (in quarantine), or as it is."""
        if report.failed and not is_last:
            report.outcome = AGAIN  # type: ignore[assignment]  # a fourth outcome, unknown to pytest's own types
            report.when = "call"  # a teardown would end the test case of JUnit
        elif report.failed and name in self._quarantine:
            report.outcome = "skipped"
            report.wasxfail = f"in quarantine: {self._quarantine[name]}"

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """A letter for what is tried again."""
        return ("tried again", "R", "TRIED AGAIN") if str(report.outcome) == AGAIN else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Writes the line of an attempt that is over."""
        line: dict[str, Any] | None = getattr(report, "wakestorm_attempt", None)
        if self._ledger is not None and self._writes and line is not None:
            self._ledger.note(line)


def _line(item: pytest.Item, number: int, reports: list[pytest.TestReport]) -> dict[str, Any]:
    """An attempt for the ledger; plain data, since it crosses from xdist's workers."""
    blames = {str(value) for name, value in item.user_properties if name == "blame"}
    verdict = "FAIL" if any(report.failed for report in reports) else "PASS"
    return {"scenario": ledger_id(item.nodeid), "attempt": number, "verdict": verdict, "blame": sorted(blames)}


def ledger_id(nodeid: str) -> str:
    """An item as the ledger names it: a scenario as `wakestorm run` does, a test by its node id."""
    file, _, case = nodeid.partition("::")
    return file if Path(file).suffix in (".yaml", ".yml") and case == Path(file).stem else nodeid
