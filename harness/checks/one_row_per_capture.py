"""Each capture has exactly one row: a row is one photo, whatever was offered how often."""

from __future__ import annotations

from harness.evidence import Evidence, Violation


def check(evidence: Evidence) -> list[Violation]:
    """A capture that has several rows, complete or not."""
    return [
        Violation(
            text=f"{entry.image_name} ({entry.captured_at}) has {entry.complete_rows + entry.open_rows} rows",
            device=entry.device,
        )
        for entry in evidence.ledger
        if entry.complete_rows + entry.open_rows > 1
    ]
