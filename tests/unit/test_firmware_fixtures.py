"""The ESP32-S3 images that the project builds, judged by readers it did not write."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
from elftools.elf.elffile import ELFFile
from esp_idf_defs.image_metadata import ChipId, ImageMetadata
from esp_idf_defs.otadata import OtaDataSelectEntry
from esp_idf_defs.partitions import PartitionTable

from firmware_fixtures.esp32s3.build import WITH_RESUME, WITHOUT_RESUME, FirmwareSet, Order, build
from firmware_fixtures.esp32s3.damage import DAMAGES, full_nvs
from firmware_fixtures.esp32s3.nvs import NvsRefused, nvs_image
from firmware_fixtures.esp32s3.partitions import LAYOUT, ota_data
from simulator.provisioning import KEYS, NAMESPACE
from tests.support.nvs_pages import entries

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "boards.md"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> FirmwareSet:
    return build(Order(assets_bytes=40_000), tmp_path_factory.mktemp("firmware") / "build")


def image_info(image: Path) -> str:
    command = [sys.executable, "-m", "esptool", "--chip", "esp32s3", "image-info", str(image)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_esptool_finds_the_app_valid_and_reads_its_description(built: FirmwareSet) -> None:
    said = image_info(built.app)
    assert "(valid)" in said and "invalid" not in said
    assert f"App version: {WITH_RESUME}" in said
    assert "Project name: esp32s3-cam" in said
    assert f"ELF file SHA256: {hashlib.sha256(built.elf.read_bytes()).hexdigest()}" in said
    assert built.app.stat().st_size > 40_000


def test_a_folder_may_be_named_from_where_one_stands(
    built: FirmwareSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert build(built.order, Path("build")).app.read_bytes() == built.app.read_bytes()


def test_espressifs_definitions_read_the_images(built: FirmwareSet) -> None:
    app = ImageMetadata.from_bytes(built.app.read_bytes(), app_required=True)
    bootloader = ImageMetadata.from_bytes(built.bootloader.read_bytes())
    assert app.header.chip_id == bootloader.header.chip_id == ChipId.ESP32S3
    assert app.app_description is not None
    assert app.app_description.version == WITH_RESUME
    assert app.app_description.elf_sha256.hex() == built.elf_sha256


def test_the_partition_table_round_trips(built: FirmwareSet) -> None:
    table = PartitionTable.from_binary(built.table.read_bytes())
    table.verify()
    assert [(row.name, row.offset, row.size) for row in table] == [
        (row.name, row.offset, row.size_bytes) for row in LAYOUT
    ]
    assert table.to_binary()[: len(built.table.read_bytes())] == built.table.read_bytes()


@pytest.mark.parametrize(("sequence", "slot"), [(1, 0), (2, 1), (3, 0)])
def test_ota_data_chooses_the_slot(sequence: int, slot: int) -> None:
    data = ota_data(sequence)
    first, second = (OtaDataSelectEntry.from_bytes(data[at : at + 32]) for at in (0, 0x1000))
    chosen, _ = OtaDataSelectEntry.select(first, second)
    assert chosen is not None and chosen.ota_slot(2) == slot
    written = data[:32] if sequence % 2 else data[0x1000:0x1020]
    assert chosen.to_bytes()[28:] == written[28:]  # the CRC
    assert set(ota_data()) == {0xFF}


def test_flasher_args_name_files_that_are_there(built: FirmwareSet) -> None:
    arguments = json.loads((built.folder / "flasher_args.json").read_text())
    assert list(arguments["flash_files"]) == ["0x0", "0x8000", "0xf000", "0x20000"]
    assert all((built.folder / file).is_file() for file in arguments["flash_files"].values())
    options, *lines = (built.folder / "flash_args").read_text().splitlines()  # what esptool and others take as @file
    assert options.split() == arguments["write_flash_args"]
    assert dict(line.split() for line in lines) == arguments["flash_files"]


def test_two_versions_differ_and_the_same_version_is_the_same(tmp_path: Path) -> None:
    first, again, other = (
        build(Order(version=version), tmp_path / name)
        for name, version in (("a", WITH_RESUME), ("b", WITH_RESUME), ("c", WITHOUT_RESUME))
    )
    assert first.app.read_bytes() == again.app.read_bytes()
    assert first.elf_sha256 == again.elf_sha256 != other.elf_sha256
    assert f"App version: {WITHOUT_RESUME}" in image_info(other.app)


def test_the_table_of_backtraces_points_into_the_named_functions(built: FirmwareSet) -> None:
    image = built.app.read_bytes()
    start = image.index(b"WSTRACE\0")
    count, depth_max = struct.unpack_from("<II", image, start + 8)
    with built.elf.open("rb") as file:
        elf = ELFFile(file)
        functions = [
            (symbol["st_value"], symbol["st_value"] + symbol["st_size"], symbol.name)
            for symbol in elf.get_section_by_name(".symtab").iter_symbols()
            if symbol["st_info"]["type"] == "STT_FUNC"
        ]
        assert elf.has_dwarf_info()
    chains = {}
    for entry in range(count):
        reason, depth, *addresses = struct.unpack_from(f"<12sI{depth_max}I", image, start + 16 + entry * 40)
        names = [[name for low, high, name in functions if low <= address < high] for address in addresses[:depth]]
        chains[reason.rstrip(b"\0").decode()] = [name for (name,) in names]
    assert chains == {
        "panic": ["camera_capture", "wake_cycle", "app_main", "call_start_cpu0"],
        "watchdog": ["ack_wait", "wake_cycle", "app_main", "call_start_cpu0"],
        "abort": ["radio_send", "chunk_send", "image_upload", "camera_capture", "wake_cycle", "app_main"],
    }


@pytest.mark.parametrize("kind", DAMAGES)
def test_each_damage_is_the_one_it_claims(built: FirmwareSet, tmp_path: Path, kind: str) -> None:
    broken = FirmwareSet(copytree(built.folder, tmp_path / "broken"), built.order, built.elf_sha256)
    DAMAGES[kind](broken)
    changed = {
        path.relative_to(broken.folder).as_posix()
        for path in broken.folder.rglob("*")
        if path.is_file() and path.read_bytes() != (built.folder / path.relative_to(broken.folder)).read_bytes()
    }
    assert changed == EXPECTED_CHANGES[kind]


APP = "esp32s3-cam.bin"
BOOTLOADER = "bootloader/bootloader.bin"
TABLE = "partition_table/partition-table.bin"
EXPECTED_CHANGES = {
    "bad-checksum": {APP},
    "bad-hash": {APP},
    "bad-bootloader": {BOOTLOADER},
    "bad-table": {TABLE},
    "no-table": {TABLE},
    "blank": {APP, BOOTLOADER, TABLE},
    "wrong-chip": {APP},
    "truncated": {APP},
}


@pytest.mark.parametrize(
    ("kind", "esptool_says", "espressif_says"),
    [
        ("bad-checksum", "(invalid - calculated 0x", "Checksum mismatch"),
        ("bad-hash", "(invalid)", "SHA-256 hash mismatch"),
        ("wrong-chip", "Chip ID: 0 (ESP32)", None),
        ("truncated", "A fatal error occurred", "out of range"),
    ],
)
def test_others_name_the_damage(
    built: FirmwareSet, tmp_path: Path, kind: str, esptool_says: str, espressif_says: str | None
) -> None:
    broken = FirmwareSet(copytree(built.folder, tmp_path / kind), built.order, built.elf_sha256)
    DAMAGES[kind](broken)
    command = [sys.executable, "-m", "esptool", "--chip", "esp32s3", "image-info", str(broken.app)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert esptool_says in ended.stdout + ended.stderr
    if espressif_says is None:
        ImageMetadata.from_bytes(broken.app.read_bytes())
    else:
        with pytest.raises(Exception, match=espressif_says):
            ImageMetadata.from_bytes(broken.app.read_bytes())


def test_a_broken_table_is_refused(built: FirmwareSet, tmp_path: Path) -> None:
    broken = FirmwareSet(copytree(built.folder, tmp_path / "broken"), built.order, built.elf_sha256)
    DAMAGES["bad-table"](broken)
    with pytest.raises(Exception, match="MD5"):
        PartitionTable.from_binary(broken.table.read_bytes())


def test_nvs_holds_what_it_was_given() -> None:
    image = nvs_image(
        {"device_id": "B8F862000001", "broker_port": 1883, "wake_every_s": 10_800},
        types={"broker_port": "u16"},
    )
    assert len(image) == 0x6000
    assert entries(image) == {
        ("wakestorm", "device_id"): "B8F862000001",
        ("wakestorm", "broker_port"): 1883,
        ("wakestorm", "wake_every_s"): 10_800,
    }


@pytest.mark.parametrize(
    ("values", "size_bytes", "reason"),
    [
        ({"a_key_of_16_chars": "x"}, 0x6000, "has 17 characters"),
        ({f"key{number}": number for number in range(700)}, 0x6000, "do not fit into 24576 bytes"),
        ({"long": "x" * 5000}, 0x6000, "exceeds max allowed length"),
        ({"x": 1}, 0x1000, "at least 3 whole pages"),
    ],
)
def test_nvs_says_why_it_can_not(values: dict[str, str | int], size_bytes: int, reason: str) -> None:
    with pytest.raises(NvsRefused, match=reason):
        nvs_image(values, size_bytes=size_bytes)


def test_a_full_nvs_has_room_for_nothing_more() -> None:
    values = {"device_id": "B8F862000001", "broker_host": "127.0.0.1"}
    image = full_nvs(values)
    found = entries(image)
    assert found[("wakestorm", "device_id")] == "B8F862000001"
    filler = {key: value for (_, key), value in found.items() if key.startswith("log")}
    with pytest.raises(NvsRefused, match="do not fit"):
        nvs_image({**values, **filler, "one_more": 1})  # type: ignore[dict-item]


def test_the_document_lists_the_keys_as_they_are() -> None:
    rows = [f"| `{key.name}` | {key.encoding} | {key.meaning} | {key.without} |" for key in KEYS.values()]
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    start = lines.index(rows[0])
    assert lines[start : start + len(rows)] == rows
    assert lines[start + len(rows)] == ""
    assert all(len(name) <= 15 for name in (*KEYS, NAMESPACE))
