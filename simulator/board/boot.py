"""From reset to app_main: reads what was really flashed, and refuses what silicon refuses. Pure.

ROM: loads the second stage from 0x0; a wrong checksum stops it, a wrong hash it only tells. Second stage: partition
table with MD5, OTA data, app images with checksum and hash; from the chosen slot down to the factory app, then up.
What can't start ends in a reset, again and again, as on a board.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from simulator.board import boot_log
from simulator.board.boot_log import BootLog
from simulator.board.efuse import ChipIdentity
from simulator.board.image import AppDescription, BadImage, Cells, Image, appended_hash, read_description, read_image
from simulator.board.partition import (
    APP,
    DATA,
    FACTORY,
    NVS,
    OTA_DATA,
    TABLE_OFFSET,
    BadOtaPartition,
    BadTable,
    Partition,
    Selection,
    ota_entry,
    read_table,
    select_slot,
)
from simulator.board.resets import ChipReset

_INVALID_HEADER_LINES: Final = 8
_BOOTLOADER_MAGIC: Final = 80
_IDF_OF_OLD_BOOTLOADERS: Final = "v5.4.1"
"""Bootloaders without a description don't say which ESP-IDF made them in a place that can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootedApp:
    """The app that runs, and the partitions it finds. `description` is None for an image that carries none."""

    partition: Partition
    image: Image
    description: AppDescription | None
    partitions: tuple[Partition, ...]

    def data_partition(self, subtype: int) -> Partition | None:
        """The first data partition of that subtype."""
        return next((p for p in self.partitions if (p.type, p.subtype) == (DATA, subtype)), None)

    @property
    def nvs(self) -> Partition | None:
        return self.data_partition(NVS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What came of a start. Without an app the chip resets again (`restart`); `ms` is the log's time at the end.

    `ota_data` is what the second stage writes there: (offset, entry).
    """

    text: bytes
    ms: int
    app: BootedApp | None = None
    restart: ChipReset | None = None
    ota_data: tuple[int, bytes] | None = None


def boot(flash: Cells, chip: ChipIdentity, reset: ChipReset, *, saved_pc: int | None = None) -> Boot:
    """Start from what lies in flash."""
    log = BootLog()
    log.raw(*boot_log.banner(reset, download=False, saved_pc=saved_pc))
    stage = _rom(log, flash, chip)
    if stage is None:
        return Boot(text=log.text, ms=log.ms, restart=ChipReset.WATCHDOG_GROUP_0)
    boot_log.second_stage(log, stage, chip, _idf_version(flash, stage))
    try:
        partitions = read_table(flash)
    except BadTable as error:
        log.log("flash_parts", str(error), "E")
        log.log("boot", "Failed to verify partition table", "E")
        log.log("boot", "load partition table error!", "E")
        return Boot(text=log.text, ms=log.ms, restart=ChipReset.SOFTWARE_SYSTEM)
    boot_log.partition_list(log, partitions)
    try:
        selection = select_slot(flash, partitions)
    except BadOtaPartition as error:
        log.log("boot", str(error), "E")
        return Boot(text=log.text, ms=log.ms, restart=ChipReset.SOFTWARE_SYSTEM)
    if selection.remark:
        log.log("boot", selection.remark, "E" if selection.level == "E" else "I")
    return _second_stage(log, flash, chip, partitions, selection)


def _revision(chip: ChipIdentity) -> int:
    return chip.revision[0] * 100 + chip.revision[1]


def _rom(log: BootLog, flash: Cells, chip: ChipIdentity) -> Image | None:
    """The ROM loads the second stage; None where it can't."""
    (first_word,) = struct.unpack_from("<I", flash)
    if flash[0] != 0xE9:
        log.raw(*[f"invalid header: 0x{first_word:08x}"] * _INVALID_HEADER_LINES, "ets_main.c 329 ")
        return None
    try:
        image = read_image(flash, 0, TABLE_OFFSET, revision=_revision(chip), checks_hash=False)
    except BadImage as error:
        text = str(error)
        if text.startswith("Checksum failed"):
            calculated, stored = text.split()[3], text.split()[5]
            text = f"csum err:{calculated}!={stored}"
        log.raw("SPIWP:0xee", text, "ets_main.c 329 ")
        return None
    log.raw(*boot_log.rom_loads(image))
    if flash[23] == 1:
        calculated_hash, stored_hash = appended_hash(flash, 0, image.length - 32)
        if calculated_hash != stored_hash:
            log.raw(
                "SHA-256 comparison failed:",
                f"Calculated: {calculated_hash.hex()}",
                f"Expected: {stored_hash.hex()}",
                "Attempting to boot anyway...",
            )
    log.raw(f"entry 0x{image.entry:08x}")
    return image


def _idf_version(flash: Cells, stage: Image) -> str:
    """From the bootloader's description (`esp_bootloader_desc_t`), in one of its segments where there is one."""
    for segment in stage.segments:
        head = bytes(flash[segment.data_offset : segment.data_offset + 40])
        if len(head) == 40 and head[0] == _BOOTLOADER_MAGIC and head[8:9] == b"v":
            return head[8:40].split(b"\0", 1)[0].decode("ascii", "replace")
    return _IDF_OF_OLD_BOOTLOADERS


def _second_stage(
    log: BootLog, flash: Cells, chip: ChipIdentity, partitions: tuple[Partition, ...], selection: Selection
) -> Boot:
    """Try the chosen slot, then the ones before it down to the factory app, then the ones after it."""
    slots = {p.slot: p for p in partitions if p.is_ota_app}
    factory = next((p for p in partitions if (p.type, p.subtype) == (APP, FACTORY)), None)
    order = [*range(selection.index, -2, -1), *range(selection.index + 1, len(slots))]
    for index in order:
        partition = factory if index == -1 else slots.get(index)
        if partition is None:
            continue
        image = _try(log, flash, chip, partition)
        if image is not None:
            ota_data = _first_ota_entry(log, partitions, index) if selection.is_initial else None
            log.log("boot", "Disabling RNG early entropy source...")
            description = read_description(flash, image)
            boot_log.app_start(log, image, description, chip, len(flash))
            app = BootedApp(partition=partition, image=image, description=description, partitions=partitions)
            return Boot(text=log.text, ms=log.ms, app=app, ota_data=ota_data)
        name = "Factory app partition" if index == -1 else f"OTA app partition slot {index}"
        log.log("boot", f"{name} is not bootable", "E")
    log.log("boot", "No bootable app partitions in the partition table", "E")
    return Boot(text=log.text, ms=log.ms, restart=ChipReset.SOFTWARE_SYSTEM)


def _try(log: BootLog, flash: Cells, chip: ChipIdentity, partition: Partition) -> Image | None:
    try:
        image = read_image(flash, partition.offset, partition.size_bytes, revision=_revision(chip))
    except BadImage as error:
        for tag, text in error.lines:
            log.log(tag, text, "E")
        return None
    boot_log.segment_list(log, image)
    log.log("boot", f"Loaded app from partition at offset 0x{partition.offset:x}")
    return image


def _first_ota_entry(log: BootLog, partitions: tuple[Partition, ...], index: int) -> tuple[int, bytes] | None:
    """With OTA data still empty and no factory app, the second stage notes which slot it took."""
    data = next((p for p in partitions if (p.type, p.subtype) == (DATA, OTA_DATA)), None)
    if data is None or index < 0:
        return None
    log.log("boot", f"Set actual ota_seq={index + 1} in otadata[0]")
    return data.offset, ota_entry(index + 1)
