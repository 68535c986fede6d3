"""One plan on one bench, to its verdict. Whatever breaks on the way is an ERROR, never a PASS.

The embedded bench runs on a virtual loop of its own, the processes bench on a usual one; nothing of a scenario
survives it.
"""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from harness.bench.postgres_cluster import Cluster
from harness.blame import Blame
from harness.detail import Detail
from harness.dut.console import ConsoleError
from harness.dut.kinds import DutOrder
from harness.errors import BenchUnavailable
from harness.events import Counts, Event, Failure, ScenarioEnded, ScenarioResult, StepStarted, reproduce_command
from harness.excerpt import excerpt
from harness.history import Header, History, Kind, Record
from harness.history_difference import first_difference
from harness.ledger import totals
from harness.machine import token, unix_ms
from harness.plan import Plan
from harness.runner import Runner
from harness.selection import case_words, scenario_id, source_of
from harness.target_view import TargetSeen
from harness.verdict import Verdict
from harness.witness import THEIR_KEYS, Witness, tables_of

BenchKind = Literal["embedded", "processes", "external"]

LOGIN_USER: Final = "camera"
"""Where boards take part, the broker lets in nobody else; the password is another one in every run."""

EXPLAINED_RECORDS_MAX: Final = 20_000
"""A longer history is not played a second time to explain its failure."""

MESSAGE_LENGTH_CHARS_MAX: Final = 600
"""One paragraph; the whole text, with its traceback, stands in the run's errors.log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all scenarios of a run share. `broker` and `consoles` concern the processes bench only.

    The external bench has a `target` and no cluster; the others the other way round.
    """

    bench: BenchKind
    cluster: Cluster | None
    template: str
    postgres_major: int
    wakestorm: str
    python: str
    architecture: str
    broker: str = "iotcore"
    duts: DutOrder = field(default_factory=DutOrder)
    consoles: Path | None = None
    """Where the console logs of boards go, a folder for each scenario."""
    target: TargetSeen | None = None

    @property
    def own_cluster(self) -> Cluster:
        """The PostgreSQL of a bench that has one."""
        assert self.cluster is not None, "the external bench has no cluster"
        return self.cluster


@dataclass(slots=True)
class _Attempt:
    """How far a scenario has come."""

    new_runner: Callable[[Any], Runner]
    bench: Any = None
    runner: Runner | None = None
    errors: list[BaseException] = field(default_factory=list)
    detail: Detail | None = None


class _WatchedHistory(History):
    """A history that tells about each step as it begins."""

    def __init__(self, header: Header, on_step: Callable[[int], None]) -> None:
        super().__init__(header)
        self._on_step = on_step

    def append(self, t_ms: int, kind: Kind, who: str, **fields: Any) -> Record:
        if kind == "invoke" and who == "runner" and isinstance(fields.get("index"), int):
            self._on_step(fields["index"])
        return super().append(t_ms, kind, who, **fields)


def run_one(
    plan: Plan,
    around: Surroundings,
    *,
    database: str,
    folder: Path,
    emit: Callable[[Event], None],
    explain: bool = False,
    runner: Callable[[Any], Runner] = Runner,
) -> ScenarioEnded:
    """Runs the plan in a database and a folder of its own. Raises BenchUnavailable; all else becomes a verdict.

    `wall_s` of the result is left to the caller, who has a clock. With `explain` a failed scenario of the embedded
    bench is played once more under the eyes of a witness, who sees each row as it changes.
    """
    if around.target is not None:
        plan = replace(plan, start_ms=unix_ms())  # nobody's clock can be set there

    def tell(index: int) -> None:
        if index < len(plan.steps):  # where they come one by one, whoever sends them knows
            emit(_step_started(plan, index))

    history = _WatchedHistory(_header(plan, around), tell)
    attempt = _attempt(plan, around, history, database, folder, runner=runner)
    ended = _ended(plan, around, history, attempt)
    if not explain or ended.result.verdict is not Verdict.FAIL:
        return ended
    if around.bench != "embedded" or len(history) > EXPLAINED_RECORDS_MAX:
        return ended
    other = History(_header(plan, around))
    again = _attempt(plan, around, other, f"{database}_again", folder / "again", is_watched=True)
    return _explained(ended, _ended(plan, around, other, again))


def _explained(first: ScenarioEnded, again: ScenarioEnded) -> ScenarioEnded:
    """The first run with what the witness saw of the second, where that was the same run."""
    if again.history_jsonl == first.history_jsonl:
        return replace(first, result=replace(first.result, failures=again.result.failures), detail=again.detail)
    line = first_difference(first.history_jsonl, again.history_jsonl)
    words = f"played again it ended with {again.result.verdict.value}; {line}"
    return replace(first, detail=replace(first.detail or Detail(), again=words))


def _attempt(
    plan: Plan,
    around: Surroundings,
    history: History,
    database: str,
    folder: Path,
    *,
    is_watched: bool = False,
    runner: Callable[[Any], Runner] = Runner,
) -> _Attempt:
    attempt = _Attempt(new_runner=runner)
    loop = _new_loop(around)
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_attempted(attempt, plan, around, history, database, folder, is_watched=is_watched))
    except BenchUnavailable:
        raise
    except Exception as error:
        attempt.errors.append(error)
    finally:
        try:
            _closed(loop, around)
        except Exception as error:
            attempt.errors.append(error)
    return attempt


def _reproduce(plan: Plan, around: Surroundings) -> str:
    target = "" if around.target is None else around.target.file
    return reproduce_command(scenario_id(plan), plan.seed, around.bench, around.duts.word, target)


def error_result(plan: Plan, around: Surroundings, found: str) -> ScenarioResult:
    """The result of a scenario whose run broke."""
    failure = Failure(
        title="the run itself broke",
        expected="a verdict",
        found=found,
        hint="the traceback is in errors.log of the run's folder",
        reproduce=_reproduce(plan, around),
        blame=Blame.HARNESS.value,
    )
    return replace(blank_result(plan, around), verdict=Verdict.ERROR, failures=(failure,))


def _board_not_ready(plan: Plan, error: ConsoleError) -> Failure:
    """A board that can not be flashed, or does not answer, before the first step."""
    return Failure(
        title="a board is not ready for the first step",
        expected="a board that is flashed, boots and sleeps",
        found=error.message,
        hint=error.hint or "",
        path=plan.path,
        blame=error.blame.value,
    )


def paragraph(error: BaseException) -> str:
    """What an error says, in one paragraph."""
    text = " ".join(str(error).split()) or (type(error).__doc__ or "").strip()
    if len(text) > MESSAGE_LENGTH_CHARS_MAX:
        text = text[:MESSAGE_LENGTH_CHARS_MAX] + " ..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


async def _attempted(
    attempt: _Attempt,
    plan: Plan,
    around: Surroundings,
    history: History,
    database: str,
    folder: Path,
    *,
    is_watched: bool,
) -> None:
    attempt.bench = bench = _new_bench(plan, around, history, database, folder)
    witness = Witness(bench, tables_of(plan))
    try:
        await bench.start()
        if is_watched:
            await witness.begin(await bench.another_reader())
        elif around.bench != "embedded" and not around.duts.is_real_time:  # boards have rows in their history
            await witness.begin_beside(_keys_of(around))
        attempt.runner = attempt.new_runner(bench)
        await attempt.runner.run()
        if attempt.runner.verdict is Verdict.FAIL:
            attempt.detail = witness.end(attempt.runner.evidence)
    except Exception as error:
        attempt.errors.append(error)
    try:
        await bench.stop()
    except Exception as error:
        attempt.errors.append(error)
    if attempt.errors and isinstance(attempt.errors[0], BenchUnavailable):
        raise attempt.errors[0]


def _keys_of(around: Surroundings) -> dict[str, Sequence[str]] | None:
    """The keys of the target's tables that are there; None where the database is our own."""
    if around.target is None:
        return None
    return {table: keys for table, keys in THEIR_KEYS.items() if around.target.tables.has(table, *keys)}


def _new_loop(around: Surroundings) -> asyncio.AbstractEventLoop:
    if around.bench != "embedded":
        return asyncio.new_event_loop()
    from harness.bench.virtual.loop import VirtualLoop

    loop = VirtualLoop()
    cluster = around.own_cluster
    if not cluster.is_unix:
        loop.admit_postgres(cluster.host, cluster.port)
    return loop


def _closed(loop: asyncio.AbstractEventLoop, around: Surroundings) -> None:
    try:
        if around.bench != "embedded":
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _new_bench(plan: Plan, around: Surroundings, history: History, database: str, folder: Path) -> Any:
    if around.target is not None:
        from harness.bench.external import ExternalBench

        return ExternalBench(plan, history, around.target)
    where = (plan, history, around.own_cluster, database, around.template, folder)
    if around.bench == "processes":
        from harness.bench.processes import ProcessesBench

        duts = around.duts
        consoles = None if around.consoles is None else around.consoles / _folder_name(scenario_id(plan))
        login = (LOGIN_USER, token() + token()) if duts.is_real_time else None
        return ProcessesBench(*where, broker=around.broker, duts=duts, consoles=consoles, login=login)
    from harness.bench.embedded import EmbeddedBench

    return EmbeddedBench(*where)


def _folder_name(scenario: str) -> str:
    return re.sub(r"[^A-Za-z0-9.=,_-]+", "-", scenario)


def _header(plan: Plan, around: Surroundings) -> Header:
    options: dict[str, Any] = {"case": case_words(plan.case), "start_ms": plan.start_ms, "servers": plan.servers}
    if around.bench == "processes":
        options["broker"] = around.broker
        if around.duts.is_real_time:
            options["dut"] = around.duts.word
    if around.target is not None:
        options["target"] = around.target.target.name
    return Header(
        scenario=scenario_id(plan),
        seed=plan.seed,
        bench=around.bench,
        wakestorm=around.wakestorm,
        python=around.python,
        postgres_major=around.postgres_major,
        architecture=around.architecture,
        options=options,
    )


def _step_started(plan: Plan, index: int) -> StepStarted:
    step = plan.steps[index]
    kind = type(step).__name__.lower()
    return StepStarted(scenario=scenario_id(plan), index=index, kind=kind, line=step.place.line)


def blank_result(plan: Plan, around: Surroundings) -> ScenarioResult:
    """The result of a plan before anything is known of it."""
    return ScenarioResult(
        id=scenario_id(plan),
        file=plan.path,
        name=plan.name,
        verdict=Verdict.PASS,
        seed=plan.seed,
        bench=around.bench,
        case=case_words(plan.case),
        tags=plan.tags,
        covers=plan.covers,
    )


def _ended(plan: Plan, around: Surroundings, history: History, attempt: _Attempt) -> ScenarioEnded:
    runner = attempt.runner
    ledger = tuple(runner.evidence.ledger) if runner is not None and runner.evidence is not None else ()
    summed = totals(ledger)
    reproduce = _reproduce(plan, around)
    failures = [replace(failure, reproduce=reproduce) for failure in (runner.failures if runner is not None else ())]
    if failures:
        source = source_of(plan.path)
        failures = [replace(failure, excerpt=excerpt(source, failure.step_line)) for failure in failures]
    verdict = runner.verdict if runner is not None else Verdict.ERROR
    if attempt.errors:
        first = attempt.errors[0]
        for error in attempt.errors:
            traceback.print_exception(error)
        if isinstance(first, ConsoleError):
            failures.append(replace(_board_not_ready(plan, first), reproduce=reproduce))
        else:
            failures += error_result(plan, around, paragraph(first)).failures
        is_proved = isinstance(first, ConsoleError) and first.blame is not Blame.HARNESS
        verdict = Verdict.FAIL if is_proved or verdict is Verdict.FAIL else Verdict.ERROR
    text = history.to_jsonl()
    result = replace(
        blank_result(plan, around),
        verdict=verdict,
        failures=tuple(failures),
        virtual_ms=attempt.bench.clock.elapsed_ms() if attempt.bench is not None else 0,
        counts=Counts(
            wakes=len(history.of_kind("wake")),
            images_captured=len(history.captures()),
            images_stored=summed.stored,
            messages=len(history.of_kind("message")),
        ),
        ledger=summed,
        history_sha256=history.sha256(),
    )
    detail = None if attempt.detail is None else replace(attempt.detail, source=source_of(plan.path))
    return ScenarioEnded(result=result, history_jsonl=text, ledger=ledger, detail=detail)
