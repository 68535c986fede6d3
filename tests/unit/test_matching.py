"""Found against expected: cells of the database driver, JSON, and rows in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.matching import cell_matches, json_contains, json_equals, row_matches, rows_mismatch

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def test_an_empty_mapping_is_the_resume_and_never_the_final_ack() -> None:
    expected: dict[str, Any] = {"ACK_OK": {}}
    assert json_contains(expected, {"device_id": "x", "ACK_OK": {}})
    assert not json_contains(expected, {"ACK_OK": {"next_wake_time": "5:30PM"}})
    assert not json_contains(expected, {"ack_ok": {}})


def test_contains_is_deep_and_partial() -> None:
    found = {"a": {"b": 1, "c": [1, {"d": 2, "e": 3}]}, "f": None}
    assert json_contains({"a": {"c": [1, {"d": 2}]}}, found)
    assert json_contains({"f": None}, found)
    assert not json_contains({"a": {"c": [1]}}, found)
    assert not json_contains({"g": None}, found)
    assert not json_contains({"a": []}, found)
    assert not json_contains([], [1])


def test_json_keeps_numbers_and_booleans_apart() -> None:
    assert json_equals(1, 1.0)
    assert not json_equals(1, True)
    assert not json_equals(False, 0)
    assert not json_equals({"a": 1}, {"a": 1, "b": 2})


@given(JSON)
def test_everything_contains_and_equals_itself(value: Any) -> None:
    assert json_contains(value, value)
    assert json_equals(value, value)


@given(JSON, JSON)
def test_what_is_equal_is_contained(expected: Any, found: Any) -> None:
    if json_equals(expected, found):
        assert json_contains(expected, found)


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        (None, None, True),
        (None, 0, False),
        (0, None, False),
        (3, 3, True),
        (3, Decimal("3.00"), True),
        (3.3, Decimal("3.3"), True),
        (3.7, 3.7, True),
        (True, 1, False),
        (1, True, False),
        (True, True, True),
        ("3", 3, False),
        ("a", "a", True),
        ("a", "A", False),
        ("2026-01-05T03:00:00Z", datetime(2026, 1, 5, 3, tzinfo=UTC), True),
        ("2026-01-05T04:00:00+01:00", datetime(2026, 1, 5, 3, tzinfo=UTC), True),
        ("2026-01-05T03:00:00Z", datetime(2026, 1, 5, 4, tzinfo=timezone(timedelta(hours=1))), True),
        ("2026-01-05T03:00:00Z", datetime(2026, 1, 5, 3), True),
        ("2026-01-05T03:00:01Z", datetime(2026, 1, 5, 3, tzinfo=UTC), False),
        ("soon", datetime(2026, 1, 5, 3, tzinfo=UTC), False),
        ("90s", timedelta(seconds=90), True),
        ("91s", timedelta(seconds=90), False),
        (90, timedelta(seconds=90), False),
        ("57B7F85E-354F-4A51-A8F8-5AECFF515768", UUID("57b7f85e-354f-4a51-a8f8-5aecff515768"), True),
        ("x", UUID("57b7f85e-354f-4a51-a8f8-5aecff515768"), False),
        ("\\xff00", b"\xff\x00", True),
        ("FF00", b"\xff\x00", True),
        ("ff", b"\xff\x00", False),
        ([1, 2], [1, 2], True),
        ([1, 2], (1, 2), True),
        ([1, 2], [2, 1], False),
        ([], [1], False),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, '{"a": 1, "b": 2}', True),
        ({"a": 1}, "not json", False),
        ([1], "[1]", True),
    ],
)
def test_cells(expected: Any, found: Any, same: bool) -> None:
    assert cell_matches(expected, found) is same


def test_rows_in_any_order_pair_up_one_to_one() -> None:
    expected = [{"a": 1}, {"a": 1, "b": 2}, {"b": 2}]
    found = [{"a": 1, "b": 2}, {"a": 3, "b": 2}, {"a": 1, "b": 9}]
    for order in permutations(found):
        for wanted in permutations(expected):
            assert rows_mismatch(wanted, order, ordered=False) is None


def test_missing_and_extra_rows_are_named() -> None:
    mismatch = rows_mismatch([{"a": 1}, {"a": 2}], [{"a": 2}, {"a": 3}], ordered=False)
    assert mismatch is not None
    assert (mismatch.missing, mismatch.extra) == ((0,), (1,))
    assert rows_mismatch([], [{"a": 1}], ordered=False) is not None
    assert rows_mismatch([{"a": 1}], [], ordered=False) is not None
    assert rows_mismatch([], [], ordered=False) is None


def test_order_counts_when_asked() -> None:
    assert rows_mismatch([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}], ordered=True) is None
    mismatch = rows_mismatch([{"a": 1}, {"a": 2}, {"a": 3}], [{"a": 1}, {"a": 3}], ordered=True)
    assert mismatch is not None
    assert (mismatch.missing, mismatch.extra) == ((1, 2), (1,))


def test_a_column_that_is_not_there_is_named() -> None:
    mismatch = rows_mismatch([{"statsu": "x"}], [{"status": "x"}], ordered=False)
    assert mismatch is not None
    assert mismatch.unknown_columns == ("statsu",)
    assert not row_matches({"statsu": None}, {"status": None})


ROW = st.fixed_dictionaries({"a": st.integers(0, 2), "b": st.integers(0, 2)})


@given(st.lists(ROW, max_size=5), st.data())
def test_pairing_is_as_good_as_trying_every_order(found: list[dict[str, int]], data: st.DataObject) -> None:
    partial = st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 2), max_size=2)
    expected = data.draw(st.lists(partial, min_size=len(found), max_size=len(found)))
    possible = any(all(map(row_matches, expected, order)) for order in permutations(found))
    assert (rows_mismatch(expected, found, ordered=False) is None) is possible
