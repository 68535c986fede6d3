"""Somebody left retained messages behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.catalogue import FaultRow
from simulator.levers import Fault, Levers

JUNK: Final = (
    ("cmd", b"\xff\xfe not json"),
    ("ack", b"[]"),
    ("status", b'{"status": 1}'),
    ("data", b'{"chunk_id": -1, "payload": "?"}'),
)
"""Topic below the device's own, payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedJunk(Fault):
    """On every topic of every device: whoever subscribes gets them, again at each reconnect."""

    async def strike(self, levers: Levers) -> None:
        for prefix in levers.devices:
            for topic, payload in JUNK:
                await levers.broker.retain(f"{prefix}/{topic}", payload)

    async def heal(self, levers: Levers) -> None:
        for prefix in levers.devices:
            for topic, _ in JUNK:
                await levers.broker.retain(f"{prefix}/{topic}", b"")


FAULT = RetainedJunk
ROW = FaultRow(
    name="broker_retained_junk",
    layer="broker",
    does="Retained messages that are none of ours, on every topic of every device, up and down.",
    example="steps: [{broker: {do: retained_junk, for: 1d}}]",
    heals="they are taken away: after `for`, with `broker: heal`, or at the end of the steps",
    scenario="scenarios/faults/broker-retained-junk.yaml",
    sign="step:broker:retained_junk",
    source="Broker: retained junk",
)
