"""The object store is away."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.levers import OPERATIONS, Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreachableStore(Fault):
    """Whatever is asked of it fails."""

    async def strike(self, levers: Levers) -> None:
        await levers.store.fail(OPERATIONS, "connection refused")

    async def heal(self, levers: Levers) -> None:
        await levers.store.heal()


FAULT = UnreachableStore
ROW = FaultRow(
    name="store_unreachable",
    layer="store",
    does="Every put, get, list and delete fails.",
    example="steps: [{store: {do: unreachable, for: 10m}}]",
    heals="after `for`, with `store: heal`, or at the end of the steps",
    scenario="scenarios/faults/store-unreachable.yaml",
    sign="step:store:unreachable",
    source="issue 5: store unreachable",
)
