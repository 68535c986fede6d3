"""The object store deletes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.catalogue import FaultRow
from simulator.levers import Fault, Levers

ONLY_EMBEDDED: Final = "the processes bench keeps its objects in a real folder, beside what else needs that disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingStore(Fault):
    """Every delete fails; what is there stays."""

    @property
    def only_embedded(self) -> str:
        return ONLY_EMBEDDED

    async def strike(self, levers: Levers) -> None:
        await levers.store.fail(("delete",), "access denied")

    async def heal(self, levers: Levers) -> None:
        await levers.store.heal()


FAULT = KeepingStore
ROW = FaultRow(
    name="store_keeps",
    layer="store",
    does="Every delete fails; putting and reading work.",
    example="steps: [{store: {do: keeps, for: 10m}}]",
    heals="after `for`, with `store: heal`, or at the end of the steps",
    scenario="scenarios/faults/store-keeps.yaml",
    sign="step:store:keeps",
    source="seed 003: a failing store on deletion",
    not_processes=ONLY_EMBEDDED,
)
