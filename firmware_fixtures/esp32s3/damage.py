"""Breaks a built set in one way each: what ROM, bootloader, esptool or firmware must refuse."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping
from typing import Final
from zlib import crc32

from firmware_fixtures.esp32s3.build import FirmwareSet
from firmware_fixtures.esp32s3.nvs import PAGE_BYTES, PARTITION_BYTES, Value, nvs_image

DIGEST_BYTES: Final = 32
CHIP_ID_AT: Final = 12
CHIP_ID_ESP32: Final = 0
ENTRIES_PER_PAGE: Final = 126
ENTRY_WRITTEN: Final = 0b10
PAGE_ACTIVE: Final = b"\xfe\xff\xff\xff"
PAGE_FULL: Final = b"\xfc\xff\xff\xff"


def bad_checksum(firmware: FirmwareSet) -> None:
    """The app's checksum byte is wrong, and its SHA-256 is right about that."""
    image = bytearray(firmware.app.read_bytes())
    image[-DIGEST_BYTES - 1] ^= 0x5A
    firmware.app.write_bytes(_digested(image))


def bad_hash(firmware: FirmwareSet) -> None:
    """The app's appended SHA-256 is not that of the image."""
    image = bytearray(firmware.app.read_bytes())
    image[-1] ^= 0xFF
    firmware.app.write_bytes(image)


def bad_bootloader(firmware: FirmwareSet) -> None:
    """The bootloader's appended SHA-256 is not that of the image."""
    image = bytearray(firmware.bootloader.read_bytes())
    image[-1] ^= 0xFF
    firmware.bootloader.write_bytes(image)


def bad_table(firmware: FirmwareSet) -> None:
    """An entry of the partition table does not fit the table's MD5."""
    table = bytearray(firmware.table.read_bytes())
    table[8] ^= 0x10
    firmware.table.write_bytes(table)


def no_table(firmware: FirmwareSet) -> None:
    """Where the partition table should be, flash is erased."""
    firmware.table.write_bytes(b"\xff" * firmware.table.stat().st_size)


def blank(firmware: FirmwareSet) -> None:
    """Bootloader, table and app are erased flash."""
    for path in (firmware.bootloader, firmware.table, firmware.app):
        path.write_bytes(b"\xff" * path.stat().st_size)


def wrong_chip(firmware: FirmwareSet) -> None:
    """The app says that it is for an ESP32; all else of it is valid."""
    image = bytearray(firmware.app.read_bytes())
    struct.pack_into("<H", image, CHIP_ID_AT, CHIP_ID_ESP32)
    firmware.app.write_bytes(_digested(image))


def truncated(firmware: FirmwareSet) -> None:
    """The app ends after half of its bytes, as after a copy that was cut off."""
    image = firmware.app.read_bytes()
    firmware.app.write_bytes(image[: len(image) // 2])


DAMAGES: Final[Mapping[str, Callable[[FirmwareSet], None]]] = {
    "bad-checksum": bad_checksum,
    "bad-hash": bad_hash,
    "bad-bootloader": bad_bootloader,
    "bad-table": bad_table,
    "no-table": no_table,
    "blank": blank,
    "wrong-chip": wrong_chip,
    "truncated": truncated,
}
"""What can be wrong with a set, by name. A full NVS belongs to a device: `full_nvs`."""


def full_nvs(values: Mapping[str, Value], *, size_bytes: int = PARTITION_BYTES) -> bytes:
    """A valid NVS with these values and no room for a single one more, as a log without end leaves it."""
    pages = size_bytes // PAGE_BYTES - 1  # one stays free for the firmware's clean-up
    room = pages * ENTRIES_PER_PAGE - _entries_used(nvs_image(values, size_bytes=size_bytes))
    return nvs_image({**values, **{f"log{number}": number for number in range(room)}}, size_bytes=size_bytes)


def nvs_without_a_free_page(values: Mapping[str, Value], *, size_bytes: int = PARTITION_BYTES) -> bytes:
    """A full NVS whose spare page is in use, too, as a clean-up that lost its power leaves it: ESP-IDF refuses it."""
    full = full_nvs(values, size_bytes=size_bytes)
    first = bytearray(full[:PAGE_BYTES])
    first[4:8] = (size_bytes // PAGE_BYTES - 1).to_bytes(4, "little")  # its sequence number
    first[28:32] = crc32(bytes(first[4:28]), 0xFFFF_FFFF).to_bytes(4, "little")
    return full[:-PAGE_BYTES] + bytes(first)


def _entries_used(image: bytes) -> int:
    """Entries written, with all of a page that is full: what fits no more before a long value stays free for good."""
    used = 0
    for start in range(0, len(image), PAGE_BYTES):
        page = image[start : start + PAGE_BYTES]
        if page[:4] == PAGE_FULL:
            used += ENTRIES_PER_PAGE
        elif page[:4] == PAGE_ACTIVE:
            states = int.from_bytes(page[32:64], "little")
            used += sum(states >> 2 * entry & 0b11 == ENTRY_WRITTEN for entry in range(ENTRIES_PER_PAGE))
    return used


def _digested(image: bytearray) -> bytes:
    """The image with its appended SHA-256 made anew."""
    body = bytes(image[:-DIGEST_BYTES])
    return body + hashlib.sha256(body).digest()
