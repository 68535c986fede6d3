"""A transaction can not be serialized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.catalogue import FaultRow
from simulator.failing_writes import HEALS, SETTINGS, FailingWrites


@dataclass(frozen=True, slots=True, kw_only=True)
class SerializationFailure(FailingWrites):
    """The next `times` writes to `table` fail with SQLSTATE 40001; with `at`, requests at that point instead."""

    sqlstate: ClassVar[str] = "40001"
    message: ClassVar[str] = "could not serialize access due to concurrent update"


FAULT = SerializationFailure
ROW = FaultRow(
    name="database_serialization_failure",
    layer="database",
    does="A transaction can not be serialized (SQLSTATE 40001).",
    example="steps: [{database: {do: serialization_failure, at: commit}}]",
    heals=HEALS,
    scenario="scenarios/faults/database-serialization-failure.yaml",
    sign="step:database:serialization_failure",
    source="R16: serialization failure",
    settings=SETTINGS,
)
