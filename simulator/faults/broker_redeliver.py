"""The broker delivers again what was not acknowledged."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeliver(Fault):
    """QoS 1: what is in flight to the servers comes once more, at every reconnect too.

    With DUP, as the standard has it, or without.
    """

    dup: bool = True

    async def strike(self, levers: Levers) -> None:
        await levers.broker.redeliver(dup=self.dup)

    async def heal(self, levers: Levers) -> None:
        await levers.broker.redeliver(dup=True)


FAULT = Redeliver
ROW = FaultRow(
    name="broker_redeliver",
    layer="broker",
    does="QoS 1: what is in flight to the servers comes once more, at every reconnect too, with DUP or without.",
    example="steps: [{broker: {do: redeliver, dup: false}}]",
    heals="with DUP again: after `for`, with `broker: heal`, or at the end of the steps",
    scenario="scenarios/faults/broker-redeliver.yaml",
    sign="step:broker:redeliver",
    source="Broker: QoS1 redelivery with/without DUP",
    settings=(
        Setting(name="dup", unit="true or false", default="true", does="with the DUP flag, as the standard has it"),
    ),
    not_processes="a real broker delivers again at a reconnect only: write broker: restart",
)
