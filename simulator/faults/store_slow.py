"""The object store is slow."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.levers import STORE_ONLY_EMBEDDED, Levers, StoreFault


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowStore(StoreFault):
    """Every operation begins `by_ms` later."""

    by_ms: int = 5_000

    async def strike(self, levers: Levers) -> None:
        await levers.store.slow_down(self.by_ms)


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
    not_processes=STORE_ONLY_EMBEDDED,
)
