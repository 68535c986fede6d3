"""The broker stands still."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseBroker(Fault):
    """SIGSTOP: connections stay, nothing is read or sent; healed, it goes on with what came meanwhile."""

    async def strike(self, levers: Levers) -> None:
        await levers.broker.pause()

    async def heal(self, levers: Levers) -> None:
        await levers.broker.resume()


FAULT = PauseBroker
ROW = FaultRow(
    name="broker_pause",
    layer="broker",
    does="It stands still; connections stay, what comes meanwhile waits.",
    example="steps: [{broker: {do: pause, for: 20s}}]",
    heals="it goes on: after `for`, with `broker: resume`, or at the end of the steps",
    scenario="scenarios/faults/broker-pause.yaml",
    sign="step:broker:pause",
    source="Broker: freeze",
)
