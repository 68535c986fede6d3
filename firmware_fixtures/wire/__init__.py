"""Golden payloads: one JSON file for each message, with what it means or why it must be refused.

They were written from the protocol's description, not from the codec, so that the two can disagree. In a file,
`payload` is the exact text (`payload_base64` where it is no UTF-8), `expected` names the message's class and all of
its fields, `error` the reason (or reasons) for which it may be refused, `canonical` a payload that the project's own
encoder must write too (as equal JSON). Downlink messages are read at the instant `now`.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenPayload:
    """One message. Exactly one of `expected` and `reasons` says something."""

    name: str
    says: str
    dialect: str
    direction: Literal["up", "down"]
    topic: str
    payload: bytes
    expected: dict[str, Any] | None
    reasons: tuple[str, ...]
    canonical: bool
    now: str | None


@cache
def golden_payloads() -> tuple[GoldenPayload, ...]:
    """All of them, by name."""
    found = [item for item in files(__name__).iterdir() if item.name.endswith(".json")]
    return tuple(
        _payload(item.name.removesuffix(".json"), json.loads(item.read_text(encoding="utf-8")))
        for item in sorted(found, key=lambda item: item.name)
    )


def _payload(name: str, fields: dict[str, Any]) -> GoldenPayload:
    encoded = fields.get("payload_base64")
    payload = fields["payload"].encode("utf-8") if encoded is None else base64.b64decode(encoded, validate=True)
    error = fields.get("error", ())
    return GoldenPayload(
        name=name,
        says=fields["says"],
        dialect=fields["dialect"],
        direction=fields["direction"],
        topic=fields["topic"],
        payload=payload,
        expected=fields.get("expected"),
        reasons=(error,) if isinstance(error, str) else tuple(error),
        canonical=fields.get("canonical", False),
        now=fields.get("now"),
    )
