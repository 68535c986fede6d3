"""Thresholds of a soak: what grows fails, what breathes does not, and too few days prove nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.soak.judge import DAYS_TO_JUDGE_MIN, RSS_BREATHING_BYTES, judgements, slope, warm_up_days

CLEAN = {"rows_left_behind": 0, "rows_chunks_forgotten": 0}


def _verdicts(rss: Sequence[int], *, connections: Sequence[int] = (), final: dict[str, Any] = CLEAN) -> dict[str, Any]:
    opened = connections or [3] * len(rss)
    samples = [{"rss_bytes": size, "connections": count} for size, count in zip(rss, opened, strict=True)]
    return {"_".join(item.name.split(" ")[:2]): item.holds for item in judgements(samples, final, devices=3)}


@given(start=st.integers(0, 10**9), step=st.integers(-1000, 1000), days=st.integers(2, 60))
def test_the_slope_of_a_line_is_its_step(start: int, step: int, days: int) -> None:
    assert slope([start + step * day for day in range(days)]) == step


@given(st.lists(st.just(5.0), min_size=9, max_size=40), st.integers(0, 8))
def test_one_odd_day_is_no_slope(values: list[float], odd: int) -> None:
    values[odd] = 1e9
    assert slope(values) == 0


def test_memory_that_grows_fails() -> None:
    growth = RSS_BREATHING_BYTES // 10
    assert _verdicts([10**8 + growth * day for day in range(30)])["memory_of"] is False


def test_memory_that_breathes_holds() -> None:
    assert _verdicts([10**8 + 500_000 * (day % 3) for day in range(30)])["memory_of"] is True


def test_a_warm_up_is_left_out() -> None:
    days = 30
    grown = [10**8 + 5_000_000 * min(day, warm_up_days(days)) for day in range(days)]
    assert _verdicts(grown)["memory_of"] is True


def test_too_few_days_say_nothing() -> None:
    assert _verdicts([10**8 * day for day in range(1, DAYS_TO_JUDGE_MIN)])["memory_of"] is None


def test_connections_that_leak_fail() -> None:
    assert _verdicts([10**8] * 20, connections=list(range(3, 23)))["open_connections"] is False


def test_a_row_left_behind_fails() -> None:
    assert _verdicts([10**8] * 20, final=CLEAN | {"rows_left_behind": 1})["chunks_of"] is False
    assert _verdicts([10**8] * 20, final=CLEAN | {"rows_chunks_forgotten": 1})["chunks_staged"] is False
