"""The object store is full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.catalogue import FaultRow
from simulator.levers import Fault, Levers

ONLY_EMBEDDED: Final = "the processes bench keeps its objects in a real folder, beside what else needs that disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class FullStore(Fault):
    """Every put fails; what is there can be read and deleted."""

    @property
    def only_embedded(self) -> str:
        return ONLY_EMBEDDED

    async def strike(self, levers: Levers) -> None:
        await levers.store.fail(("put",), "no space left on device")

    async def heal(self, levers: Levers) -> None:
        await levers.store.heal()


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
    not_processes=ONLY_EMBEDDED,
)
