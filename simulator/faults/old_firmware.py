"""Firmware that can not resume; written as a profile."""

from __future__ import annotations

from simulator.catalogue import FaultRow

ROW = FaultRow(
    name="old_firmware",
    layer="device",
    does="Old firmware: told to go on, it starts the image over.",
    example="devices: {yard: {profile: esp32s3-cam@3.0.0-no-resume}}",
    heals="never: it is what the device is; the promise holds all the same",
    scenario="scenarios/profiles/firmware-without-resume.yaml",
    sign="base:esp32s3-cam@3.0.0-no-resume",
    source="Device: old firmware",
)
