"""`wakestorm run`: selection, reporters, suite, exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from harness.aiming import Aim, aimed, cleaned, words_before
from harness.bench_refusals import faults_of
from harness.dut.boards_of_run import LOOPBACK, duts_of, locked
from harness.dut.kinds import DutOrder
from harness.errors import BenchUnavailable, UsageError
from harness.events import Reporter
from harness.fitting import fitting
from harness.flakes import FlakeLedger
from harness.machine import run_name, version
from harness.report.files import RunFiles
from harness.report.html import made_report
from harness.report.json_lines import JsonLinesReporter
from harness.report.junit import JunitReporter
from harness.report.terminal import TerminalReporter
from harness.reporters import Reporters
from harness.run_one import BenchKind
from harness.selection import Selection, named_files, order_of_whole, plans_for
from harness.suite import Suite, SuiteOptions
from harness.verdict import EXIT_INTERRUPTED, Verdict, exit_code, merged

PROCESSES_WORKERS_PER_CORE: Final = 4
"""Real time is mostly waiting: for Wi-Fi that is not there, and for answers that do not come."""

EXTERNAL_WORKERS: Final = 2
"""Scenarios at a time before a target, which may be in use by others."""

ERRORS_LOG: Final = "errors.log"
BOARDS_WORKERS: Final = 2
"""Scenarios at a time where devices are boards: each has processes of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """The command line of `wakestorm run`."""

    selection: Selection
    bench: BenchKind
    broker: str
    runs_folder: Path
    workers: int | None
    max_failures: int
    as_json: bool
    dut: str = "simulated"
    boards: Path = Path("boards.yaml")
    firmware: str = ""
    broker_listen: str = LOOPBACK
    retries: int = 0
    flakes: Path | None = None
    target: Path | None = None


def run_command(order: RunOrder) -> int:
    """Runs the scenarios; returns the exit code. Raises UsageError, ScenarioError, BenchUnavailable."""
    duts = duts_of(order.dut, order.boards, order.broker_listen, order.firmware)
    aim = _aim(order, duts)
    if aim is not None:
        plans, left_out = list(aim.plans), aim.left_out
    else:
        asked = plans_for(order.selection, macs=[board.mac for board in duts.boards])
        plans, left_out = fitting(asked, duts, faults_of(order.bench), named_files(order.selection.paths))
    _check_bench(order)
    try:
        files = RunFiles(order.runs_folder, run_name(), wakestorm=version())
    except OSError as error:
        raise UsageError(f"--out {order.runs_folder}: {error.strerror or error}") from error
    files.shard, files.order = "{}/{}".format(*order.selection.shard), order_of_whole(order.selection)
    errors_log = files.folder / ERRORS_LOG
    flakes = None if order.flakes is None else FlakeLedger(order.flakes, files.folder.name)
    options = SuiteOptions(
        bench=order.bench,
        workers=_workers(order, duts),
        seed=order.selection.seed,
        max_failures=order.max_failures,
        broker=order.broker,
        duts=duts,
        retries=order.retries,
        quarantine=flakes.quarantined() if flakes is not None else frozenset(),
        left_out=left_out,
        errors_log=errors_log,
        target=None if aim is None else aim.seen,
    )
    terminal = _terminal()
    reporters: list[Reporter] = [terminal, JunitReporter(files.folder / "junit.xml"), files]
    if flakes is not None:
        reporters.append(flakes)
    if order.as_json:
        reporters.insert(0, JsonLinesReporter(sys.stdout))
    told = Reporters(reporters, errors_log)
    try:
        suite = Suite(plans, options, told.on_event)
        with locked(duts, f"wakestorm run {files.folder.name}"), _stopped_by_signals(suite):
            verdict = suite.run()
    except KeyboardInterrupt:
        print(f"interrupted; what there is: {files.folder}", file=sys.stderr)
        return EXIT_INTERRUPTED
    finally:
        terminal.close()
        if aim is not None:
            for line in cleaned(aim.seen, aim.macs):
                print(line, file=sys.stderr)
        _report(files.folder)
        _drop_what_is_empty(errors_log)
    if not order.as_json:
        print(f"{verdict.value}  {files.folder / 'verdict.json'}")
    for line in told.broken:
        print(f"wakestorm: {line}; {errors_log} has more", file=sys.stderr)
    return exit_code(merged((verdict, Verdict.ERROR)) if told.broken else verdict)


def _aim(order: RunOrder, duts: DutOrder) -> Aim | None:
    """With `--bench external` what will be played there. Raises UsageError for options that contradict each other."""
    if order.bench != "external":
        if order.target is not None:
            raise UsageError("--target is for --bench external", hint="write --bench external, or leave --target out")
        return None
    if order.target is None:
        raise UsageError("--bench external needs --target FILE", hint="docs/external.md has a whole file")
    if duts.kind != "simulated":
        raise UsageError("--bench external plays simulated cameras only", hint=f"leave --dut {duts.word} out")
    if order.retries:
        raise UsageError("--retries is not for --bench external", hint="the rows of the first try would still be there")
    aim = aimed(order.selection, order.target)
    print("\n".join(words_before(aim.seen, aim.earlier)), file=sys.stderr)
    return aim


def _workers(order: RunOrder, duts: DutOrder) -> int:
    cores = len(os.sched_getaffinity(0))
    if duts.kind == "board":
        return 1  # each board is there once
    if duts.is_real_time:
        return order.workers or BOARDS_WORKERS
    if order.bench == "external":
        return order.workers or EXTERNAL_WORKERS
    return order.workers or (cores * PROCESSES_WORKERS_PER_CORE if order.bench == "processes" else cores)


def _check_bench(order: RunOrder) -> None:
    """Says at once what every scenario would find out."""
    if order.bench == "processes":
        from harness.bench.brokers import BrokerKind, missing_reason

        kind: BrokerKind = "mosquitto" if order.broker == "mosquitto" else "iotcore"
        reason = missing_reason(kind, os.environ)
        if reason is not None:
            raise BenchUnavailable(f"no {kind} broker", hint=reason)


def _terminal() -> TerminalReporter:
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return TerminalReporter(sys.stderr, tty=is_terminal, color="NO_COLOR" not in os.environ)


@contextmanager
def _stopped_by_signals(suite: Suite) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM stops the run where it does no harm, the second at once."""
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt
        os.write(2, b"stopping; once more to stop at once\n")  # not print: the signal may have come in one
        suite.interrupt()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(folder: Path) -> None:
    """Writes report.html; trouble with it never changes the verdict."""
    try:
        path = made_report(folder)
    except Exception as error:
        hint = f"`wakestorm report {folder}` tries again"
        print(f"wakestorm: no report.html: {type(error).__name__}: {error}; {hint}", file=sys.stderr)
        return
    if path is not None:
        print(f"report: {path}", file=sys.stderr)


def _drop_what_is_empty(log: Path) -> None:
    """No errors, no errors.log; nothing run, no folder."""
    with suppress(OSError):
        if log.stat().st_size == 0:
            log.unlink()
    with suppress(OSError):
        log.parent.rmdir()
