"""Two runs side by side: what counts as a difference, and the first line of a history that differs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from harness.history_difference import first_difference
from harness.ledger import LedgerTotals
from harness.run_difference import differing, run_difference
from harness.verdict import Verdict
from tests.support.results import FAILED, PASSED

HEADER = '{"kind":"header"}'


def test_a_run_is_like_itself() -> None:
    found = run_difference([PASSED, FAILED], [PASSED, FAILED])
    assert found.is_result_same and not found.histories and found.compared == 2
    assert found.times[0].startswith(" 1.00  real time of all scenarios")
    assert differing([PASSED], [PASSED]) == []


def test_verdicts_ledgers_and_histories_that_changed_are_named() -> None:
    now = replace(PASSED, verdict=Verdict.FAIL, ledger=LedgerTotals(captured=1, lost=1), history_sha256="cd" * 32)
    record = '{"kind":"log","t_ms":%d,"who":"server"}'
    histories = {PASSED.id: f"{HEADER}\n{record % 5}\n"}, {PASSED.id: f"{HEADER}\n{record % 7}\n"}
    found = run_difference([PASSED], [now], histories)
    assert found.verdicts == [f"PASS -> FAIL  {PASSED.id}"]
    assert found.ledgers == [f"{PASSED.id}: stored 1 -> 0, lost 0 -> 1, recovered 1 -> 0"]
    assert found.histories == [f"{PASSED.id}: line 2: log of server: t_ms 5 before, 7 now"]
    assert not found.is_result_same


def test_another_history_alone_is_no_other_result() -> None:
    found = run_difference([PASSED], [replace(PASSED, history_sha256="cd" * 32)])
    assert found.is_result_same and len(found.histories) == 1


def test_scenarios_of_one_run_only_are_named() -> None:
    found = run_difference([PASSED], [FAILED])
    assert found.verdicts == [f"only in A: PASS         {PASSED.id}", f"only in B: FAIL         {FAILED.id}"]
    assert not found.is_result_same


def test_much_slower_scenarios_are_named_with_their_ratio() -> None:
    found = run_difference([PASSED, replace(FAILED, wall_s=1.0)], [replace(PASSED, wall_s=2.5), FAILED])
    assert found.times[2:] == [
        f"10.00  {PASSED.id}: 250 ms, 2.5 s",
        f" 0.25  {FAILED.id}: 1.0 s, 250 ms",
    ]


def test_a_history_that_ends_early_differs_there() -> None:
    assert first_difference("a\nb\n", "a\n") == "line 2: b before, nothing, the history ends there now"
    assert first_difference("a\n", "a\nb\n") == "line 2: nothing, the history ends there before, b now"


LINES = st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"), min_size=1, max_size=20), max_size=8)


@given(LINES, LINES)
def test_a_difference_is_found_where_there_is_one_and_at_the_right_line(one: list[str], other: list[str]) -> None:
    texts = ["".join(f"{line}\n" for line in lines) for lines in (one, other)]
    found = first_difference(*texts)
    assert (found == "") == (texts[0].rstrip("\n") == texts[1].rstrip("\n"))
    if found:
        number = int(found.removeprefix("line ").partition(":")[0])
        assert one[: number - 1] == other[: number - 1]
