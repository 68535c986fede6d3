"""Verdicts, exit codes and errors."""

from __future__ import annotations

from itertools import permutations

import pytest

from harness import errors
from harness.errors import Mistake, ScenarioError, did_you_mean
from harness.verdict import EXIT_CODES, PRIORITY, Verdict, exit_code, merged


def test_the_worst_verdict_wins_in_any_order() -> None:
    for order in permutations(Verdict):
        assert merged(order) is Verdict.FAIL
    for number, verdict in enumerate(PRIORITY):
        assert merged([*PRIORITY[number:]][::-1]) is verdict
    assert merged([]) is Verdict.PASS


def test_every_verdict_has_its_place_and_exit_code() -> None:
    assert set(PRIORITY) == set(Verdict) == set(EXIT_CODES)
    assert [exit_code(verdict) for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.ERROR)] == [
        0,
        1,
        2,
        70,
    ]


@pytest.mark.parametrize(
    ("kind", "code"),
    [(errors.UsageError, 64), (errors.BenchUnavailable, 3), (errors.InternalError, 70), (errors.WakestormError, 70)],
)
def test_errors_know_their_exit_code_and_have_a_message(kind: type[errors.WakestormError], code: int) -> None:
    assert kind.exit_code == code
    assert str(kind()) == kind.__doc__
    assert str(kind("no broker", hint="start one")) == "no broker\n  start one"


def test_mistakes_stand_in_the_order_of_the_file_and_fit_a_screen() -> None:
    many = [Mistake("a.yaml", line, "x", "is wrong") for line in range(100, 0, -1)]
    lines = str(ScenarioError(many)).splitlines()
    assert lines[0] == "a.yaml:1: x: is wrong"
    assert len(lines) == 31
    assert lines[-1] == "... and 70 more"
    assert str(Mistake("a.yaml", 3, "", "is empty", "write something")) == "a.yaml:3: is empty (write something)"


def test_mistakes_with_and_without_hint_can_be_sorted() -> None:
    pair = [Mistake("a", 1, "x", "y", "hint"), Mistake("a", 1, "x", "y", None)]
    assert len(ScenarioError(pair).mistakes) == 2


def test_did_you_mean_names_the_nearest_or_all() -> None:
    assert did_you_mean("wakee", ["wake", "advance"]) == "did you mean wake?"
    assert did_you_mean("zzz", ["wake", "advance"]) == "one of wake, advance"
    assert did_you_mean("zzz", [f"word{number}" for number in range(30)]).startswith("known are word0")
