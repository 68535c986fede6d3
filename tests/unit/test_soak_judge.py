"""Thresholds of a soak: what grows fails, what only swings does not, and too few days prove nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.soak.judge import DAYS_TO_JUDGE_MIN, judgements, slope, slope_interval, warm_up_days
from simulator.rng import Rng

CLEAN = {"rows_left_behind": 0, "rows_chunks_forgotten": 0, "rows_aside_beyond": 0, "connections_left": 0}
DEVICES = 3
MEMORY = "memory of simulator and server, one process"


def _verdicts(
    heap: Sequence[int],
    *,
    connections: Sequence[int] = (),
    final: dict[str, Any] = CLEAN,
    servers: Sequence[int] = (),
    kept: Sequence[int] = (),
) -> dict[str, Any]:
    opened = connections or [3] * len(heap)
    resident = servers or [0] * len(heap)
    samples = [
        {
            "day": day,
            "heap_bytes": size,
            "kept_bytes": rest,
            "messages": 600 * day,
            "rss_bytes": 10**8,
            "connections": count,
            "server_rss_bytes": rss,
        }
        for day, (size, rest, count, rss) in enumerate(
            zip(heap, kept or [0] * len(heap), opened, resident, strict=True), start=1
        )
    ]
    return {item.name: item.holds for item in judgements(samples, final, devices=DEVICES, cards_full_after=8)}


@given(start=st.integers(0, 10**9), step=st.integers(-1000, 1000), days=st.integers(3, 60))
def test_the_slope_of_a_line_is_its_step_and_sure(start: int, step: int, days: int) -> None:
    values = [(float(day), float(start + step * day)) for day in range(days)]
    assert slope(values) == step
    if days >= DAYS_TO_JUDGE_MIN:
        assert slope_interval(values) == (step, step)


@given(st.lists(st.just(5.0), min_size=9, max_size=40), st.integers(0, 8))
def test_one_odd_day_is_no_slope(values: list[float], odd: int) -> None:
    values[odd] = 1e9
    assert slope(list(enumerate(values))) == 0


@pytest.mark.parametrize(("a_camera_day", "holds"), [(0, True), (900, True), (1_100, False), (50_000, False)])
def test_the_limit_is_a_megabyte_in_a_thousand_camera_days(a_camera_day: int, holds: bool) -> None:
    assert _verdicts([10**8 + a_camera_day * DEVICES * day for day in range(30)])[MEMORY] is holds


def _measured(a_camera_day: float, seed: int, noise: int = 8_000) -> list[int]:
    """What 30 days look like: a warm-up, growth, a swing of some kB, and days on which something large was held."""
    rng = Rng(f"{seed}/swing")
    return [
        59_700_000
        + min(day, 8) * 50_000
        + round(a_camera_day * DEVICES * day)
        + rng.between(-2 * noise, 2 * noise)
        + (400_000 if day in (11, 23) else 0)
        for day in range(30)
    ]


@given(st.integers(0, 10**6))
@settings(deadline=None)
def test_a_leak_of_two_megabytes_in_a_thousand_camera_days_is_caught(seed: int) -> None:
    assert _verdicts(_measured(2_000, seed))[MEMORY] is False


@given(st.integers(0, 10**6))
@settings(deadline=None)
def test_a_process_that_does_not_grow_holds_and_is_sure_of_it(seed: int) -> None:
    assert _verdicts(_measured(0, seed))[MEMORY] is True


def test_a_slope_that_the_days_do_not_prove_decides_nothing() -> None:
    noisy = _measured(1_500, seed=3, noise=100_000)
    assert _verdicts(noisy)[MEMORY] is None


def test_what_is_not_proven_is_not_called_too_few_days() -> None:
    noisy = _measured(1_500, seed=3, noise=100_000)
    doubts = []
    for days in (noisy, noisy[:10]):
        samples = [
            {"day": n, "heap_bytes": size, "kept_bytes": 0, "messages": n, "connections": 3}
            for n, size in enumerate(days)
        ]
        (one, *_) = judgements(samples, CLEAN, devices=DEVICES, cards_full_after=8)
        doubts.append((one.holds, one.doubt))
    assert doubts == [(None, "not proven"), (None, "too few days")]


def test_busy_days_are_no_growth() -> None:
    rng = Rng("busy")
    work = [rng.between(300, 900) for _ in range(30)]
    for leak, holds in ((0, True), (2_000, False)):
        samples = [
            {
                "day": day + 1,
                "kept_bytes": 60_000_000 + 400 * work[day] + leak * DEVICES * day + rng.between(0, 5_000),
                "heap_bytes": 1,
                "messages": sum(work[: day + 1]),
                "connections": 3,
            }
            for day in range(30)
        ]
        (one, *_) = judgements(samples, CLEAN, devices=DEVICES, cards_full_after=8)
        assert one.holds is holds, one.found


def test_days_on_which_the_servers_were_away_are_judged_where_they_are_enough() -> None:
    swinging = _measured(0, seed=1, noise=100_000)
    kept = [10**8 + 2_000 * DEVICES * day if day < 20 or day % 2 else 0 for day in range(30)]
    assert _verdicts(swinging, kept=kept)[MEMORY] is False
    assert _verdicts(swinging, kept=[10**8 if size else 0 for size in kept])[MEMORY] is True
    assert _verdicts(swinging, kept=[*kept[:11], *[0] * 19])[MEMORY] is None


def test_a_warm_up_is_left_out() -> None:
    days = 30
    grown = [10**8 + 5_000_000 * min(day, warm_up_days(days, 8)) for day in range(days)]
    assert _verdicts(grown)[MEMORY] is True


@pytest.mark.parametrize("days", [0, 1, 8, 9, 10, 11])
def test_a_soak_may_be_short(days: int) -> None:
    assert _verdicts([10**8] * days)[MEMORY] is None


def test_too_few_days_say_nothing() -> None:
    assert _verdicts([10**8 * day for day in range(1, 8 + DAYS_TO_JUDGE_MIN)])[MEMORY] is None


def test_where_the_heap_is_not_known_resident_memory_is_judged() -> None:
    assert _verdicts([0] * 30)[MEMORY] is True


def test_servers_of_their_own_are_judged_by_themselves() -> None:
    grown = [10**8 + 5_000 * DEVICES * day for day in range(30)]
    found = _verdicts([10**8] * 30, servers=grown)
    assert (found["memory of simulator"], found["memory of the servers"]) == (True, False)


def test_connections_that_leak_fail() -> None:
    assert _verdicts([10**8] * 20, connections=list(range(3, 23)))["open connections to the database"] is False


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("rows_left_behind", "chunks of complete images left behind"),
        ("rows_chunks_forgotten", "chunks staged for over a day"),
        ("rows_aside_beyond", "chunks of damaged copies beyond the newest 3 of an image"),
        ("connections_left", "connections left by stopped servers"),
    ],
)
def test_what_is_left_behind_fails(column: str, name: str) -> None:
    assert _verdicts([10**8] * 20)[name] is True
    assert _verdicts([10**8] * 20, final=CLEAN | {column: 1})[name] is False
