"""A transaction is the victim of a deadlock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.catalogue import FaultRow
from simulator.failing_writes import HEALS, SETTINGS, FailingWrites


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlock(FailingWrites):
    """The next `times` writes to `table` fail with SQLSTATE 40P01; with `at`, requests at that point instead."""

    sqlstate: ClassVar[str] = "40P01"
    message: ClassVar[str] = "deadlock detected"


FAULT = Deadlock
ROW = FaultRow(
    name="database_deadlock",
    layer="database",
    does="A transaction is the victim of a deadlock (SQLSTATE 40P01).",
    example="steps: [{database: {do: deadlock, table: device_images, times: 2}}]",
    heals=HEALS,
    scenario="scenarios/faults/database-deadlock.yaml",
    sign="step:database:deadlock",
    source="DB: deadlock",
    settings=SETTINGS,
)
