"""Another client uses the id of a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.catalogue import FaultRow, Setting
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOver(Fault):
    """Each time the broker closes the server's connection for the stranger's, and the server takes its session back."""

    lasts: ClassVar[bool] = False

    which: int = 0
    times: int = 1
    every_ms: int = 1_000

    async def strike(self, levers: Levers) -> None:
        for _ in range(self.times):
            await levers.broker.take_over(self.which)
            await levers.wait_ms(self.every_ms)

    async def heal(self, levers: Levers) -> None:
        pass


FAULT = TakeOver
ROW = FaultRow(
    name="broker_takeover",
    layer="broker",
    does="A stranger connects under the id of a server and acknowledges nothing, until it is taken over in turn.",
    example="steps: [{broker: {do: takeover, times: 3, every: 2s}}]",
    heals="at once: the server connects again",
    scenario="scenarios/faults/broker-takeover.yaml",
    sign="step:broker:takeover",
    source="Broker: takeover",
    settings=(
        Setting(name="which", unit="number", default="0", does="whose id"),
        Setting(name="times", unit="count", default="1", does="how often"),
        Setting(name="every", unit="duration", default="1s", does="time between two"),
    ),
)
