"""A transaction is the victim of a deadlock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.catalogue import FaultRow, Setting
from simulator.levers import Fault, Levers

SQLSTATE: Final = "40P01"
MESSAGE: Final = "deadlock detected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlock(Fault):
    """The next `times` writes to `table` fail with SQLSTATE 40P01; with `at`, requests at that point instead."""

    table: str = "device_images"
    times: int = 1
    at: str = "now"
    nth: int = 1

    @property
    def only_embedded(self) -> str:
        return "" if self.at == "now" else "only the embedded bench sees the single requests of a server"

    async def strike(self, levers: Levers) -> None:
        if self.at == "now":
            await levers.database.refuse_writes(SQLSTATE, MESSAGE, tables=(self.table,), times=self.times)
        else:
            await levers.database.fail_at(self.at, SQLSTATE, nth=self.nth, times=self.times)

    async def heal(self, levers: Levers) -> None:
        await levers.database.disarm()
        await levers.database.allow_writes()


FAULT = Deadlock
ROW = FaultRow(
    name="database_deadlock",
    layer="database",
    does="A transaction is the victim of a deadlock (SQLSTATE 40P01).",
    example="steps: [{database: {do: deadlock, table: device_images, times: 2}}]",
    heals="after `times`, or after `for`, with `database: heal`, or at the end of the steps",
    scenario="scenarios/faults/database-deadlock.yaml",
    sign="step:database:deadlock",
    source="DB: deadlock",
    settings=(
        Setting(name="table", unit="name", default="device_images", does="writes to which table fail"),
        Setting(name="times", unit="count", default="1", does="how many of them"),
        Setting(
            name="at",
            unit="now, commit, request or words of SQL",
            default="now",
            does="requests of a server instead of writes to a table",
        ),
        Setting(name="nth", unit="count", default="1", does="which of these requests"),
    ),
)
