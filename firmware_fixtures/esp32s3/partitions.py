"""Partition tables and OTA data as ESP-IDF lays them out in flash."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

TABLE_OFFSET: Final = 0x8000
TABLE_BYTES: Final = 0xC00
SECTOR_BYTES: Final = 0x1000
OTA_DATA_BYTES: Final = 2 * SECTOR_BYTES
OTA_STATE_UNDEFINED: Final = 0xFFFFFFFF

TYPES: Final = {"app": 0, "data": 1}
SUBTYPES: Final = {
    "factory": 0x00,
    "ota_0": 0x10,
    "ota_1": 0x11,
    "ota": 0x00,
    "phy": 0x01,
    "nvs": 0x02,
    "coredump": 0x03,
    "nvs_keys": 0x04,
    "fat": 0x81,
    "spiffs": 0x82,
    "littlefs": 0x83,
}

_ENTRY: Final = struct.Struct("<2sBBII16sI")


@dataclass(frozen=True, slots=True)
class Partition:
    """One row of the table; offset and size in bytes, multiples of a sector (apps: offset of 64 KiB)."""

    name: str
    type: str
    subtype: str
    offset: int
    size_bytes: int


LAYOUT: Final = (
    Partition("nvs", "data", "nvs", 0x9000, 0x6000),
    Partition("otadata", "data", "ota", 0xF000, OTA_DATA_BYTES),
    Partition("phy_init", "data", "phy", 0x11000, 0x1000),
    Partition("ota_0", "app", "ota_0", 0x20000, 0x200000),
    Partition("ota_1", "app", "ota_1", 0x220000, 0x200000),
    Partition("storage", "data", "littlefs", 0x420000, 0x200000),
)
"""The camera's layout on 8 MB of flash."""


def partition_table(partitions: Iterable[Partition]) -> bytes:
    """The table's sector, closed by its MD5 and padded with FF."""
    rows = b"".join(
        _ENTRY.pack(
            b"\xaa\x50",
            TYPES[row.type],
            SUBTYPES[row.subtype],
            row.offset,
            row.size_bytes,
            row.name.encode().ljust(16, b"\0"),
            0,
        )
        for row in partitions
    )
    closed = rows + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(rows, usedforsecurity=False).digest()
    return closed.ljust(TABLE_BYTES, b"\xff")


def ota_data(sequence: int = 0) -> bytes:
    """OTA data that chooses slot (sequence - 1) modulo the number of slots; 0 is blank, which means the first slot."""
    if sequence == 0:
        return b"\xff" * OTA_DATA_BYTES
    number = struct.pack("<I", sequence)
    entry = struct.pack("<I20sII", sequence, b"\xff" * 20, OTA_STATE_UNDEFINED, zlib.crc32(number, 0xFFFFFFFF))
    written = entry.ljust(SECTOR_BYTES, b"\xff")
    blank = b"\xff" * SECTOR_BYTES
    return written + blank if sequence % 2 else blank + written
