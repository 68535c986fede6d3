"""`wakestorm boards doctor`: each planted problem is named, with its fix."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_fixtures.esp32s3.build import Order, build
from harness.blame import Blame
from harness.dut.board_lock import FOLDER_VARIABLE, held
from harness.dut.build_folder import read_build_folder
from harness.dut.doctor import Diagnosis, examine, programs_with
from harness.dut.flashing import After, FlashOrder, flash
from harness.dut.inventory import BoardEntry
from harness.dut.wear_ledger import STATE_VARIABLE
from tests.support.virtual_board import running_board

pytestmark = pytest.mark.night

MAC = "7CDFA1E0B0C5"


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "locks"))
    yield


def entry_of(port: object, **fields: object) -> BoardEntry:
    return BoardEntry.model_validate({"kind": "virtual", "match": {"port": str(port)}, **fields})


def problems(diagnosis: Diagnosis) -> dict[str, Blame]:
    assert all(finding.fix for finding in diagnosis.findings if finding.blame)
    return {finding.what: finding.blame for finding in diagnosis.findings if finding.blame}


def test_a_good_board_is_well_and_a_wrong_entry_is_told(tmp_path: Path) -> None:
    folder = read_build_folder(build(Order(), tmp_path / "build").folder)
    with running_board("--pty", str(tmp_path / "cam")) as board:
        blank = examine("cam", entry_of(board.port, flash_size="16MB"), [])
        assert problems(blank) == {"flash size": Blame.BOARD, "boot": Blame.BOARD}
        entry = entry_of(board.port)
        order = FlashOrder(board_id="cam", entry=entry, port=board.port, folder=folder, after=After.RESET)
        assert flash(order).trouble is None
        well = examine("cam", entry, [])
        assert well.is_well and [finding.what for finding in well.findings] == ["port", "loader", "console"]
        other = entry_of(board.port, match={"port": board.port, "mac": "7CDFA1E0B0C6"})
        assert problems(examine("cam", other, [])) == {"mac": Blame.BOARD}
        with held("cam", board.port, "a run"):
            assert problems(examine("cam", entry, [])) == {"lock": Blame.HARNESS}


def test_a_loader_that_is_not_reached(tmp_path: Path) -> None:
    with running_board("--pty", str(tmp_path / "cam"), "--faults", "no-download") as board:
        found = examine("cam", entry_of(board.port, flash={"connect_attempts": 1}), [])
    assert problems(found) == {"loader": Blame.BOARD}


def test_a_port_where_nobody_is(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    try:
        found = examine("cam", entry_of(os.ttyname(slave), flash={"connect_attempts": 1}), [])
    finally:
        os.close(master)
        os.close(slave)
    assert problems(found) == {"loader": Blame.CABLE}


def test_walls_outside_the_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(examine("cam", entry_of("/dev/ttyUSB77"), [])) == {"port": Blame.CABLE}
    assert examine("cam", BoardEntry.model_validate({"kind": "simulated"}), []).is_well
    device = tmp_path / "device"
    device.touch()
    with device.open():  # ours does not count
        assert programs_with(device) == []
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = examine("cam", entry_of(device), [])
    assert problems(found) == {"permission": Blame.HARNESS}
