"""What will be written and why; the folder it comes from; how worn a flash is."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import pytest

from firmware_fixtures.esp32s3.build import FirmwareSet, Order, build
from firmware_fixtures.esp32s3.damage import DAMAGES
from harness.dut.build_folder import Region, read_build_folder
from harness.dut.flash_plan import Action, plan_lines, plan_of, to_write
from harness.dut.wear_ledger import WearLedger, ledger_folder, provisioned_before, record_provisioned
from harness.errors import UsageError

BOOT = Region("bootloader", 0x0, b"\xe9" * 100)
APP = Region("app", 0x20000, b"\xe9" * 5_000, flaw="Image hash failed")
NVS = Region("nvs", 0x9000, b"\xff" * 0x6000)


def test_a_plan_says_why() -> None:
    plan = plan_of([BOOT, NVS, APP], {"bootloader": True, "nvs": False, "app": False}, kept={"nvs": "memory"})
    assert [(planned.region.name, planned.action.value) for planned in plan] == [
        ("bootloader", "keep"),
        ("nvs", "keep"),
        ("app", "write"),
    ]
    assert to_write(plan) == (APP,)
    lines = plan_lines(plan)
    assert "  MD5 is the file's" in lines[0] and "memory" in lines[1]
    assert "is not the file's" in lines[2] and lines[2].endswith("; BROKEN: Image hash failed")


def test_force_writes_all_and_unknown_is_written() -> None:
    assert {planned.action for planned in plan_of([BOOT, NVS], {"bootloader": True}, force=True)} == {Action.WRITE}
    (planned,) = plan_of([BOOT], {}, worn={"bootloader": 3})
    assert planned.action is Action.WRITE and "; 3 writes" in plan_lines([planned])[0]


def test_the_ledger_counts_sectors_not_names(tmp_path: Path) -> None:
    ledger = WearLedger(tmp_path, "7C:DF:A1:E0:B0:C5")
    assert ledger.writes(APP) == 0
    assert ledger.add([BOOT, APP]) == {"bootloader": 1, "app": 1}
    other = Region("second", 0x21000, b"x" * 4096)
    assert ledger.add([other]) == {"second": 2}
    assert WearLedger(tmp_path, "7CDFA1E0B0C5").writes(APP) == 2
    assert WearLedger(tmp_path, "000000000000").writes(APP) == 0
    ledger.path.write_text("not json")
    assert ledger.writes(APP) == 0


def test_the_ledger_has_a_place(tmp_path: Path) -> None:
    assert ledger_folder({"WAKESTORM_STATE": "/s"}) == Path("/s")
    assert ledger_folder({"XDG_STATE_HOME": "/x"}) == Path("/x/wakestorm/wear")
    assert ledger_folder({"HOME": "/h"}) == Path("/h/.local/state/wakestorm/wear")
    assert provisioned_before(tmp_path, "yard-1") is None
    record_provisioned(tmp_path, "yard-1", "abc")
    assert provisioned_before(tmp_path, "yard-1") == "abc"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> FirmwareSet:
    return build(Order(), tmp_path_factory.mktemp("firmware") / "build")


def test_a_build_folder_is_read(built: FirmwareSet) -> None:
    folder = read_build_folder(built.folder)
    assert [(region.name, region.offset) for region in folder.regions] == [
        ("bootloader", 0x0),
        ("partition-table", 0x8000),
        ("otadata", 0xF000),
        ("app", 0x20000),
    ]
    assert not any(region.flaw for region in folder.regions)
    assert folder.app is not None and folder.app.elf_sha256 == built.elf_sha256
    assert folder.title == "esp32s3-cam 3.5.0"
    assert folder.elf == built.elf
    nvs = folder.partition("nvs")
    assert nvs is not None and (nvs.offset, nvs.size_bytes) == (0x9000, 0x6000)


@pytest.mark.parametrize(
    ("kind", "region", "flaw"),
    [
        ("bad-checksum", "app", "Checksum failed"),
        ("bad-hash", "app", "Image hash failed"),
        ("bad-bootloader", "bootloader", "Image hash failed"),
        ("bad-table", "partition-table", "MD5"),
        ("no-table", "partition-table", "invalid magic number"),
        ("blank", "app", "invalid magic byte"),
        ("wrong-chip", "app", "mismatch chip ID"),
        ("truncated", "app", ""),
    ],
)
def test_a_broken_file_is_seen_before_a_board_is_touched(
    built: FirmwareSet, tmp_path: Path, kind: str, region: str, flaw: str
) -> None:
    broken = FirmwareSet(copytree(built.folder, tmp_path / "broken"), built.order, built.elf_sha256)
    DAMAGES[kind](broken)
    flaws = {found.name: found.flaw for found in read_build_folder(broken.folder).regions if found.flaw}
    assert flaw in flaws[region]


def changed(built: FirmwareSet, folder: Path, **fields: object) -> Path:
    copied = copytree(built.folder, folder / "changed")
    source = copied / "flasher_args.json"
    source.write_text(json.dumps(json.loads(source.read_text()) | fields))
    return copied


def test_a_folder_that_makes_no_sense_is_refused(built: FirmwareSet, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"flasher_args.json: no such file"):
        read_build_folder(tmp_path)
    app = built.app.name
    with pytest.raises(UsageError, match=r"app at 0x20000 ends at 0x31000, in 6"):
        both = {"0x20000": app, "0x30000": "6.bin"}
        folder = changed(built, tmp_path / "a", flash_files=both)
        (folder / "6.bin").write_bytes(b"x")
        read_build_folder(folder)
    with pytest.raises(UsageError, match="behind the flash's 8 MB"):
        read_build_folder(changed(built, tmp_path / "b", flash_files={"0x7f0000": app}))
    with pytest.raises(UsageError, match=r"gone.bin: No such file"):
        read_build_folder(changed(built, tmp_path / "c", flash_files={"0x20000": "gone.bin"}))
    with pytest.raises(UsageError, match="is not what ESP-IDF writes"):
        read_build_folder(changed(built, tmp_path / "d", flash_files={"twenty": app}))
