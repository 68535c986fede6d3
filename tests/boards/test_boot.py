"""What starts and what doesn't, by the words that a real chip has for it. Every image here is packed by hand."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest

from simulator.board.board import Mode
from simulator.board.boot import boot
from simulator.board.partition import ota_entry
from simulator.board.resets import ChipReset
from tests.support.board_client import CHIP, board_with
from tests.support.board_images import (
    ELF_SHA256,
    OTA_0,
    OTA_1,
    SLOT_BYTES,
    TWO_SLOTS,
    app,
    bootloader,
    flash_of,
    flashed,
    table,
)

FACTORY = (("factory", 0, 0, OTA_0, SLOT_BYTES),)
FACTORY_AND_SLOT = (*FACTORY, ("otadata", 1, 0, 0xF000, 0x2000), ("ota_0", 0, 0x10, OTA_1, SLOT_BYTES))


def start(parts: Mapping[int, bytes], reset: ChipReset = ChipReset.POWERON) -> tuple[str, str | None]:
    """(boot log, label of the partition that runs)."""
    started = boot(bytes(flash_of(parts)), CHIP, reset)
    return started.text.decode(), None if started.app is None else started.app.partition.label


def changed(data: bytes, place: int) -> bytes:
    """One bit flipped."""
    raw = bytearray(data)
    raw[place] ^= 1
    return bytes(raw)


def test_a_whole_boot_log() -> None:
    text, label = start(flashed())
    assert label == "ota_0"
    for line in (
        "ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\nrst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)\r\n",
        "\r\nload:0x3fce2820,len:0x100\r\n",
        "\r\nentry 0x403c8908\r\nI (24) boot: ESP-IDF v5.4.1 2nd stage bootloader\r\n",
        " boot:  2 ota_0            OTA app          00 10 00020000 00040000\r\n",
        " esp_image: segment 0: paddr=00020020 vaddr=3c000020 size=00200h (   512) map\r\n",
        " boot: Loaded app from partition at offset 0x20000\r\n",
        f" app_init: ELF file SHA256:  {ELF_SHA256[:9]}...\r\n",
    ):
        assert line in text
    assert text.endswith(" main_task: Calling app_main()\r\n")


APP = app()
REFUSALS = {
    "blank": ({}, ["invalid header: 0xffffffff\r\n" * 8]),
    "bootloader checksum": ({**flashed(), 0: changed(bootloader(), 0x40)}, ["csum err:0x"]),
    "no table": ({**flashed(), 0x8000: b"\xff" * 0xC00}, ["flash_parts: partition 0 invalid magic number 0xffff"]),
    "table without end": (
        {**flashed(), 0x8000: table(TWO_SLOTS)[:0x80] + b"\0" * 32},
        ["flash_parts: partition 4 invalid magic number 0x0", "boot: Failed to verify partition table"],
    ),
    "table digest": (
        {**flashed(), 0x8000: changed(table(TWO_SLOTS), 0x0C)},
        ["flash_parts: Incorrect MD5 checksum", "boot: load partition table error!"],
    ),
    "table beyond the flash": (
        {**flashed(), 0x8000: table([("big", 0, 0, 0x10000, 0x100000)])},
        ["flash_parts: partition 0 invalid - offset 0x10000 size 0x100000 exceeds flash chip size 0x100000"],
    ),
    "app checksum": (
        {**flashed(), OTA_0: changed(APP, 0x60)},
        ["esp_image: Checksum failed. Calculated 0x", "boot: OTA app partition slot 0 is not bootable"],
    ),
    "app hash": (
        {**flashed(), OTA_0: changed(APP, len(APP) - 1)},
        ["esp_image: Image hash failed - image is corrupt", "boot: No bootable app partitions in the partition table"],
    ),
    "another chip": ({**flashed(), OTA_0: app(chip=0)}, ["boot_comm: mismatch chip ID, expected 9, found 0"]),
    "cut off": ({**flashed(), OTA_0: APP[:0x8000]}, ["esp_image: invalid segment length 0xffffffff"]),
    "no app": (
        {**flashed(), OTA_0: b""},
        ["esp_image: image at 0x20000 has invalid magic byte (nothing flashed here?)"],
    ),
    "app larger than its slot": (
        {**flashed(), OTA_0: app(size=SLOT_BYTES)},
        [f"doesn't fit in partition length {SLOT_BYTES}"],
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str) -> None:
    parts, lines = REFUSALS[case]
    text, label = start(parts)
    assert label is None
    for line in lines:
        assert line in text


def test_a_bootloader_with_a_wrong_hash_is_tried_anyway() -> None:
    stage = bootloader()
    text, label = start({**flashed(), 0: changed(stage, len(stage) - 1)})
    assert "SHA-256 comparison failed:\r\nCalculated: " in text and "Attempting to boot anyway...\r\n" in text
    assert label == "ota_0"


def otadata(*numbers: int) -> bytes:
    return b"".join(ota_entry(number).ljust(0x1000, b"\xff") for number in numbers)


@pytest.mark.parametrize(
    ("rows", "ota_data", "broken", "expected"),
    [
        (TWO_SLOTS, b"", (), "ota_0"),
        (TWO_SLOTS, otadata(1, 2), (), "ota_1"),
        (TWO_SLOTS, otadata(3, 2), (), "ota_0"),
        (TWO_SLOTS, otadata(2) + b"\xff", (), "ota_1"),
        (TWO_SLOTS, changed(otadata(2), 0x1C) + otadata(1), (), "ota_0"),
        (TWO_SLOTS, otadata(1, 2), (OTA_1,), "ota_0"),
        (TWO_SLOTS, otadata(1), (OTA_0,), "ota_1"),
        (FACTORY, b"", (), "factory"),
        (FACTORY_AND_SLOT, b"", (), "factory"),
        (FACTORY_AND_SLOT, otadata(1), (), "ota_0"),
        (FACTORY_AND_SLOT, otadata(1), (OTA_1,), "factory"),
        (FACTORY_AND_SLOT, b"", (OTA_0,), "ota_0"),
    ],
)
def test_which_app_starts(
    rows: tuple[tuple[str, int, int, int, int], ...], ota_data: bytes, broken: tuple[int, ...], expected: str
) -> None:
    """OTA data choose; what doesn't verify is passed over, first downwards, then upwards."""
    parts = flashed(table=table(rows), app_1=app(offset=OTA_1), ota_data=ota_data)
    for offset in broken:
        parts[offset] = changed(parts[offset], 0x60)
    assert start(parts)[1] == expected


def test_the_first_boot_without_factory_app_writes_ota_data() -> None:
    board, text = board_with(flash_of(flashed()))
    assert "Set actual ota_seq=1 in otadata[0]" in text
    assert board.flash.read(0xF000, 32) == ota_entry(1)
    assert struct.unpack("<I", board.flash.read(0xF000, 4)) == (1,)
    assert "Set actual" not in board.reset(0).decode()


def test_what_does_not_start_starts_again_and_again() -> None:
    board, text = board_with()
    assert "rst:0x1 (POWERON)" in text and board.mode is Mode.FAILED
    for _ in range(2):
        assert board.deadline_ms is not None
        again = board.tick(board.deadline_ms).decode()
        assert "rst:0x7 (TG0WDT_SYS_RST)" in again and "Saved PC:0x" in again


@pytest.mark.parametrize("reset", ChipReset)
def test_every_reset_is_named(reset: ChipReset) -> None:
    text, label = start(flashed(), reset)
    assert f"rst:0x{reset.number:x} ({reset.text}),boot:0x8" in text and label == "ota_0"


def test_ota_data_without_room_for_two_copies() -> None:
    rows = (("otadata", 1, 0, 0xF000, 0x1000), ("ota_0", 0, 0x10, OTA_0, 0x4_0000))
    board, text = board_with(flash_of(flashed(table=table(rows))))
    assert "boot: ota_info partition size 4096 is too small (minimum 8192 bytes)" in text
    assert "Loaded app" not in text and "rst:0x3 (RTC_SW_SYS_RST)" in board.tick(60_000).decode()
