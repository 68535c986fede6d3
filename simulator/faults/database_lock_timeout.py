"""A lock is not to be had in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.catalogue import FaultRow
from simulator.failing_writes import HEALS, SETTINGS, FailingWrites


@dataclass(frozen=True, slots=True, kw_only=True)
class LockTimeout(FailingWrites):
    """The next `times` writes to `table` fail with SQLSTATE 55P03; with `at`, requests at that point instead."""

    sqlstate: ClassVar[str] = "55P03"
    message: ClassVar[str] = "canceling statement due to lock timeout"


FAULT = LockTimeout
ROW = FaultRow(
    name="database_lock_timeout",
    layer="database",
    does="A lock is not to be had in time (SQLSTATE 55P03).",
    example="steps: [{database: {do: lock_timeout, times: 3}}]",
    heals=HEALS,
    scenario="scenarios/faults/database-lock-timeout.yaml",
    sign="step:database:lock_timeout",
    source="R16: lock timeout",
    settings=SETTINGS,
)
