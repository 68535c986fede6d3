"""The database becomes read-only, as a demoted primary does."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOnlyDatabase(Fault):
    """The servers are disconnected; in their new sessions every write fails with SQLSTATE 25006.

    After the heal these sessions stay read-only, as after a fail-over: a server has to connect anew.
    """

    async def strike(self, levers: Levers) -> None:
        await levers.database.set_read_only(True)
        await levers.database.kill_backends()

    async def heal(self, levers: Levers) -> None:
        await levers.database.set_read_only(False)


FAULT = ReadOnlyDatabase
ROW = FaultRow(
    name="database_read_only",
    layer="database",
    does="After a fail-over the servers are connected to a database that takes no writes (SQLSTATE 25006).",
    example="steps: [{database: {do: read_only, for: 30s}}]",
    heals="after `for`, with `database: heal`, or at the end of the steps; sessions that are there stay as they are",
    scenario="scenarios/faults/database-read-only.yaml",
    sign="step:database:read_only",
    source="R16: read-only",
)
