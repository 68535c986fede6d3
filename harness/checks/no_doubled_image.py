"""No photo is stored twice, and no image stands there that nobody took."""

from __future__ import annotations

from harness.evidence import Evidence, Violation
from harness.ledger import Outcome

_WORDS = {Outcome.DOUBLED: "is stored more than once", Outcome.UNEXPECTED: "was never taken, but is stored"}


def check(evidence: Evidence) -> list[Violation]:
    """A capture with several complete rows, or a complete row without a capture."""
    return [
        Violation(
            text=f"{entry.image_name} ({entry.captured_at}) {_WORDS[entry.outcome]}: {entry.complete_rows} rows",
            device=entry.device,
        )
        for entry in evidence.ledger
        if entry.outcome in _WORDS
    ]
