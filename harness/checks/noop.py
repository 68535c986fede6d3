"""Holds always: the identity, and the template for a new check."""

from __future__ import annotations

from harness.evidence import Evidence, Violation


def check(evidence: Evidence) -> list[Violation]:
    """No violations."""
    return []
