"""The stored bytes are the captured bytes, by SHA-256: decoding proves nothing, a flipped bit may decode."""

from __future__ import annotations

from harness.evidence import Evidence, Violation
from harness.ledger import Outcome


def check(evidence: Evidence) -> list[Violation]:
    """A complete image with other bytes than the camera made, or one that was broken at its source."""
    return [
        Violation(
            text=f"{entry.image_name} ({entry.captured_at}) is complete with other bytes:"
            f" captured {_short(entry.captured_sha256)}, stored {_short(entry.stored_sha256)}",
            device=entry.device,
        )
        for entry in evidence.ledger
        if entry.outcome is Outcome.DAMAGED
    ]


def _short(sha256: str | None) -> str:
    return "nothing" if sha256 is None else f"{sha256[:12]}..."
