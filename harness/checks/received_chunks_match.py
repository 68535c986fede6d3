"""`received_chunks` is what is there: never a promise about chunks that are gone (facts: trap 1)."""

from __future__ import annotations

from harness.evidence import Evidence, Row, Violation


def check(evidence: Evidence) -> list[Violation]:
    """A row whose counter differs from its chunks, or passes its total."""
    return [violation for row in evidence.images for violation in _of_row(row)]


def _of_row(row: Row) -> list[Violation]:
    received, total, there = row["received_chunks"], row["total_chunks"], row["chunks_there"]
    expected = total if row["status"] == "complete" else there
    found: list[str] = []
    if expected is not None and received != expected:
        found.append(f"received_chunks is {received}, but {expected} {'of its' if total else ''} chunks are there")
    if total is not None and received > total:
        found.append(f"received_chunks is {received} of {total}")
    if row["status"] == "complete" and there:
        found.append(f"complete, but {there} chunk rows are left behind")
    return [
        Violation(text=f"{row['image_name']} ({row['status']}): {text}", device=row["device"], rows=(row,))
        for text in found
    ]
