"""Every photo is stored once the faults have healed and the devices have woken again (design 6.4)."""

from __future__ import annotations

from harness.evidence import Evidence, Violation
from harness.ledger import Outcome


def check(evidence: Evidence) -> list[Violation]:
    """A photo that is not stored: lost, or still only on the device's card."""
    return [
        Violation(
            text=f"{entry.image_name} ({entry.captured_at}) is {entry.outcome.value}: captured, not stored"
            + (", though the device still holds it" if entry.outcome is Outcome.PENDING else ""),
            device=entry.device,
        )
        for entry in evidence.ledger
        if entry.outcome in (Outcome.LOST, Outcome.PENDING)
    ]
