"""The partition table at 0x8000 and the OTA data that choose which app starts. Pure.

Formats and words of each refusal: ESP-IDF, components/bootloader_support (flash_partitions.c, bootloader_utility.c).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Final

TABLE_OFFSET: Final = 0x8000
TABLE_BYTES: Final = 0xC00
_ENTRY: Final = struct.Struct("<HBBII16sI")
_MAGIC: Final = 0x50AA
_MAGIC_MD5: Final = 0xEBEB
_END: Final = 0xFFFF

APP: Final = 0
DATA: Final = 1
FACTORY: Final = 0x00
_OTA_FIRST: Final = 0x10
OTA_DATA: Final = 0x00
_OTA_BYTES_MIN: Final = 0x2000
NVS: Final = 0x02

_USAGES: Final = {
    (APP, FACTORY): "factory app",
    (APP, 0x20): "test app",
    (DATA, OTA_DATA): "OTA data",
    (DATA, 0x01): "RF data",
    (DATA, NVS): "WiFi data",
    (DATA, 0x04): "NVS keys",
    (DATA, 0x05): "efuse",
}


class BadTable(Exception):
    """A table that the bootloader refuses, in its words."""


class BadOtaPartition(Exception):
    """OTA data that the bootloader can't even look at, in its words."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One row."""

    label: str
    type: int
    subtype: int
    offset: int
    size_bytes: int

    @property
    def usage(self) -> str:
        """As the bootloader lists it."""
        if self.is_ota_app:
            return "OTA app"
        return _USAGES.get((self.type, self.subtype), "Unknown app" if self.type == APP else "Unknown data")

    @property
    def is_ota_app(self) -> bool:
        return self.type == APP and self.subtype & 0xF0 == _OTA_FIRST

    @property
    def slot(self) -> int:
        """Number of an OTA slot."""
        return self.subtype & 0x0F


def read_table(flash: bytes | memoryview) -> tuple[Partition, ...]:
    """The partitions; raises BadTable."""
    table = bytes(flash[TABLE_OFFSET : TABLE_OFFSET + TABLE_BYTES])
    found: list[Partition] = []
    has_md5 = False
    for number, start in enumerate(range(0, TABLE_BYTES, _ENTRY.size)):
        magic, kind, subtype, offset, size_bytes, label, _ = _ENTRY.unpack_from(table, start)
        if magic == _MAGIC:
            if offset + size_bytes > len(flash):
                raise BadTable(
                    f"partition {number} invalid - offset 0x{offset:x} size 0x{size_bytes:x} "
                    f"exceeds flash chip size 0x{len(flash):x}"
                )
            name = label.split(b"\0", 1)[0].decode("utf-8", "replace")
            found.append(Partition(name, kind, subtype, offset, size_bytes))
        elif magic == _MAGIC_MD5:
            if has_md5:
                raise BadTable("Only one MD5 checksum is allowed")
            if hashlib.md5(table[:start], usedforsecurity=False).digest() != table[start + 16 : start + 32]:
                raise BadTable("Incorrect MD5 checksum")
            has_md5 = True
        elif magic == _END and (kind, subtype) == (0xFF, 0xFF) and found:
            return tuple(found)
        else:
            raise BadTable(f"partition {number} invalid magic number 0x{magic:x}")
    raise BadTable("partition table has no terminating entry, not valid")


@dataclass(frozen=True, slots=True)
class Selection:
    """The slot to try first (-1: factory), what the bootloader says about it, and whether OTA data is still empty."""

    index: int
    level: str = "I"
    remark: str = ""
    is_initial: bool = False


def select_slot(flash: bytes | memoryview, partitions: tuple[Partition, ...]) -> Selection:
    """Which app the OTA data choose; raises BadOtaPartition."""
    slots = sum(1 for partition in partitions if partition.is_ota_app)
    has_factory = any((p.type, p.subtype) == (APP, FACTORY) for p in partitions)
    data = next((p for p in partitions if (p.type, p.subtype) == (DATA, OTA_DATA)), None)
    if data is None:
        return Selection(-1)
    if data.size_bytes < _OTA_BYTES_MIN:
        text = f"ota_info partition size {data.size_bytes} is too small (minimum {_OTA_BYTES_MIN} bytes)"
        raise BadOtaPartition(text)
    entries = [bytes(flash[data.offset + 0x1000 * copy :][:32]) for copy in range(2)]
    numbers = [struct.unpack_from("<I", entry)[0] for entry in entries]
    is_empty = [number == 0xFFFF_FFFF or _is_rejected(entry) for number, entry in zip(numbers, entries, strict=True)]
    if all(is_empty) or not slots:
        if has_factory:
            return Selection(-1, "I", "Defaulting to factory image")
        return Selection(0, "I", "No factory image, trying OTA 0", is_initial=True)
    valid = [
        number
        for number, entry, empty in zip(numbers, entries, is_empty, strict=True)
        if not empty and _ota_crc(number) == struct.unpack_from("<I", entry, 28)[0]
    ]
    if valid:
        return Selection((max(valid) - 1) % slots)
    if has_factory:
        return Selection(-1, "E", "ota data partition invalid, falling back to factory")
    return Selection(-1, "E", "ota data partition invalid and no factory, will try all partitions")


def ota_entry(number: int) -> bytes:
    """An OTA data entry that names a slot by its sequence number, marked as valid."""
    return struct.pack("<I20sII", number, b"\xff" * 20, 2, _ota_crc(number))


def _is_rejected(entry: bytes) -> bool:
    """The app was marked invalid (3) or aborted (4)."""
    return struct.unpack_from("<I", entry, 24)[0] in (3, 4)


def _ota_crc(number: int) -> int:
    """The ROM's CRC starts from the complement of its argument, as zlib's does."""
    return zlib.crc32(struct.pack("<I", number), 0xFFFF_FFFF)
