"""A clock that counts from 1970 until NTP answers; written as a profile."""

from __future__ import annotations

from simulator.catalogue import FaultRow

ROW = FaultRow(
    name="unset_clock",
    layer="device",
    does="It has no time until NTP answers: its offline photos are of 1970.",
    example="devices: {yard: {profile: esp32s3-cam@3.5.0+unset-clock}}",
    heals="when NTP answers",
    scenario="scenarios/captures/offline-photos-of-1970-are-all-kept.yaml",
    sign="profile:unset-clock",
    source="R13: clock of 1970",
    not_board="is inside the chip: the firmware would have to play along",
)
