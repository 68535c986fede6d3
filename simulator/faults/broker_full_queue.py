"""The queue of a session is full."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class FullQueue(Fault):
    """Every session holds at most `messages` that wait; what comes then is acknowledged and dropped, as brokers do."""

    messages: int = 2

    async def strike(self, levers: Levers) -> None:
        await levers.broker.limit_queues(self.messages)

    async def heal(self, levers: Levers) -> None:
        await levers.broker.limit_queues(None)


FAULT = FullQueue
ROW = FaultRow(
    name="broker_full_queue",
    layer="broker",
    does="A session holds few messages that wait; what comes then is acknowledged and dropped, as brokers do.",
    example="steps: [{broker: {do: full_queue, messages: 3, for: 10m}}]",
    heals="after `for`, with `broker: heal`, or at the end of the steps",
    scenario="scenarios/faults/broker-full-queue.yaml",
    sign="step:broker:full_queue",
    source="Broker: queue full",
    settings=(Setting(name="messages", unit="count", default="2", does="how many messages each session holds"),),
    not_processes="a real broker has its queue limit from its start on",
)
