"""The message arrives more than once."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.fault import Action, Deliver, Parcel
from simulator.rng import Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """`times` extra copies, spread evenly over `within_ms`."""

    times: int = 1
    within_ms: int = 0

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        moments_ms = [self.within_ms * copy // self.times for copy in range(1, self.times + 1)]
        gaps_ms = [later - earlier for earlier, later in zip([0, *moments_ms], moments_ms, strict=False)]
        return [Deliver(parcel), *(Deliver(parcel, gap_ms) for gap_ms in gaps_ms)]


ROW = FaultRow(
    name="duplicate",
    layer="link",
    does="A message arrives more than once.",
    example="steps: [{wake: yard, faults: [{who: yard, at: hello.sent, do: {duplicate: {times: 50, within: 2s}}}]}]",
    heals="after `times` messages, at the next step with faults, or at the end of the steps",
    scenario="scenarios/duplicates/one-chunk-fifty-times.yaml",
    sign="action:duplicate",
    source="Link: duplicate",
    settings=(
        Setting(name="times", unit="count", default="1", does="how many extra copies"),
        Setting(name="within", unit="duration", default="0s", does="the copies are spread over this long"),
    ),
)
