"""What a device let go of is stored: the acked image is the stored image, or there is no ack (design 6.9)."""

from __future__ import annotations

from harness.evidence import Evidence, Violation


def check(evidence: Evidence) -> list[Violation]:
    """An image that left a device's queue without a complete row that holds its bytes."""
    stored = {(row["device"], row["object_sha256"]) for row in evidence.images if row["status"] == "complete"}
    return [
        Violation(
            text=f"{record.fields['released']} left the device's queue, but its bytes are not stored", device=record.who
        )
        for record in evidence.history.of_kind("info")
        if "released" in record.fields and (record.who, record.fields["sha256"]) not in stored
    ]
