"""`wakestorm flash` against virtual boards in processes of their own: plans, proofs, culprits, kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from firmware_fixtures.esp32s3.build import WITHOUT_RESUME, FirmwareSet, Order, build
from firmware_fixtures.esp32s3.damage import DAMAGES
from harness.blame import Blame
from harness.dut.board_lock import FOLDER_VARIABLE, held, holder_of
from harness.dut.build_folder import read_build_folder
from harness.dut.flash_many import flash_all
from harness.dut.flash_plan import to_write
from harness.dut.flashing import FlashOrder, FlashResult, flash
from harness.dut.inventory import BoardEntry
from harness.dut.wear_ledger import STATE_VARIABLE
from simulator.board.nvs import read_nvs
from tests.support.virtual_board import running_board

pytestmark = pytest.mark.night

ROOT = Path(__file__).parent.parent.parent
NVS_AT, NVS_BYTES = 0x9000, 0x6000
APP_AT = 0x20000
BLANK = b"\xff" * 16


@contextmanager
def virtual_board(link: Path, *faults: str, flash: Path | None = None, mac: str = "7CDFA1E0B0C5") -> Iterator[str]:
    """The port of a board that runs meanwhile."""
    options = ["--pty", str(link), "--mac", mac, *(["--flash", str(flash)] if flash else [])]
    options += ["--faults", ",".join(faults)] if faults else []
    with running_board(*options) as board:
        yield board.port


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> FirmwareSet:
    return build(Order(), tmp_path_factory.mktemp("firmware") / "build")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("WAKESTORM_SYMBOLS", str(tmp_path / "symbols"))
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "locks"))
    yield


def order_for(port: str, firmware: Path, **fields: object) -> FlashOrder:
    entry = {"kind": "virtual", "match": {"port": port}, **fields}
    return FlashOrder(
        board_id="cam", entry=BoardEntry.model_validate(entry), port=port, folder=read_build_folder(firmware)
    )


def test_another_program_that_boots_is_told(built: FirmwareSet, tmp_path: Path) -> None:
    second = build(Order(version=WITHOUT_RESUME, slot="ota_1"), tmp_path / "second")
    with virtual_board(tmp_path / "cam") as port:
        assert flash(order_for(port, built.folder)).trouble is None
        result = flash(order_for(port, second.folder))  # into the slot that blank OTA data do not choose
    assert result.trouble is not None
    assert (result.trouble.kind, result.trouble.blame) == ("other-program", Blame.FIRMWARE)
    assert result.elf_sha256 is not None and built.elf_sha256.startswith(result.elf_sha256)
    assert [path.stem for path in (tmp_path / "symbols").iterdir()] == [built.elf_sha256]


def written(result: FlashResult) -> list[str]:
    return [region.name for region in to_write(result.plan)]


def test_a_blank_board_is_flashed_and_proved_then_only_what_differs(built: FirmwareSet, tmp_path: Path) -> None:
    other = build(Order(version=WITHOUT_RESUME), tmp_path / "other")
    with virtual_board(tmp_path / "cam") as port:
        first = flash(order_for(port, built.folder))
        assert first.trouble is None and first.proved and first.attempt == 1
        assert first.mac == "7CDFA1E0B0C5"
        assert written(first) == ["bootloader", "partition-table", "app"]
        assert first.elf_sha256 is not None and built.elf_sha256.startswith(first.elf_sha256)
        dry = flash(replace(order_for(port, other.folder), dry_run=True))
        assert dry.trouble is None and not dry.proved and dry.written_bytes == 0
        assert "app" in written(dry) and "bootloader" not in written(dry)
        upgraded = flash(order_for(port, other.folder))
        assert upgraded.trouble is None and upgraded.proved
        assert upgraded.elf_sha256 is not None and other.elf_sha256.startswith(upgraded.elf_sha256)
        assert "bootloader" not in written(upgraded)
        app = next(planned for planned in upgraded.plan if planned.region.name == "app")
        assert app.worn == 2  # this write included


def test_what_is_provisioned_arrives_and_the_firmwares_own_memory_stays(built: FirmwareSet, tmp_path: Path) -> None:
    cells = tmp_path / "flash.bin"
    nvs = {"device_id": "B8F862000001", "broker_host": "127.0.0.1", "broker_port": 1883}
    with virtual_board(tmp_path / "cam", flash=cells) as port:
        first = flash(order_for(port, built.folder, provision={"nvs": nvs}))
        assert first.trouble is None and "nvs" in written(first)
        assert read_nvs(cells.read_bytes()[NVS_AT : NVS_AT + NVS_BYTES]) == {"wakestorm": nvs}
        with cells.open("r+b") as file:  # the firmware remembers something, in a free entry of the first page
            file.seek(NVS_AT + 64 + 32 * 20)
            file.write(b"\x55")
        again = flash(order_for(port, built.folder, provision={"nvs": nvs}))
        assert again.trouble is None and "nvs" not in written(again)
        assert any("all 3 provisioned values are there" in planned.why for planned in again.plan)
        moved = flash(order_for(port, built.folder, provision={"nvs": {**nvs, "broker_port": 8883}}))
        assert moved.trouble is None and "nvs" in written(moved)


TRANSIENT = [
    ("lost-reply:flash_defl_data:2", "bytes-lost", Blame.CABLE),
    ("error-status:flash_defl_begin:1", "refused", Blame.BOARD),
    ("bad-md5:2", "md5", Blame.BOARD),
]


@pytest.mark.parametrize(("fault", "kind", "blame"), TRANSIENT, ids=[fault for fault, _, _ in TRANSIENT])
def test_what_comes_once_passes_on_attempt_2(
    built: FirmwareSet, tmp_path: Path, fault: str, kind: str, blame: Blame
) -> None:
    with virtual_board(tmp_path / "cam", fault) as port:
        result = flash(order_for(port, built.folder))
    assert result.trouble is None and result.proved
    assert result.attempt == 2
    assert [(failed.trouble.kind, failed.trouble.blame) for failed in result.failed_attempts] == [(kind, blame)]


LASTING = [
    ("worn-sector:0x20000", "md5", Blame.BOARD),
    ("no-download", "not-in-download-mode", Blame.BOARD),
    ("stuck-in-download", "stuck-in-download", Blame.BOARD),
    ("unplug:flash_defl_data:1", "no-port", Blame.CABLE),
    ("baud-mismatch", "bytes-lost", Blame.CABLE),
]


@pytest.mark.parametrize(("fault", "kind", "blame"), LASTING, ids=[fault for fault, _, _ in LASTING])
def test_what_stays_is_blamed_on_the_right_class(
    built: FirmwareSet, tmp_path: Path, fault: str, kind: str, blame: Blame
) -> None:
    with virtual_board(tmp_path / "cam", fault) as port:
        result = flash(order_for(port, built.folder, flash={"attempts": 2, "connect_attempts": 1}))
    assert result.trouble is not None
    assert (result.trouble.kind, result.trouble.blame) == (kind, blame)


@pytest.mark.parametrize("kind", ["bad-hash", "bad-table"])
def test_broken_firmware_is_refused_and_with_force_seen_not_to_boot(
    built: FirmwareSet, tmp_path: Path, kind: str
) -> None:
    broken = FirmwareSet(copytree(built.folder, tmp_path / "broken"), built.order, built.elf_sha256)
    DAMAGES[kind](broken)
    with virtual_board(tmp_path / "cam") as port:
        refused = flash(order_for(port, broken.folder))
        assert refused.trouble is not None and refused.trouble.blame is Blame.FIRMWARE
        assert refused.mac is None  # the board was left alone
        forced = flash(replace(order_for(port, broken.folder), force=True))
    assert forced.written_bytes > 60_000
    assert forced.trouble is not None
    assert (forced.trouble.kind, forced.trouble.blame) == ("image-broken", Blame.FIRMWARE)


def test_a_board_with_another_mac_is_not_written(built: FirmwareSet, tmp_path: Path) -> None:
    with virtual_board(tmp_path / "cam", mac="7CDFA1E0B0C6") as port:
        result = flash(order_for(port, built.folder, match={"port": port, "mac": "7C:DF:A1:E0:B0:C5"}))
    assert result.trouble is not None
    assert (result.trouble.kind, result.trouble.blame, result.written_bytes) == ("wrong-mac", Blame.BOARD, 0)


def test_firmware_for_a_larger_flash_is_refused(built: FirmwareSet) -> None:
    result = flash(order_for("/dev/ttyUSB77", built.folder, flash_size="4MB"))
    assert result.trouble is not None
    assert (result.trouble.kind, result.trouble.blame) == ("does-not-fit", Blame.FIRMWARE)
    assert "storage ends at 0x620000" in result.trouble.cause


def test_a_port_that_another_program_holds_is_the_harness(built: FirmwareSet, tmp_path: Path) -> None:
    import serial

    with virtual_board(tmp_path / "cam") as port, serial.Serial(port, exclusive=True):
        result = flash(order_for(port, built.folder))
    assert result.trouble is not None
    assert (result.trouble.kind, result.trouble.blame) == ("port-held", Blame.HARNESS)
    assert result.attempt == 1


def test_two_boards_at_once_and_a_held_one_beside_them(built: FirmwareSet, tmp_path: Path) -> None:
    results: dict[str, FlashResult] = {}
    macs = {"a": "7CDFA1E0B001", "b": "7CDFA1E0B002", "c": "7CDFA1E0B003"}
    with (
        virtual_board(tmp_path / "a", mac=macs["a"]) as a,
        virtual_board(tmp_path / "b", mac=macs["b"]) as b,
        virtual_board(tmp_path / "c", mac=macs["c"]) as c,
        held("c", c, "another run"),
    ):
        orders = [
            replace(order_for(port, built.folder), board_id=name) for name, port in (("a", a), ("b", b), ("c", c))
        ]
        code = flash_all(orders, lambda order, result: results.update({order.board_id: result}))
    assert code == 3
    assert {name: result.mac for name, result in results.items()} == {"a": macs["a"], "b": macs["b"], "c": None}
    assert results["a"].proved and results["b"].proved
    assert results["c"].trouble is not None and "is held by" in results["c"].trouble.cause


def children_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in found for child in path.read_text().split()]


def app_part(cells: Path, offset: int = 0) -> bytes:
    with cells.open("rb") as file:
        file.seek(APP_AT + offset)
        return file.read(len(BLANK))


def test_kill_9_in_the_middle_leaves_no_lock_no_port_and_no_esptool(built: FirmwareSet, tmp_path: Path) -> None:
    large = build(Order(assets_bytes=1_500_000), tmp_path / "large")
    cells = tmp_path / "flash.bin"
    with virtual_board(tmp_path / "cam", flash=cells) as port:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.cli", "flash", port, "--firmware", str(large.folder)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        try:
            while app_part(cells) == BLANK:
                assert process.poll() is None
            esptools = children_of(process.pid)
            assert esptools and holder_of(port) is not None
            process.send_signal(signal.SIGKILL)
        finally:
            process.kill()
            process.wait()
        for pid in esptools:
            with pytest.raises(ProcessLookupError):
                while True:
                    os.kill(pid, 0)
        assert app_part(cells, large.app.stat().st_size - 4_096) == BLANK  # none of them went on to the end
        assert holder_of(port) is None
        result = flash(order_for(port, built.folder))
        assert result.trouble is None and result.proved
