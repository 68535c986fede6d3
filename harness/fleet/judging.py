"""What became of a fleet's photos: captures on one side, rows and stored bytes on the other, page by page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from harness.fleet.bench import FleetBench
from harness.fleet.order import Capture
from harness.ledger import CaptureFact, LedgerEntry, LedgerTotals, Outcome, StoredFact, reconciled
from harness.verdict import Verdict
from simulator.fleet import camera_mac, camera_name

PAGE_DEVICES: Final = 500
NAMED_MAX: Final = 5
"""Cameras named in a sentence."""


async def judged(bench: FleetBench, captures: Sequence[Capture], held: frozenset[str]) -> list[LedgerEntry]:
    """The ledger in the order of cameras and their photos; rows from before the first photo are another fleet's."""
    entries: list[LedgerEntry] = []
    ordered = sorted(captures, key=lambda capture: (capture.index, capture.wake))
    since = datetime.fromtimestamp(min((capture.captured_s for capture in captures), default=0), UTC)
    for page in _pages(ordered):
        facts = [_fact(capture, held) for capture in page]
        first = bench.broker.mac_first
        macs = {camera_mac(capture.index, first): camera_name(capture.index) for capture in page}
        rows = await bench.images(list(macs), since)
        entries += reconciled(facts, [_stored(row, macs, bench.stored_bytes) for row in rows])
    return sorted(entries, key=lambda entry: entry.device)


def without_untold(ledger: Sequence[LedgerEntry], lost_cameras: frozenset[str]) -> tuple[list[LedgerEntry], int]:
    """The ledger without rows that no capture explains, where the camera's shard died before it could tell of it."""
    kept = [entry for entry in ledger if entry.outcome is not Outcome.UNEXPECTED or entry.device not in lost_cameras]
    return kept, len(ledger) - len(kept)


def _pages(ordered: Sequence[Capture]) -> Iterator[list[Capture]]:
    page: list[Capture] = []
    cameras: set[int] = set()
    for capture in ordered:
        if capture.index not in cameras and len(cameras) == PAGE_DEVICES:
            yield page
            page, cameras = [], set()
        cameras.add(capture.index)
        page.append(capture)
    if page:
        yield page


def _fact(capture: Capture, held: frozenset[str]) -> CaptureFact:
    return CaptureFact(
        device=camera_name(capture.index),
        image_name=capture.image_name,
        captured_at=datetime.fromtimestamp(capture.captured_s, UTC),
        sha256=capture.sha256,
        size_bytes=capture.size_bytes,
        held=capture.sha256 in held,
    )


def _stored(row: Mapping[str, Any], names: dict[str, str], bytes_of: Callable[[str], bytes | None]) -> StoredFact:
    data = bytes_of(row["object_key"]) if row["object_key"] else None
    return StoredFact(
        device=names[row["device_mac"]],
        wire_image_name=row["wire_image_name"],
        captured_at=row["captured_at"],
        status=row["status"],
        sha256=row["sha256"] if data is None else hashlib.sha256(data).hexdigest(),
        size_bytes=row["image_size"],
        offers=max(row["offers"], 1),
    )


def unfinished_words(unfinished: Mapping[int, str]) -> list[str]:
    """What cameras that were cut off had waited for, one sentence for each thing."""
    waiting: dict[str, list[int]] = {}
    for index, what in sorted(unfinished.items()):
        waiting.setdefault(what, []).append(index)
    return [_cut_off(what, indexes) for what, indexes in sorted(waiting.items())]


def _cut_off(what: str, indexes: Sequence[int]) -> str:
    names = ", ".join(camera_name(index) for index in indexes[:NAMED_MAX])
    more = f" and {len(indexes) - NAMED_MAX} more" if len(indexes) > NAMED_MAX else ""
    count = "1 camera was" if len(indexes) == 1 else f"{len(indexes)} cameras were"
    return f"{count} cut off at the end of the fleet, waiting for {what}: {names}{more}"


def verdict_of(totals: LedgerTotals, doubts: Iterable[str], *, is_drained: bool = True) -> tuple[Verdict, list[str]]:
    """The verdict, and why it is not PASS. `doubts`: reasons for which nothing is proved.

    A photo still held counts against the server only where every camera had its last wakes to bring it in.
    """
    wrong: dict[str, Any] = {
        "lost": totals.lost,
        "doubled": totals.doubled,
        "damaged": totals.damaged,
        "not explained by any capture": totals.unexpected,
        "still on the card after the fleet was drained": totals.pending if is_drained else 0,
    }
    reasons = [f"{count} photos {what}" for what, count in wrong.items() if count]
    if reasons:
        return Verdict.FAIL, reasons
    unproved = list(doubts)
    if totals.pending:
        unproved.append(f"{totals.pending} photos were not brought in before the end")
    if not totals.captured:
        unproved.append("no photo was taken")
    return (Verdict.INCONCLUSIVE, unproved) if unproved else (Verdict.PASS, [])
