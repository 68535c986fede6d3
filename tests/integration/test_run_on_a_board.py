"""A run on a board that the harness knows as a serial port alone, in a process of its own; and kill -9 of that run.

The board's power is a program that talks to the board's control socket, as another one talks to a plug.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from firmware_fixtures.esp32s3.build import Order, build
from harness.dut.board_lock import FOLDER_VARIABLE, Holder, holder_of
from harness.dut.serial_port import SerialPort
from harness.dut.wear_ledger import STATE_VARIABLE
from simulator.board.nvs import read_nvs
from tests.support.virtual_board import running_board

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0
MAC = "7CDFA1E0B0C5"
APP_AT = 0x20000
NVS_AT, NVS_BYTES = 0x9000, 0x6000
WIFI_PASSWORD = "never-to-be-read-wifi"
BLANK = b"\xff" * 16
SWITCH = """
import socket, sys
wire = socket.socket(socket.AF_UNIX)
wire.connect(sys.argv[1])
wire.sendall(f"power {sys.argv[2]}\\n".encode())
sys.exit(b'"ok": true' not in wire.makefile("rb").readline())
"""
POWER_LOSS = """\
version: 1
name: A loss of power after chunk 1
devices: {yard: {image: {size: 3kB, chunk: 1kB}, traits: {chunk_spacing: 10ms}}}
steps:
  - wake: yard
    faults: [{who: yard, at: "chunk[1].sent", do: power_loss}]
  - expect: {rows: {table: device_images, are: [{status: receiving, received_chunks: 2, total_chunks: 3}]}}
  - flash: 3.5.0
  - power: {who: yard, do: restore}
  - expect: {eventually: 5m, rows: {table: device_images, are: [{status: complete, received_chunks: 3}]}}
drain: {wakes: 0}
"""


class Desk:
    """One board of the inventory, the files around it, and the command line."""

    def __init__(self, folder: Path) -> None:
        self.port = folder / "tty"
        self.cells = folder / "flash.bin"
        self.folder = folder
        control = folder / "control"
        self.options = ("--pty", str(self.port), "--flash", str(self.cells), "--mac", MAC, "--control", str(control))
        switch = folder / "switch.py"
        switch.write_text(SWITCH)
        power = {
            "type": "command",
            "on": f"{sys.executable} {switch} {control} on",
            "off": f"{sys.executable} {switch} {control} off",
        }
        nvs = {"nvs": {"wifi_ssid": "barn", "wifi_password": WIFI_PASSWORD}}
        board = {"kind": "board", "match": {"port": str(self.port), "mac": MAC}, "power": power, "provision": nvs}
        (folder / "boards.yaml").write_text(json.dumps({"version": 1, "boards": {"cam-7": board}}))
        (folder / "scenario.yaml").write_text(POWER_LOSS)
        self.environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            STATE_VARIABLE: str(folder / "state"),
            FOLDER_VARIABLE: str(folder / "locks"),
        }

    def run(self, firmware: str) -> subprocess.Popen[str]:
        words = ["run", "scenario.yaml", "--dut", "board:cam-7", "--firmware", firmware, "--out", "runs"]
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.cli", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def holder(self) -> Holder | None:
        return holder_of(str(self.port), self.environment)

    def app(self, offset: int = 0) -> bytes:
        with self.cells.open("rb") as file:
            file.seek(APP_AT + offset)
            return file.read(len(BLANK))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    with running_board(*made.options):
        yield made


def family_of(pid: int) -> list[int]:
    """All that descend from that process, at this moment."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(word) for word in path.read_text().split()]
        except OSError:
            continue
        found += [one for child in children for one in (child, *family_of(child))]
    return found


def is_running(pid: int) -> bool:
    """Not ended, and not merely waiting to be buried by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(what: str, is_so: object, pids: Sequence[int] = ()) -> None:
    """Looks again and again; the limit is for a test that hangs, not for a machine that is slow."""
    assert callable(is_so)
    for _ in range(int(PATIENCE_S / 0.05)):
        if is_so():
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"not within {PATIENCE_S:g} s: {what} {pids}")


def _holds_no_secret(desk: Desk, said: str) -> None:
    """The passwords that the board was told stand in its NVS, and nowhere in what the run said and left."""
    told = read_nvs(desk.cells.read_bytes()[NVS_AT : NVS_AT + NVS_BYTES])
    values = {key: str(value) for keys in told.values() for key, value in keys.items()}
    secrets = [values["wifi_password"], values["broker_password"]]
    assert secrets[0] == WIFI_PASSWORD and len(secrets[1]) >= 16
    left = [path for name in ("runs", "state", "locks") for path in (desk.folder / name).rglob("*") if path.is_file()]
    assert {"history.jsonl", "report.html", "verdict.json", "ledger.csv"} <= {path.name for path in left}
    for path in left:
        text = path.read_bytes().decode("utf-8", "replace")
        assert not [secret for secret in secrets if secret in text], path
    assert not [secret for secret in secrets if secret in said]


def test_power_loss_flash_and_restore_on_a_board_that_is_only_a_port(desk: Desk) -> None:
    process = desk.run("3.5.0")
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    records = [
        json.loads(line) for line in (desk.folder / "runs" / "latest" / "history.jsonl").read_text().splitlines()
    ]
    flashed = [record for record in records if "flashed" in record]
    assert [record["flashed"] for record in flashed] == ["esp32s3-cam 3.5.0", "esp32s3-cam 3.5.0"]
    assert "app" in flashed[0]["written"] and flashed[0]["proved"] is True
    assert "app" in flashed[1]["kept"], "the device's MD5 was the file's"
    assert (desk.folder / "state" / f"{MAC}.json").is_file(), "the wear ledger"
    log = next((desk.folder / "runs" / "latest" / "consoles").rglob("*.log")).read_text()
    assert "[flash: write  0x020000" in log and "MD5 is the file's" in log
    assert desk.holder() is None
    _holds_no_secret(desk, said)
    captures = [record for record in records if record["kind"] == "capture"]
    assert [record["image_name"] for record in captures] == ["image_1.jpg"]
    assert captures[0]["captured_at"].startswith("2026-01-05T00:0"), "the board was told the scenario's time"


def test_kill_9_of_a_run_in_the_middle_of_a_flash_leaves_no_lock_no_port_and_no_esptool(desk: Desk) -> None:
    large = build(Order(assets_bytes=1_800_000), desk.folder / "large")
    process = desk.run(str(large.folder))
    try:
        wait_for("esptool writes", lambda: process.poll() is not None or desk.app() != BLANK)
        assert process.poll() is None, "it went on to its end"
        holder = desk.holder()
        assert holder is not None and holder.pid == process.pid and holder.run.startswith("wakestorm run ")
        family = family_of(process.pid)
        assert any("esptool" in Path(f"/proc/{pid}/cmdline").read_text() for pid in family if is_running(pid))
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    wait_for("all of them are gone", lambda: not any(map(is_running, family)), family)
    assert desk.app(large.app.stat().st_size - 4_096) == BLANK, "none of them went on to the end"
    assert desk.holder() is None
    SerialPort(str(desk.port)).close()  # opened exclusively
