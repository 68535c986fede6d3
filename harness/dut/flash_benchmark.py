"""Measures many boards at a time: virtual ones flashed by the real esptool, booted, and asked who they are.

CPU seconds are told apart by who spent them, since a machine that is busy with others makes the wall clock lie: esptool
(programs that ended while flashing), the boards (each tells its own), and this process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from firmware_fixtures.esp32s3.build import Order, build
from harness.dut.build_folder import read_build_folder
from harness.dut.flash_many import flash_all
from harness.dut.flashing import FlashOrder, FlashResult
from harness.dut.inventory import BoardEntry
from harness.dut.virtual import VirtualBoard
from harness.machine import cpu_s, monotonic_s

AIM_S: Final = 10.0
"""8 boards with 1.5 MB each on 2 cores."""

CODE_BYTES: Final = 20_000
"""What an app has without assets, about; to be taken off what is asked for."""


@dataclass(slots=True)
class FlashBenchmark:
    """What was measured; seconds. `load` is the machine's load average before, `mistakes` what went wrong."""

    boards: int
    app_bytes: int
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    load: float = 0.0
    started_s: float = 0.0
    flashed_s: float = 0.0
    asked_s: float = 0.0
    written_bytes: int = 0
    esptool_cpu_s: float = 0.0
    boards_cpu_s: float = 0.0
    harness_cpu_s: float = 0.0
    slowest_board_s: float = 0.0
    attempts_max: int = 0
    mistakes: list[str] = field(default_factory=list)

    @property
    def cpu_bound_s(self) -> float:
        """No machine with so many cores can flash them faster."""
        return (self.esptool_cpu_s + self.boards_cpu_s + self.harness_cpu_s) / self.cores


def measure(folder: Path, *, boards: int, app_bytes: int, on_line: Callable[[str], None]) -> FlashBenchmark:
    """Builds the firmware, starts the boards, flashes them all at once, asks each. Raises BenchUnavailable."""
    on_line(f"building an app of {app_bytes:,} B")
    made = build(Order(assets_bytes=max(0, app_bytes - CODE_BYTES)), folder / "firmware")
    report = FlashBenchmark(boards, made.app.stat().st_size, load=os.getloadavg()[0])
    with ExitStack() as stack:
        begun_s = monotonic_s()
        running = [VirtualBoard(f"board-{n}", f"7CDFA1{n:06X}", folder / f"board-{n}") for n in range(boards)]
        threads = stack.enter_context(ThreadPoolExecutor(boards))  # a board dies with the thread that started it
        for board in running:
            stack.callback(board.stop)
        list(threads.map(VirtualBoard.start, running))
        report.started_s = monotonic_s() - begun_s
        on_line(f"{boards} boards are up after {report.started_s:.1f} s")
        spent_before = sum(_cpu_of(board) for board in running)
        _flash(report, running, made.folder, on_line)
        begun_s = monotonic_s()
        for board in running:
            _ask(report, board)
        report.asked_s = monotonic_s() - begun_s
        report.boards_cpu_s = sum(_cpu_of(board) for board in running) - spent_before
    return report


def _flash(report: FlashBenchmark, boards: list[VirtualBoard], firmware: Path, on_line: Callable[[str], None]) -> None:
    entry = BoardEntry.model_validate({"kind": "virtual"})
    content, state = read_build_folder(firmware), firmware.parent / "state"
    orders = [
        FlashOrder(board_id=board.name, entry=entry, port=board.port, folder=content, state_folder=state)
        for board in boards
    ]

    def tell(order: FlashOrder, result: FlashResult) -> None:
        trouble = result.trouble
        if trouble is not None:
            report.mistakes.append(f"{order.board_id}: {trouble.blame}: {trouble.cause}")
        elif not result.proved:
            report.mistakes.append(f"{order.board_id}: the boot log did not show the ELF's hash")
        report.written_bytes += result.written_bytes
        report.slowest_board_s = max(report.slowest_board_s, result.wall_s)
        report.attempts_max = max(report.attempts_max, result.attempt)
        on_line(f"{order.board_id} {'FAILED' if trouble else 'runs it'} after {result.wall_s:.1f} s")

    begun_s, (own_s, ended_s) = monotonic_s(), cpu_s()
    flash_all(orders, tell)
    report.flashed_s = monotonic_s() - begun_s
    own_after_s, ended_after_s = cpu_s()
    report.harness_cpu_s, report.esptool_cpu_s = own_after_s - own_s, ended_after_s - ended_s


def _cpu_of(board: VirtualBoard) -> float:
    return float(board.order("status")["cpu_s"])


def _ask(report: FlashBenchmark, board: VirtualBoard) -> None:
    """The firmware of each board must be up, and be its own: the id comes from the chip's eFuses."""
    status = board.order("status")
    device = status["device"]
    if device is None:
        report.mistakes.append(f"{board.name}: no camera firmware runs ({status['mode']})")
    elif device["id"] != board.mac:
        report.mistakes.append(f"{board.name}: it calls itself {device['id']}, its MAC is {board.mac}")
