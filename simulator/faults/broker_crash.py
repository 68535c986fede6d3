"""The broker is killed."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashBroker(Fault):
    """SIGKILL; healed, it starts again.

    The simulated broker keeps its sessions, iotcore loses them, mosquitto has what it saved at its last stop.
    """

    async def strike(self, levers: Levers) -> None:
        await levers.broker.crash()

    async def heal(self, levers: Levers) -> None:
        await levers.broker.start()


FAULT = CrashBroker
ROW = FaultRow(
    name="broker_crash",
    layer="broker",
    does="SIGKILL. The simulated one keeps its sessions, iotcore loses them, mosquitto has what it last saved.",
    example="steps: [{broker: {do: crash, for: 20s}}]",
    heals="it starts: after `for`, with `broker: start`, or at the end of the steps",
    scenario="scenarios/faults/broker-crash.yaml",
    sign="step:broker:crash",
    source="Broker: kill",
)
