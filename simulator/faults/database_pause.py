"""PostgreSQL stands still."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseDatabase(Fault):
    """SIGSTOP: connections stay, nothing is answered; healed, it does what it was asked meanwhile."""

    async def strike(self, levers: Levers) -> None:
        await levers.database.pause()

    async def heal(self, levers: Levers) -> None:
        await levers.database.resume()


FAULT = PauseDatabase
ROW = FaultRow(
    name="database_pause",
    layer="database",
    does="It stands still: connections stay, nothing is answered.",
    example="steps: [{database: {do: pause, for: 20s}}]",
    heals="it does what it was asked meanwhile: after `for`, with `database: resume`, or at the end of the steps",
    scenario="scenarios/faults/database-pause.yaml",
    sign="step:database:pause",
    source="DB: freeze",
)
