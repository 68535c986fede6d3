"""The object store is full."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.levers import STORE_ONLY_EMBEDDED, Levers, StoreFault


@dataclass(frozen=True, slots=True, kw_only=True)
class FullStore(StoreFault):
    """Every put fails; what is there can be read and deleted."""

    async def strike(self, levers: Levers) -> None:
        await levers.store.fail(("put",), "no space left on device")


FAULT = FullStore
ROW = FaultRow(
    name="store_full",
    layer="store",
    does="Nothing more can be put; reading and deleting work.",
    example="steps: [{store: {do: full, for: 10m}}]",
    heals="after `for`, with `store: heal`, or at the end of the steps",
    scenario="scenarios/faults/store-full.yaml",
    sign="step:store:full",
    source="issue 5: store full",
    not_processes=STORE_ONLY_EMBEDDED,
)
