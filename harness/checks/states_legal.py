"""States, wake sessions and wake payloads tell one story: nothing is stuck half-way after the drain."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence import Evidence, Violation
from server.wire.states import ImageStatus, PayloadStatus, ProtocolState, WakeSessionStatus

_IMAGE = {status.value for status in ImageStatus}
_SESSION = {status.value for status in WakeSessionStatus}
_PROTOCOL = {state.value for state in ProtocolState}
_PAYLOAD = {status.value for status in PayloadStatus}


def check(evidence: Evidence) -> list[Violation]:
    """A state that no document knows, or one that contradicts another."""
    return [*_images(evidence), *_sessions(evidence), *_payloads(evidence)]


def _images(evidence: Evidence) -> Iterator[Violation]:
    for row in evidence.images:
        name = row["image_name"]
        if row["status"] not in _IMAGE:
            yield Violation(text=f"{name}: status {row['status']!r}", device=row["device"], rows=(row,))
        if row["status"] == "complete" and row["object_sha256"] is None:
            yield Violation(text=f"{name}: complete, but no bytes are stored", device=row["device"], rows=(row,))
        if row["status"] == "complete" and row["object_size_bytes"] != row["image_size"]:
            yield Violation(
                text=f"{name}: complete with {row['object_size_bytes']} of {row['image_size']} bytes",
                device=row["device"],
                rows=(row,),
            )
        if row["status"] == "complete" and row["failed_at"] is not None:
            yield Violation(text=f"{name}: complete and failed_at", device=row["device"], rows=(row,))
        if row["retry_count"] > row["max_retries"]:
            text = f"{name}: retry_count {row['retry_count']} of {row['max_retries']}"
            yield Violation(text=text, device=row["device"], rows=(row,))


def _sessions(evidence: Evidence) -> Iterator[Violation]:
    for row in evidence.sessions:
        if row["status"] not in _SESSION:
            yield Violation(text=f"wake session with status {row['status']!r}", device=row["device"], rows=(row,))
        if (row["ended_at"] is None) != (row["status"] == "in_progress") and row["hello_digest"] is not None:
            text = f"wake session {row['status']} with ended_at {row['ended_at']}"
            yield Violation(text=text, device=row["device"], rows=(row,))


def _payloads(evidence: Evidence) -> Iterator[Violation]:
    for row in evidence.payloads:
        if row["protocol_state"] is not None and row["protocol_state"] not in _PROTOCOL:
            text = f"wake payload with protocol_state {row['protocol_state']!r}"
            yield Violation(text=text, device=row["device"], rows=(row,))
        if row["payload_status"] not in _PAYLOAD:
            text = f"wake payload with payload_status {row['payload_status']!r}"
            yield Violation(text=text, device=row["device"], rows=(row,))
        if row["is_complete"] and row["image_status"] not in (None, "complete"):
            text = f"wake payload is_complete while its image is {row['image_status']}"
            yield Violation(text=text, device=row["device"], rows=(row,))
