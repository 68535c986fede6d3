"""A whole fleet wakes at once; written as one `wake` step."""

from __future__ import annotations

from simulator.catalogue import FaultRow

ROW = FaultRow(
    name="herd",
    layer="fleet",
    does="A whole fleet wakes in the same microsecond, and all say HELLO at once.",
    example="devices: {yard: {count: 50}}\nsteps: [{wake: yard}]",
    heals="by itself: they go to sleep at different times",
    scenario="scenarios/fleet/fifty-devices-wake-at-once.yaml",
    sign="fleet:herd",
    source="Herd: all wake in one microsecond",
    not_board="a bench has few boards",
)
