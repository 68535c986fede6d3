"""The broker loses its sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.catalogue import FaultRow
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseSessions(Fault):
    """It forgets every persistent session, what was queued in it, and what was retained; everybody connects anew."""

    lasts: ClassVar[bool] = False

    async def strike(self, levers: Levers) -> None:
        await levers.broker.lose_sessions()

    async def heal(self, levers: Levers) -> None:
        pass


FAULT = LoseSessions
ROW = FaultRow(
    name="broker_lose_sessions",
    layer="broker",
    does="It forgets every persistent session, what was queued in it and what was retained; everybody connects anew.",
    example="steps: [{broker: lose_sessions}]",
    heals="at once: the next sessions are whole",
    scenario="scenarios/resume/broker-trouble-in-a-transfer.yaml",
    sign="step:broker:lose_sessions",
    source="Broker: session lost",
)
