"""`wakestorm soak`, the parent: a PostgreSQL, the soaking process, live progress, files, verdict and exit code."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, Final

from harness.bench import die_with_parent
from harness.bench.postgres import ephemeral_cluster, run_blocking
from harness.bench.postgres_cluster import Cluster
from harness.bench.template import ensure_template
from harness.errors import InternalError, UsageError
from harness.events import Failure, ScenarioEnded, SuiteEnded, SuiteStarted
from harness.jsonable import json_line
from harness.machine import architecture, monotonic_s, python_version, run_name, token, version
from harness.report.files import RunFiles, written_whole
from harness.run_one import Surroundings
from harness.soak.checkpoint import FOLDER, HISTORY, locked, read_order, write_order
from harness.soak.judge import Judgement, judgements
from harness.soak.order import SoakOrder, plan_of_soak
from harness.soak.page import page
from harness.soak.progress import Progress
from harness.soak.telling import DayEnded, SoakEnded, SoakJob, Ticked
from harness.verdict import EXIT_INTERRUPTED, Verdict, exit_code

SOAK_JSON_VERSION: Final = 1

ENDS_WITHIN_S: Final = 30.0
"""So long the soaking process may tidy up after it has told all."""

_CHILD_ENVIRONMENT: Final = {
    "PYTHONHASHSEED": "0",
    "PYTHONMALLOC": "malloc",  # what is in use can be asked to the byte, see `machine.heap_bytes`
    "MALLOC_ARENA_MAX": "1",
}


@dataclass(slots=True)
class _Night:
    """What has come in so far. `wall_before_s`: real time before a resume."""

    began_s: float
    wall_before_s: float = 0.0
    samples: list[dict[str, Any]] = field(default_factory=list)
    ended: SoakEnded | None = None

    def now_s(self) -> float:
        """Real seconds so far."""
        return round(self.wall_before_s + monotonic_s() - self.began_s, 3)


def soak_command(order: SoakOrder, out: Path) -> int:
    """Soaks; returns the exit code. Raises UsageError, ScenarioError, BenchUnavailable, KeyboardInterrupt."""
    plan_of_soak(order)
    try:
        files = RunFiles(out, run_name(), wakestorm=version())
        folder = files.folder / FOLDER
        write_order(folder, order, f"ws_{token()}_soak", version())
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror or error}") from error
    with locked(folder):
        return _soak(files, resumes=False)


def resume_command(run: Path) -> int:
    """Goes on with the soak in that run's folder, from its newest checkpoint. Raises as `soak_command`."""
    folder = run.resolve() / FOLDER
    read_order(folder, version())
    with locked(folder):
        return _soak(
            RunFiles(folder.parent.parent, folder.parent.name, wakestorm=version(), goes_on=True), resumes=True
        )


def _soak(files: RunFiles, *, resumes: bool) -> int:
    folder = files.folder / FOLDER
    order, database = read_order(folder, version())
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    columns = shutil.get_terminal_size().columns if is_terminal else None
    progress = Progress(sys.stderr, days=order.days, columns=columns)
    night = _Night(began_s=monotonic_s())
    sys.stderr.write(f"{files.folder}: {order.devices} cameras, {order.days} days, seed {order.seed}\n")
    try:
        with _soaking(files.folder) as soaking, ephemeral_cluster() as cluster:
            if not cluster.is_ours:
                run_blocking(cluster.drop_database(database))  # of a run that was killed
            around = run_blocking(_surroundings(cluster, order))
            job = SoakJob(order=order, around=around, database=database, folder=folder, resumes=resumes)
            try:
                _listen(job, soaking, night, progress)
            finally:
                if not cluster.is_ours:
                    run_blocking(cluster.drop_database(database))
    finally:
        progress.close()
    if night.ended is None:
        raise InternalError(
            f"the soaking process ended by itself; see {files.folder / 'errors.log'}",
            hint=f"wakestorm soak --resume {files.folder} goes on from its last checkpoint",
        )
    return _concluded(files, order, night, night.ended)


def _concluded(files: RunFiles, order: SoakOrder, night: _Night, told: SoakEnded) -> int:
    """Judges, writes the files, says it; a soak that has ended by itself needs its checkpoint no more."""
    folder = files.folder / FOLDER
    wall_s = night.now_s()
    judged = judgements(night.samples, told.final, devices=order.devices, cards_full_after=order.cards_full_after)
    ended = _with_thresholds(told.ended, judged, order, folder / HISTORY, wall_s)
    files.on_event(SuiteStarted(planned=(ended.result.id,), bench=order.bench, seed=order.seed))
    files.on_event(ended)
    verdict = ended.result.verdict
    if told.was_stopped and verdict is Verdict.PASS:
        verdict = Verdict.INCONCLUSIVE
    document = _document(order, night, judged, verdict, wall_s)
    written_whole(files.folder / "soak.json", json_line(document) + "\n")
    written_whole(files.folder / "soak.html", page(document, ended))
    files.on_event(SuiteEnded(verdict=verdict, wall_s=wall_s, interrupted=told.was_stopped))
    _say(ended, judged, told, document)
    can_go_on = told.was_stopped or verdict is Verdict.ERROR
    if can_go_on:
        sys.stderr.write(f"wakestorm soak --resume {files.folder} goes on from the last checkpoint\n")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{verdict.value}  {files.folder / 'soak.html'}")
    return EXIT_INTERRUPTED if told.was_stopped else exit_code(verdict)


async def _surroundings(cluster: Cluster, order: SoakOrder) -> Surroundings:
    async with cluster.admin() as connection:
        major = connection.get_server_version().major
    return Surroundings(
        bench=order.bench,
        broker=order.broker,
        cluster=cluster,
        template=await ensure_template(cluster),
        postgres_major=major,
        wakestorm=version(),
        python=python_version(),
        architecture=architecture(),
    )


@contextlib.contextmanager
def _soaking(folder: Path) -> Iterator[Connection]:
    """The process that soaks, ended at the end: it gets ready while its database does, and waits for a job."""
    errors_log = folder / "errors.log"
    connection, theirs = Pipe()
    with theirs, errors_log.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-I", "-S", die_with_parent.__file__, str(os.getpid())),
                *(sys.executable, "-P", "-m", "harness.soak.child", str(theirs.fileno())),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[theirs.fileno()],
            env=os.environ | _CHILD_ENVIRONMENT | {"PYTHONPATH": _import_path()},
            start_new_session=True,  # a Ctrl-C in the terminal reaches this process alone
        )
    try:
        yield connection
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDS_WITHIN_S)
    finally:
        connection.close()
        if process.poll() is None:
            process.kill()
            process.wait()
        with contextlib.suppress(OSError):
            if errors_log.stat().st_size == 0:
                errors_log.unlink()


def _listen(job: SoakJob, connection: Connection, night: _Night, progress: Progress) -> None:
    """Has the process soak, and takes what it tells, to its end."""
    with _stopped_by_signals(connection), contextlib.suppress(EOFError, ConnectionResetError, BrokenPipeError):
        connection.send(job)
        while night.ended is None:
            match connection.recv():
                case Ticked() as tick:
                    progress.ticked(tick, night.now_s())
                case DayEnded() as day:
                    if day.is_past:
                        night.wall_before_s = day.sample["wall_s"]
                    night.samples.append(day.sample)
                    progress.day_ended(day, night.now_s())
                case SoakEnded() as ended:
                    night.ended = ended


@contextlib.contextmanager
def _stopped_by_signals(connection: Connection) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the days at the next hour, heals, drains and judges; the second ends at once."""
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt
        # not print: the signal may have come in the middle of one
        os.write(2, b"\nstopping: healing and judging what there is; once more to stop at once\n")
        connection.send("stop")

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _with_thresholds(
    ended: ScenarioEnded, judged: list[Judgement], order: SoakOrder, history: Path, wall_s: float
) -> ScenarioEnded:
    """The run's own failures, then one for each threshold that does not hold."""
    over = [
        Failure(title=f"threshold: {item.name}", expected=item.limit, found=item.found)
        for item in judged
        if item.holds is False
    ]
    failures = tuple(replace(failure, reproduce=order.command()) for failure in (*ended.result.failures, *over))
    verdict = Verdict.FAIL if over and ended.result.verdict is Verdict.PASS else ended.result.verdict
    result = replace(ended.result, failures=failures, verdict=verdict, wall_s=wall_s)
    text = history.read_text(encoding="utf-8") if history.exists() else ""
    return replace(ended, result=result, history_jsonl=text)


def _document(
    order: SoakOrder, night: _Night, judged: list[Judgement], verdict: Verdict, wall_s: float
) -> dict[str, Any]:
    """What soak.json says."""
    told = night.ended
    assert told is not None
    return {
        "version": SOAK_JSON_VERSION,
        "command": order.command(),
        "verdict": verdict.value,
        "interrupted": told.was_stopped,
        "bench": order.bench,
        "devices": order.devices,
        "chunk_size_bytes": order.chunk_size_bytes,
        "days": told.days,
        "days_ordered": order.days,
        "seed": order.seed,
        "wall_s": wall_s,
        "cpu_s": told.cpu_s,
        "wakes_per_cpu_s": round(night.samples[-1]["wakes"] / told.cpu_s, 2) if night.samples and told.cpu_s else 0.0,
        "days_per_minute": round(60 * told.days / wall_s, 2) if wall_s else 0.0,
        "thresholds": [
            {"name": item.name, "limit": item.limit, "found": item.found, "holds": item.holds, "doubt": item.doubt}
            for item in judged
        ],
        "coverage": told.coverage,
        "final": told.final,
        "samples": night.samples,
    }


def _say(ended: ScenarioEnded, judged: list[Judgement], told: SoakEnded, document: dict[str, Any]) -> None:
    ledger, counts = ended.result.ledger, ended.result.counts
    say = sys.stderr.write
    say(
        f"{document['days_per_minute']} scenario days a minute, {document['wakes_per_cpu_s']} wakes a second and core\n"
    )
    say(
        f"{told.days} days, {counts.wakes} wakes: {ledger.captured} images taken, {ledger.stored} stored,"
        f" {ledger.recovered} of them recovered, {ledger.lost} lost, {ledger.doubled} doubled,"
        f" {ledger.damaged} damaged, {ledger.pending} pending, {ledger.refused} refused"
        f"{f', {ledger.lost_by_device} gone with a card' if ledger.lost_by_device else ''}\n"
    )
    for item in judged:
        word = {True: "ok", False: "FAIL", None: item.doubt}[item.holds]
        say(f"{word:>12}  {item.name}: {item.found} (limit: {item.limit})\n")
    for failure in ended.result.failures:
        say(f"        FAIL  {failure.title}: {failure.found[:300]}\n")
    if told.coverage:
        tried = {
            part: f"{sum(1 for count in hits.values() if count)} of {len(hits)}" for part, hits in told.coverage.items()
        }
        say(
            f"tried: {tried['catalogue']} faults of the catalogue, {tried['faults']} at a step of the protocol,"
            f" {tried['server']} moves of the server, {tried['device']} of the device\n"
        )


def _import_path() -> str:
    """What this process imports from, for the child: it starts with -P, in whatever folder."""
    return os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry and Path(entry).is_dir())
