"""What became of every photo: captures on one side, stored rows on the other, nothing left unexplained. Pure.

A row belongs to the capture of the same device, wire name and capture time; rows that the server gave a time of its
own are matched by their bytes, then by name in the order of capture. A row that no capture explains is `unexpected`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Final

from harness.jsonable import plain


class Outcome(Enum):
    """What became of one capture. A good end has STORED, REFUSED and LOST_BY_DEVICE only."""

    STORED = "stored"
    """One complete row with the captured bytes."""
    DOUBLED = "doubled"
    """More than one complete row."""
    DAMAGED = "damaged"
    """Stored as complete with other bytes."""
    PENDING = "pending"
    """Not stored yet, and the device still holds it."""
    LOST = "lost"
    """Not stored, and the device no longer holds it."""
    LOST_BY_DEVICE = "lost_by_device"
    """Not stored, and its only copy went with the device's card: nobody could have saved it."""
    REFUSED = "refused"
    """Damaged at its source and, rightly, not stored as complete."""
    UNEXPECTED = "unexpected"
    """A complete row that no capture explains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureFact:
    """A photo as the camera took it.

    `held`: still in the device's queue when the run ended; `lost_by_device`: it was pending on a card that is gone.
    """

    device: str
    image_name: str
    captured_at: datetime
    sha256: str
    size_bytes: int
    held: bool = False
    lost_by_device: bool = False
    damaged_at_source: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFact:
    """One row of `device_images` with the SHA-256 of the bytes behind it (None where there are none).

    `offers`: in how many wake sessions the device offered this image.
    """

    device: str
    wire_image_name: str
    captured_at: datetime
    status: str
    sha256: str | None = None
    size_bytes: int | None = None
    offers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One line of the ledger; `recovered`: stored after an interruption, in more than one session."""

    device: str
    image_name: str
    captured_at: str
    outcome: Outcome
    recovered: bool
    size_bytes: int
    captured_sha256: str | None
    stored_sha256: str | None
    complete_rows: int
    open_rows: int
    offers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTotals:
    """Sums over a ledger; `captured` counts captures, the others entries of that outcome."""

    captured: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    damaged: int = 0
    recovered: int = 0
    pending: int = 0
    lost_by_device: int = 0
    refused: int = 0
    unexpected: int = 0


COMPLETE: Final = "complete"
CSV_COLUMNS: Final = ("scenario", *(field.name for field in fields(LedgerEntry)))


def reconciled(captures: Sequence[CaptureFact], rows: Sequence[StoredFact]) -> tuple[LedgerEntry, ...]:
    """One entry for each capture, in the order given, then one for each row that no capture explains."""
    owners = _owners(captures, rows)
    entries = [
        _entry(capture, [row for number, row in enumerate(rows) if owners[number] == index])
        for index, capture in enumerate(captures)
    ]
    strays = [row for number, row in enumerate(rows) if owners[number] is None and row.status == COMPLETE]
    return (*entries, *(_stray(row) for row in strays))


def totals(entries: Iterable[LedgerEntry]) -> LedgerTotals:
    """Sums of the entries."""
    items = list(entries)
    counts = {outcome.value: sum(entry.outcome is outcome for entry in items) for outcome in Outcome}
    captured = len(items) - counts["unexpected"]
    return LedgerTotals(captured=captured, recovered=sum(entry.recovered for entry in items), **counts)


def ledger_csv(ledgers: Mapping[str, Iterable[LedgerEntry]]) -> str:
    """The ledgers of a suite as CSV with a header; the key is the scenario's id."""
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for scenario, entries in ledgers.items():
        for entry in entries:
            writer.writerow([scenario, *(_cell(getattr(entry, name)) for name in CSV_COLUMNS[1:])])
    return page.getvalue()


def _owners(captures: Sequence[CaptureFact], rows: Sequence[StoredFact]) -> list[int | None]:
    """For each row the index of its capture."""
    exact = {(c.device, c.image_name, c.captured_at): index for index, c in enumerate(captures)}
    owners = [exact.get((row.device, row.wire_image_name, row.captured_at)) for row in rows]
    by_bytes = {(c.device, c.image_name, c.sha256): index for index, c in enumerate(captures)}
    for number, row in enumerate(rows):
        if owners[number] is None and row.sha256 is not None:
            owners[number] = by_bytes.get((row.device, row.wire_image_name, row.sha256))
    taken = {owner for owner in owners if owner is not None}
    free: dict[tuple[str, str], list[int]] = {}
    for index, capture in sorted(enumerate(captures), key=lambda item: item[1].captured_at):
        if index not in taken:
            free.setdefault((capture.device, capture.image_name), []).append(index)
    for number, row in sorted(enumerate(rows), key=lambda item: item[1].captured_at):
        candidates = free.get((row.device, row.wire_image_name))
        if owners[number] is None and candidates:
            owners[number] = candidates.pop(0)
    return owners


def _entry(capture: CaptureFact, rows: Sequence[StoredFact]) -> LedgerEntry:
    complete = [row for row in rows if row.status == COMPLETE]
    outcome = _outcome(capture, complete)
    offers = max((row.offers for row in rows), default=0)
    return LedgerEntry(
        device=capture.device,
        image_name=capture.image_name,
        captured_at=plain(capture.captured_at),
        outcome=outcome,
        recovered=outcome is Outcome.STORED and offers > 1,
        size_bytes=capture.size_bytes,
        captured_sha256=capture.sha256,
        stored_sha256=complete[0].sha256 if complete else None,
        complete_rows=len(complete),
        open_rows=len(rows) - len(complete),
        offers=offers,
    )


def _outcome(capture: CaptureFact, complete: Sequence[StoredFact]) -> Outcome:
    if not complete:
        if capture.damaged_at_source:
            return Outcome.REFUSED
        if capture.lost_by_device:
            return Outcome.LOST_BY_DEVICE
        return Outcome.PENDING if capture.held else Outcome.LOST
    if any(row.sha256 != capture.sha256 for row in complete) or capture.damaged_at_source:
        return Outcome.DAMAGED
    return Outcome.STORED if len(complete) == 1 else Outcome.DOUBLED


def _stray(row: StoredFact) -> LedgerEntry:
    return LedgerEntry(
        device=row.device,
        image_name=row.wire_image_name,
        captured_at=plain(row.captured_at),
        outcome=Outcome.UNEXPECTED,
        recovered=False,
        size_bytes=row.size_bytes or 0,
        captured_sha256=None,
        stored_sha256=row.sha256,
        complete_rows=1,
        open_rows=0,
        offers=row.offers,
    )


def _cell(value: object) -> object:
    return "" if value is None else plain(value)
