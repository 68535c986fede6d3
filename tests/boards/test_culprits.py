"""Each fault of cable, board, flash and firmware, met by the real esptool: whom `wakestorm flash` blames, and for what.

One attempt each. `tests/integration/test_flashing.py` has the long forms: several attempts, firmware as it is built.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import serial

from harness.blame import Blame
from harness.dut.build_folder import read_build_folder
from harness.dut.flashing import After, FlashOrder, FlashResult, flash
from harness.dut.inventory import BoardEntry
from harness.dut.wear_ledger import STATE_VARIABLE
from tests.support.board_images import firmware_folder
from tests.support.virtual_board import running_board

APP_OFFSET = 0x20000


@dataclass(frozen=True, slots=True)
class Bench:
    """One board, the hand at its control socket, and sound firmware for it."""

    port: str
    control: Path
    firmware: Path

    def ask(self, order: str) -> dict[str, Any]:
        """One command to the board."""
        with socket.socket(socket.AF_UNIX) as line, line.makefile("rw", encoding="utf-8") as file:
            line.connect(str(self.control))
            print(order, file=file, flush=True)
            answer: dict[str, Any] = json.loads(file.readline())
        assert answer["ok"], answer
        return answer

    def order(self, after: After) -> FlashOrder:
        """Flash it, in one attempt."""
        fields = {"kind": "virtual", "match": {"port": self.port}, "flash": {"attempts": 1, "connect_attempts": 1}}
        return FlashOrder(
            board_id="cam",
            entry=BoardEntry.model_validate(fields),
            port=self.port,
            folder=read_build_folder(self.firmware),
            force=True,  # else the second test finds the firmware of the first there
            after=after,
        )


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("culprits")
    control = folder / "control"
    with running_board("--pty", str(folder / "cam"), "--control", str(control)) as board:
        yield Bench(board.port, control, firmware_folder(folder / "build"))


@pytest.fixture
def bench(standing: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("WAKESTORM_SYMBOLS", str(tmp_path / "symbols"))
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    yield standing
    for order in ("heal", "plug", "reset"):
        standing.ask(order)


def verdict(result: FlashResult) -> tuple[str, Blame] | None:
    """What went wrong, and whose fault it is."""
    return None if result.trouble is None else (result.trouble.kind, result.trouble.blame)


WHILE_WRITING = {
    "error-status:flash_defl_data:1": None,  # esptool asks again by itself
    "error-status:flash_defl_begin:1": ("refused", Blame.BOARD),
    "bad-md5": ("md5", Blame.BOARD),
    f"worn-sector:{APP_OFFSET:#x}": ("md5", Blame.BOARD),
    "no-download": ("not-in-download-mode", Blame.BOARD),
    "lost-reply:flash_defl_data:1": ("bytes-lost", Blame.CABLE),
    "noise:spi_flash_md5:1": ("bytes-lost", Blame.CABLE),
    "baud-mismatch": ("bytes-lost", Blame.CABLE),
    "unplug:flash_defl_data:1": ("port-vanished", Blame.CABLE),
}
AT_THE_START = {
    "stuck-in-download": ("stuck-in-download", Blame.BOARD),
    f"corrupt-image:{APP_OFFSET + 0x200:#x}": ("flash-corrupt", Blame.BOARD),
}


BEFORE = {
    "no-download": "corrupt-image:0x0",  # a board that prints something all the time
    f"worn-sector:{APP_OFFSET:#x}": f"corrupt-image:{APP_OFFSET:#x}",  # else it may keep just what is written
}


@pytest.mark.parametrize("fault", [*WHILE_WRITING, *AT_THE_START])
def test_the_culprit_is_named(bench: Bench, fault: str) -> None:
    if fault in BEFORE:
        bench.ask(f"fault {BEFORE[fault]}")
        bench.ask("reset")
    if fault in AT_THE_START:
        bench.ask("boot")  # a blank board starts again and again, and the fault is for the start after the flash
    bench.ask(f"fault {fault}")
    if fault in BEFORE:
        bench.ask("reset")  # it strikes at a start, and esptool may look before it starts the board
    result = flash(bench.order(After.PROVE if fault in AT_THE_START else After.STAY))
    assert verdict(result) == (WHILE_WRITING | AT_THE_START)[fault], (result.detail, result.failed_attempts)


def test_broken_firmware_is_named_before_a_board_is_touched(bench: Bench, tmp_path: Path) -> None:
    app = firmware_folder(tmp_path / "broken") / f"{APP_OFFSET:x}.bin"
    image = bytearray(app.read_bytes())
    image[0x200] ^= 1
    app.write_bytes(image)
    broken = replace(bench.order(After.STAY), folder=read_build_folder(app.parent), force=False)
    assert verdict(flash(broken)) == ("image-broken", Blame.FIRMWARE)
    assert bench.ask("status")["mode"] != "loader"


def test_a_port_that_another_program_holds_is_nobodys_hardware(bench: Bench) -> None:
    with serial.Serial(bench.port, exclusive=True):
        assert verdict(flash(bench.order(After.STAY))) == ("port-held", Blame.HARNESS)
