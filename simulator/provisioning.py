"""What a camera's NVS may say about it: the keys of the namespace `wakestorm`, as one table. Pure.

The harness writes them when it flashes a board, a booting camera reads them; NVS allows names of 15 characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NAMESPACE: Final = "wakestorm"


@dataclass(frozen=True, slots=True)
class NvsKey:
    """One value: its NVS encoding, what it means, and what holds without it. Units stand last in the name."""

    name: str
    encoding: str
    meaning: str
    without: str


KEYS: Final[dict[str, NvsKey]] = {
    key.name: key
    for key in (
        NvsKey("device_id", "string", "the camera's id in topics and messages", "the MAC, 12 hexadecimal digits"),
        NvsKey("dialect", "string", "field names and habits of the protocol (docs/dialects.md)", "the firmware's own"),
        NvsKey("habits", "string", "misbehaviours, joined by +, such as metadata-storm", "none"),
        NvsKey("wifi_ssid", "string", "network to join", "Wi-Fi is there, unnamed (virtual board only)"),
        NvsKey("wifi_password", "string", "its password", "an open network"),
        NvsKey("broker_host", "string", "MQTT broker, name or address", "no broker: the camera stays offline"),
        NvsKey("broker_port", "u16", "its port", "1883"),
        NvsKey("broker_user", "string", "MQTT user name", "no login"),
        NvsKey("broker_password", "string", "MQTT password", "no login"),
        NvsKey("wake_every_s", "u32", "wake interval until the server says another", "the firmware's own"),
        NvsKey("image_bytes", "u32", "size of each photo, met to the byte", "the firmware's own"),
        NvsKey("chunk_bytes", "u32", "size of a chunk before its encoding", "the firmware's own"),
        NvsKey("seed", "u32", "where a virtual board's chance comes from", "0"),
        NvsKey("name", "string", "the camera's name; with the seed, where its chance comes from", "the device id"),
        NvsKey("location", "string", "place in the photos' metadata", "none"),
        NvsKey("picture", "string", "`fast`, `photo` or `still`: how a virtual board's photos are made", "fast"),
        NvsKey("traits", "string", "JSON object of other traits of the profile (virtual board only)", "none"),
    )
}
"""Everything that may be provisioned, in the order of the documents."""

TEXT_BYTES_MAX: Final = 255
"""Longest text; NVS itself allows 4,000 bytes."""

NUMBER_MAX: Final = {"u8": 0xFF, "u16": 0xFFFF, "u32": 0xFFFF_FFFF}
"""Largest number of each encoding."""


def encodings() -> dict[str, str]:
    """Key to NVS encoding."""
    return {key.name: key.encoding for key in KEYS.values()}
