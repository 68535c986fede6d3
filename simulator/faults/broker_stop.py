"""The broker is asked to stop."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class StopBroker(Fault):
    """SIGTERM: every connection ends; healed, it starts again."""

    async def strike(self, levers: Levers) -> None:
        await levers.broker.stop()

    async def heal(self, levers: Levers) -> None:
        await levers.broker.start()


FAULT = StopBroker
ROW = FaultRow(
    name="broker_stop",
    layer="broker",
    does="SIGTERM: every connection ends, new ones are refused.",
    example="steps: [{broker: {do: stop, for: 20s}}]",
    heals="it starts: after `for`, with `broker: start`, or at the end of the steps",
    scenario="scenarios/resume/broker-is-down-for-a-while.yaml",
    sign="step:broker:stop",
    source="design 5: broker",
)
