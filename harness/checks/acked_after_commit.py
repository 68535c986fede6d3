"""Nothing was acknowledged before its COMMIT: a server that dies in between would have lost it (design 3)."""

from __future__ import annotations

from harness.evidence import Evidence, Violation


def check(evidence: Evidence) -> list[Violation]:
    """An ACK or PUBACK that left a server while what it stands for was not committed."""
    return [Violation(text=text) for text in evidence.early]
