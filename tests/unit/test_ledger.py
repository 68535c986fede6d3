"""The ledger: every capture and every complete row is explained by exactly one entry."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ledger import CSV_COLUMNS, CaptureFact, LedgerTotals, Outcome, StoredFact, ledger_csv, reconciled, totals

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
PHOTO = CaptureFact(device="yard[0]", image_name="image_1.jpg", captured_at=NOON, sha256="aa", size_bytes=10_000)
ROW = StoredFact(device="yard[0]", wire_image_name="image_1.jpg", captured_at=NOON, status="complete", sha256="aa")


@pytest.mark.parametrize(
    ("photo", "rows", "outcome"),
    [
        (PHOTO, [ROW], Outcome.STORED),
        (PHOTO, [], Outcome.LOST),
        (replace(PHOTO, lost_by_device=True), [], Outcome.LOST_BY_DEVICE),
        (replace(PHOTO, lost_by_device=True), [ROW], Outcome.STORED),
        (replace(PHOTO, lost_by_device=True), [ROW, ROW], Outcome.DOUBLED),
        (replace(PHOTO, held=True), [], Outcome.PENDING),
        (replace(PHOTO, held=True), [replace(ROW, status="receiving", sha256=None)], Outcome.PENDING),
        (PHOTO, [replace(ROW, status="receiving", sha256=None)], Outcome.LOST),
        (PHOTO, [replace(ROW, status="failed", sha256=None)], Outcome.LOST),
        (PHOTO, [ROW, ROW], Outcome.DOUBLED),
        (PHOTO, [replace(ROW, sha256="bb")], Outcome.DAMAGED),
        (PHOTO, [replace(ROW, sha256=None)], Outcome.DAMAGED),
        (PHOTO, [ROW, replace(ROW, sha256="bb")], Outcome.DAMAGED),
        (replace(PHOTO, damaged_at_source=True), [replace(ROW, status="failed")], Outcome.REFUSED),
        (replace(PHOTO, damaged_at_source=True), [ROW], Outcome.DAMAGED),
    ],
)
def test_what_became_of_a_photo(photo: CaptureFact, rows: list[StoredFact], outcome: Outcome) -> None:
    (entry,) = reconciled([photo], rows)
    assert entry.outcome is outcome


def test_a_row_without_capture_is_unexpected() -> None:
    entries = reconciled([PHOTO], [ROW, replace(ROW, device="yard[1]")])
    assert [entry.outcome for entry in entries] == [Outcome.STORED, Outcome.UNEXPECTED]
    assert totals(entries) == LedgerTotals(captured=1, stored=1, unexpected=1)


def test_an_open_row_without_capture_is_no_entry() -> None:
    assert reconciled([], [replace(ROW, status="pending")]) == ()


@pytest.mark.parametrize(("offers", "recovered"), [(1, False), (2, True)])
def test_recovered_is_stored_after_more_than_one_session(offers: int, recovered: bool) -> None:
    (entry,) = reconciled([PHOTO], [replace(ROW, offers=offers)])
    assert entry.recovered is recovered
    assert totals([entry]).recovered == int(recovered)


def test_a_lost_photo_is_never_recovered() -> None:
    (entry,) = reconciled([PHOTO], [replace(ROW, status="failed", offers=3)])
    assert entry.outcome is Outcome.LOST
    assert not entry.recovered


def test_two_photos_of_one_name_are_told_apart_by_their_time() -> None:
    later = replace(PHOTO, captured_at=NOON + timedelta(hours=3), sha256="bb")
    rows = [replace(ROW, captured_at=NOON + timedelta(hours=3), sha256="bb"), ROW]
    assert [entry.outcome for entry in reconciled([PHOTO, later], rows)] == [Outcome.STORED, Outcome.STORED]
    assert [entry.outcome for entry in reconciled([PHOTO, later], rows[:1])] == [Outcome.LOST, Outcome.STORED]


def test_a_row_with_the_servers_time_is_matched_by_bytes_then_by_order() -> None:
    later = replace(PHOTO, captured_at=NOON + timedelta(hours=3), sha256="bb")
    by_bytes = replace(ROW, captured_at=NOON + timedelta(days=9), sha256="bb")
    assert [entry.outcome for entry in reconciled([PHOTO, later], [by_bytes])] == [Outcome.LOST, Outcome.STORED]
    damaged = replace(by_bytes, sha256="cc")
    assert [entry.outcome for entry in reconciled([PHOTO], [damaged])] == [Outcome.DAMAGED]


def test_csv_has_a_line_for_each_entry_under_named_columns() -> None:
    text = ledger_csv({"scenarios/a.yaml": reconciled([PHOTO, replace(PHOTO, image_name="x,y.jpg")], [ROW])})
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [(row["scenario"], row["image_name"], row["outcome"]) for row in rows] == [
        ("scenarios/a.yaml", "image_1.jpg", "stored"),
        ("scenarios/a.yaml", "x,y.jpg", "lost"),
    ]
    assert rows[1]["stored_sha256"] == ""


PHOTOS = st.builds(
    CaptureFact,
    device=st.sampled_from(["a", "b"]),
    image_name=st.sampled_from(["image_1.jpg", "image_2.jpg"]),
    captured_at=st.integers(0, 3).map(lambda hours: NOON + timedelta(hours=hours)),
    sha256=st.sampled_from(["aa", "bb"]),
    size_bytes=st.just(1),
    held=st.booleans(),
)
ROWS = st.builds(
    StoredFact,
    device=st.sampled_from(["a", "b"]),
    wire_image_name=st.sampled_from(["image_1.jpg", "image_2.jpg"]),
    captured_at=st.integers(0, 3).map(lambda hours: NOON + timedelta(hours=hours)),
    status=st.sampled_from(["complete", "receiving", "failed"]),
    sha256=st.sampled_from(["aa", "bb", None]),
    offers=st.integers(1, 3),
)


@given(st.lists(PHOTOS, max_size=5, unique_by=lambda p: (p.device, p.image_name, p.captured_at)), st.lists(ROWS))
def test_every_capture_and_every_complete_row_is_counted_once(
    photos: list[CaptureFact], rows: list[StoredFact]
) -> None:
    entries = reconciled(photos, rows)
    sums = totals(entries)
    assert sums.captured == len(photos)
    ends = sums.stored + sums.lost + sums.doubled + sums.damaged + sums.pending + sums.lost_by_device + sums.refused
    assert ends == len(photos)
    assert sum(entry.complete_rows for entry in entries) == sum(row.status == "complete" for row in rows)
    assert reconciled(photos, rows) == entries
