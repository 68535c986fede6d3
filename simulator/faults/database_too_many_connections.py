"""All connections are taken."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyConnections(Fault):
    """The servers are disconnected, and the next ones are refused with SQLSTATE 53300."""

    async def strike(self, levers: Levers) -> None:
        await levers.database.limit_connections(0)
        await levers.database.kill_backends()

    async def heal(self, levers: Levers) -> None:
        await levers.database.limit_connections(None)


FAULT = TooManyConnections
ROW = FaultRow(
    name="database_too_many_connections",
    layer="database",
    does="The servers lose their connections and get no others (SQLSTATE 53300).",
    example="steps: [{database: {do: too_many_connections, for: 30s}}]",
    heals="after `for`, with `database: heal`, or at the end of the steps",
    scenario="scenarios/faults/database-too-many-connections.yaml",
    sign="step:database:too_many_connections",
    source="R16: PG too many connections",
)
