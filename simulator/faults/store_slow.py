"""The object store is slow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.catalogue import FaultRow, Setting
from simulator.levers import Fault, Levers

ONLY_EMBEDDED: Final = "the processes bench keeps its objects in a real folder, beside what else needs that disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowStore(Fault):
    """Every operation begins `by_ms` later."""

    by_ms: int = 5_000

    @property
    def only_embedded(self) -> str:
        return ONLY_EMBEDDED

    async def strike(self, levers: Levers) -> None:
        await levers.store.slow_down(self.by_ms)

    async def heal(self, levers: Levers) -> None:
        await levers.store.heal()


FAULT = SlowStore
ROW = FaultRow(
    name="store_slow",
    layer="store",
    does="Every put, get, list and delete takes longer.",
    example="steps: [{store: {do: slow, by: 5s, for: 10m}}]",
    heals="after `for`, with `store: heal`, or at the end of the steps",
    scenario="scenarios/faults/store-slow.yaml",
    sign="step:store:slow",
    source="seed 003: a slow store",
    settings=(Setting(name="by", unit="duration", default="5s", does="how much longer"),),
    not_processes=ONLY_EMBEDDED,
)
