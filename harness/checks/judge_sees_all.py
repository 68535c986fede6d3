"""The reader counts what the owner counts: a blind judge passes everything (design 9.8)."""

from __future__ import annotations

from harness.evidence import Evidence, Violation


def check(evidence: Evidence) -> list[Violation]:
    """A table of which the read-only role sees fewer rows than there are."""
    return [Violation(text=f"the reader is blind: {text}") for text in evidence.blind]
