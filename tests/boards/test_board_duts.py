"""Scenarios on boards: virtual ones, flashed by esptool, and one that the harness knows as a serial port alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bench.postgres import run_blocking
from harness.bench.postgres_cluster import Cluster
from harness.bench.template import ensure_template
from harness.cli import exit_code_of
from harness.dut.boards_of_run import duts_of
from harness.dut.kinds import DutOrder
from harness.events import ScenarioEnded
from harness.loader import load_bytes
from harness.plan import plan_of
from harness.run_one import Surroundings, run_one
from harness.verdict import Verdict

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.night]

MAC = "7CDFA1E0B0C5"
POWER_LOSS = """
version: 1
name: A loss of power after chunk 1, seen by the broker, the database and the console
devices:
  yard: {image: {size: 3kB, chunk: 1kB}, traits: {chunk_spacing: 10ms}}
steps:
  - wake: yard
    faults: [{who: yard, at: "chunk[1].sent", do: power_loss}]
  - expect: {rows: {table: device_images, are: [{status: receiving, received_chunks: 2, total_chunks: 3}]}}
  - advance: next_wake
  - console: {who: yard, contains: "sent chunk image=image_1.jpg index=2"}
  - expect: {eventually: 1m, rows: {table: device_images, are: [{status: complete, received_chunks: 3}]}}
drain: {wakes: 0}
"""
CUT = """
version: 1
name: A transfer that is cut resumes
devices:
  yard: {image: {size: 3kB, chunk: 1kB}, traits: {chunk_spacing: 10ms}}
steps:
  - wake: yard
    faults: [{who: yard, at: "chunk[1].sent", do: cut}]
  - expect: {rows: {table: device_images, are: [{status: receiving, received_chunks: 2, total_chunks: 3}]}}
  - advance: next_wake
  - expect: {eventually: 1m, rows: {table: device_images, are: [{status: complete, received_chunks: 3}]}}
drain: {wakes: 0}
"""
PANIC = """
version: 1
name: A panic that nobody allowed
devices:
  yard: {image: {size: 3kB, chunk: 1kB}, traits: {chunk_spacing: 400ms}}
steps:
  - {wake: yard, wait: false}
  - console: {who: yard, contains: "sent chunk image=image_1.jpg index=0"}
  - console: {who: yard, write: crash panic}
  - expect: {eventually: 5m, rows: {table: device_images, are: [{status: complete}]}}
drain: {wakes: 0}
"""


def played(text: str, order: DutOrder, cluster: Cluster, folder: Path) -> ScenarioEnded:
    loaded = load_bytes(text.encode(), Path("scenarios/test.yaml"))
    plan = plan_of(loaded, loaded.cases[0], None, [board.mac for board in order.boards])
    around = Surroundings(
        bench="processes",
        cluster=cluster,
        template=run_blocking(ensure_template(cluster)),
        postgres_major=18,
        wakestorm="test",
        python="test",
        architecture="test",
        duts=order,
        consoles=folder / "consoles",
    )
    name = f"board_{os.getpid()}_{folder.name}".lower().replace("-", "_")[:60]
    return run_one(plan, around, database=name, folder=folder / "job", emit=lambda event: None)


def test_a_virtual_board_loses_power_at_a_chunk_and_resumes(cluster: Cluster, tmp_path: Path) -> None:
    ended = played(POWER_LOSS, DutOrder(kind="virtual"), cluster, tmp_path)
    assert ended.result.verdict is Verdict.PASS, ended.result.failures
    kinds = [line.split('"kind":"')[1].split('"')[0] for line in ended.history_jsonl.splitlines()]
    assert {"serial", "message", "row"} <= set(kinds), "one timeline"
    log = next((tmp_path / "consoles").rglob("yard[[]0].log")).read_text()
    assert "Loaded app from partition" in log and "sent chunk image=image_1.jpg index=2" in log


def test_a_panic_that_nobody_allowed_is_the_firmwares(cluster: Cluster, tmp_path: Path) -> None:
    ended = played(PANIC, DutOrder(kind="virtual"), cluster, tmp_path)
    assert ended.result.verdict is Verdict.FAIL
    assert "panic: Guru Meditation Error" in ended.result.failures[0].title
    assert {failure.blame for failure in ended.result.failures} == {"firmware"}


@pytest.fixture
def foreign_port(tmp_path: Path) -> Iterator[Path]:
    """A virtual board that somebody else has started."""
    link = tmp_path / "ttyForeign"
    command = [sys.executable, "-m", "simulator.board", "--pty", str(link), "--mac", MAC]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as board:
        assert board.stdout is not None
        board.stdout.readline()
        yield link
        board.terminate()


def test_a_board_known_by_its_serial_port_alone(
    cluster: Cluster, tmp_path: Path, foreign_port: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory = tmp_path / "boards.yaml"
    inventory.write_text(
        f"version: 1\nboards:\n  cam-7: {{kind: board, match: {{port: {foreign_port}, mac: '{MAC}'}}}}\n"
    )
    scenario = tmp_path / "power.yaml"
    scenario.write_text(POWER_LOSS)
    words = ["lint", str(scenario), "--dut", "board:cam-7", "--boards", str(inventory)]
    assert exit_code_of(words) == 64
    assert "board cam-7 has no power switch" in capsys.readouterr().err
    ended = played(CUT, duts_of("board:cam-7", inventory, "127.0.0.1", "3.5.0"), cluster, tmp_path)
    assert ended.result.verdict is Verdict.PASS, ended.result.failures
