"""The generator: the same everywhere, and children that don't disturb each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.rng import Rng

GOLDEN = [5800647040584503657, 10021781253852224358, 5751842216258210595]
GOLDEN_CHILD = 10811287745646381635


def test_the_first_numbers_are_written_down() -> None:
    rng = Rng(4211)
    assert [rng.u64() for _ in range(3)] == GOLDEN
    assert Rng(4211).child("yard[0]").u64() == GOLDEN_CHILD


def test_a_child_does_not_depend_on_what_was_drawn() -> None:
    fresh, used = Rng(1), Rng(1)
    used.take_bytes(100)
    assert fresh.child("a").u64() == used.child("a").u64()
    assert fresh.child("a").u64() != fresh.child("b").u64()


def test_a_state_makes_an_equal_generator() -> None:
    rng = Rng("soak")
    rng.uniform()
    again = Rng.from_state(rng.state)
    assert [rng.u64() for _ in range(5)] == [again.u64() for _ in range(5)]


@given(seed=st.integers(), limit=st.integers(1, 2**64))
def test_below_stays_below(seed: int, limit: int) -> None:
    rng = Rng(seed)
    assert all(0 <= rng.below(limit) < limit for _ in range(5))


@given(seed=st.integers(), items=st.lists(st.integers()))
def test_shuffling_keeps_the_items(seed: int, items: list[int]) -> None:
    assert sorted(Rng(seed).shuffled(items)) == sorted(items)


def test_draws_are_spread_evenly() -> None:
    rng = Rng(7)
    counts = [0] * 10
    for _ in range(10_000):
        counts[rng.below(10)] += 1
    assert all(900 < count < 1_100 for count in counts)
    assert 0.48 < sum(rng.uniform() for _ in range(10_000)) / 10_000 < 0.52
    assert 2_300 < sum(rng.chance(0.25) for _ in range(10_000)) < 2_700
    assert {rng.between(1, 3) for _ in range(100)} == {1, 2, 3}


def test_a_limit_that_does_not_divide_is_fair_too() -> None:
    rng = Rng(7)
    low = sum(rng.below(3 * 2**62) < 2**62 for _ in range(3_000))
    assert 900 < low < 1_100


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="limit is 0"):
        Rng(1).below(0)
