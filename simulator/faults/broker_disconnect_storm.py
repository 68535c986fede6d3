"""The broker drops everybody, again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.catalogue import FaultRow, Setting
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class DisconnectStorm(Fault):
    """Every connection is closed, `times` times, `every_ms` apart; sessions stay."""

    lasts: ClassVar[bool] = False

    times: int = 5
    every_ms: int = 500

    async def strike(self, levers: Levers) -> None:
        for _ in range(self.times):
            await levers.broker.disconnect_all()
            await levers.wait_ms(self.every_ms)

    async def heal(self, levers: Levers) -> None:
        pass


FAULT = DisconnectStorm
ROW = FaultRow(
    name="broker_disconnect_storm",
    layer="broker",
    does="It closes every connection, several times; sessions stay.",
    example="steps: [{broker: {do: disconnect_storm, times: 5, every: 500ms}}]",
    heals="at once: everybody connects again",
    scenario="scenarios/faults/broker-disconnect-storm.yaml",
    sign="step:broker:disconnect_storm",
    source="Broker: disconnect storm",
    settings=(
        Setting(name="times", unit="count", default="5", does="how often"),
        Setting(name="every", unit="duration", default="500ms", does="time between two"),
    ),
    not_processes="no real broker drops its connections when told: write broker: restart",
)
