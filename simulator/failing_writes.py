"""Faults in which PostgreSQL refuses a few writes for a reason that passes: what they share. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from simulator.catalogue import Setting
from simulator.levers import FaultAtRequest, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingWrites(FaultAtRequest):
    """The next `times` writes to `table` fail with `sqlstate`; with `at`, requests at that point instead."""

    sqlstate: ClassVar[str]
    message: ClassVar[str]

    table: str = "device_images"
    times: int = 1

    async def strike(self, levers: Levers) -> None:
        if self.at == "now":
            await levers.database.refuse_writes(self.sqlstate, self.message, tables=(self.table,), times=self.times)
        else:
            await levers.database.fail_at(self.at, self.sqlstate, nth=self.nth, times=self.times)

    async def heal(self, levers: Levers) -> None:
        await levers.database.disarm()
        await levers.database.allow_writes()


HEALS: Final = "after `times`, or after `for`, with `database: heal`, or at the end of the steps"

SETTINGS: Final = (
    Setting(name="table", unit="name", default="device_images", does="writes to which table fail"),
    Setting(name="times", unit="count", default="1", does="how many of them"),
    Setting(
        name="at",
        unit="now, commit, request or words of SQL",
        default="now",
        does="requests of a server instead of writes to a table",
    ),
    Setting(name="nth", unit="count", default="1", does="which of these requests"),
)
