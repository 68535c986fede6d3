"""The disk of the database is full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.catalogue import FaultRow
from simulator.levers import Fault, Levers

SQLSTATE: Final = "53100"
MESSAGE: Final = "could not extend file: No space left on device"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFull(Fault):
    """Every write to any table fails with SQLSTATE 53100; reading and COMMIT work."""

    async def strike(self, levers: Levers) -> None:
        await levers.database.refuse_writes(SQLSTATE, MESSAGE, tables=None, times=None)

    async def heal(self, levers: Levers) -> None:
        await levers.database.allow_writes()


FAULT = DiskFull
ROW = FaultRow(
    name="database_disk_full",
    layer="database",
    does="Every write fails with SQLSTATE 53100; reading and COMMIT work.",
    example="steps: [{database: {do: disk_full, for: 30s}}]",
    heals="after `for`, with `database: heal`, or at the end of the steps",
    scenario="scenarios/faults/database-disk-full.yaml",
    sign="step:database:disk_full",
    source="DB: disk full",
)
