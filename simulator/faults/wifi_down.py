"""There is no Wi-Fi; written as `wifi: down` of a wake, or as an `offline` step."""

from __future__ import annotations

from simulator.catalogue import FaultRow

ROW = FaultRow(
    name="wifi_down",
    layer="device",
    does="There is no Wi-Fi: the device tries, takes its photo offline, and keeps it on the card.",
    example="steps: [{wake: yard, wifi: down}]",
    heals="with the end of the step",
    scenario="scenarios/backlog/wifi-tries-then-offline-capture.yaml",
    sign="wifi:down",
    source="Device: offline wakes",
)
