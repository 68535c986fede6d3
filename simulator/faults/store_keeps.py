"""The object store deletes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.levers import STORE_ONLY_EMBEDDED, Levers, StoreFault


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingStore(StoreFault):
    """Every delete fails; what is there stays."""

    async def strike(self, levers: Levers) -> None:
        await levers.store.fail(("delete",), "access denied")


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
    not_processes=STORE_ONLY_EMBEDDED,
)
