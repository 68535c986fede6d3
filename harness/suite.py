"""Runs plans in parallel: a pool of worker processes, one cluster for all, events to one function in one thread.

A scenario has a process to itself while it runs; a process that broke is replaced. The suite owns every database name
and folder it hands out, so that a killed worker leaves nothing behind.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Final

from harness.bench.postgres import ephemeral_cluster, run_blocking
from harness.bench.postgres_cluster import Cluster
from harness.bench.template import ensure_template
from harness.dut.kinds import DutOrder
from harness.errors import BenchUnavailable
from harness.events import (
    AttemptFailed,
    Event,
    LeftOut,
    ScenarioEnded,
    ScenarioResult,
    ScenarioStarted,
    StepStarted,
    SuiteEnded,
    SuiteStarted,
    from_json,
)
from harness.jobs import Job, Told, Unavailable
from harness.machine import architecture, monotonic_s, python_version, token, version
from harness.plan import Plan
from harness.run_one import BenchKind, Surroundings, error_result
from harness.selection import scenario_id
from harness.sql_check import check_sql
from harness.suite_worker import Worker, working_folder
from harness.target_view import TargetSeen
from harness.verdict import Verdict, merged

WALL_MAX_S: Final[dict[BenchKind, float]] = {"embedded": 300.0, "processes": 900.0, "external": 3_600.0}
"""No scenario takes this long; one that does hangs in a way that virtual time can not see."""

EXPLAINED_MAX: Final = 20
"""After so many failures the others are not played a second time to be explained."""

CONSOLES: Final = "consoles"
"""Folder of the run with a log file for each board."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOptions:
    """How to run. `max_failures` 0: never stop early; scenarios in `quarantine` decide no verdict."""

    bench: BenchKind = "embedded"
    workers: int = 1
    seed: int | None = None
    max_failures: int = 0
    broker: str = "iotcore"
    duts: DutOrder = field(default_factory=DutOrder)
    retries: int = 0
    quarantine: frozenset[str] = frozenset()
    left_out: tuple[LeftOut, ...] = ()
    errors_log: Path
    target: TargetSeen | None = None
    """With `bench` external; then no PostgreSQL is started."""


class Suite:
    """One run of many plans; `run` returns the results in the order in which they came."""

    def __init__(self, plans: Sequence[Plan], options: SuiteOptions, on_event: Callable[[Event], None]) -> None:
        self._plans = tuple(plans)
        self._waiting = deque(enumerate(plans))
        self._planned = tuple(scenario_id(plan) for plan in plans)
        self._options = options
        self._on_event = on_event
        self._workers: list[Worker] = []
        self._results: list[ScenarioResult] = []
        self._attempts: dict[str, int] = {}
        self._run_token = token()
        self._begun_s = monotonic_s()
        self._interrupted, self._interrupter = Pipe(duplex=False)

    def interrupt(self) -> None:
        """Asks the run to stop and keep what there is; may be called from a signal handler."""
        self._interrupter.send(None)

    def run(self) -> Verdict:
        """Runs everything. Raises BenchUnavailable or KeyboardInterrupt, after the partial results are out.

        Nothing is told when PostgreSQL can not be reached, or when it refuses the SQL of a scenario (ScenarioError).
        """
        options = self._options
        count = max(1, min(options.workers, len(self._planned)))
        with self._own_cluster() as cluster, working_folder() as folder:
            self._workers += [Worker(options.errors_log, options.bench, number) for number in range(count)]
            try:
                around = surroundings(cluster, self._plans, options, f"ws_{self._run_token}_sql")
            except BaseException:
                self._let_go(cluster)
                raise
            started = SuiteStarted(
                planned=self._planned,
                bench=options.bench,
                seed=options.seed,
                workers=count,
                dut=options.duts.word,
                left_out=options.left_out,
                quarantine=tuple(sorted(options.quarantine & set(self._planned))),
            )
            self._on_event(started)
            try:
                self._loop(around, folder, count)
            except BaseException:
                self._let_go(cluster)
                self._end(interrupted=True)
                raise
            self._let_go(cluster)
        return self._end(interrupted=bool(self._waiting))

    def _own_cluster(self) -> contextlib.AbstractContextManager[Cluster | None]:
        return contextlib.nullcontext() if self._options.target is not None else ephemeral_cluster()

    def _end(self, *, interrupted: bool) -> Verdict:
        verdict = merged(result.verdict for result in self._results if result.id not in self._options.quarantine)
        if interrupted and verdict is Verdict.PASS:
            verdict = Verdict.INCONCLUSIVE
        self._on_event(
            SuiteEnded(verdict=verdict, wall_s=round(monotonic_s() - self._begun_s, 3), interrupted=interrupted)
        )
        return verdict

    def _loop(self, around: Surroundings, folder: Path, count: int) -> None:
        while (self._waiting and not self._is_enough()) or any(worker.job for worker in self._workers):
            self._hand_out(around, folder, count)
            busy = {worker.connection: worker for worker in self._workers if worker.job is not None}
            for ready in wait([self._interrupted, *busy], timeout=1.0):
                if ready is self._interrupted:
                    raise KeyboardInterrupt
                assert isinstance(ready, Connection)
                self._listen(busy[ready])
            for worker in busy.values():
                limit_s = WALL_MAX_S[self._options.bench]
                if worker.job is not None and monotonic_s() - worker.since_s > limit_s:
                    worker.dump_stack()
                    where = f"{worker.job.plan.path}{worker.place}"
                    self._lost(worker, f"no verdict within {limit_s:.0f} s of real time; it was ended at {where}")

    def _is_enough(self) -> bool:
        bad = sum(result.verdict is not Verdict.PASS for result in self._results)
        return 0 < self._options.max_failures <= bad

    def _hand_out(self, around: Surroundings, folder: Path, count: int) -> None:
        while self._waiting and not self._is_enough():
            worker = next((worker for worker in self._workers if worker.job is None), None)
            if worker is None:
                if len(self._workers) >= count:
                    return
                free = min(set(range(count)) - {each.number for each in self._workers})
                worker = Worker(self._options.errors_log, self._options.bench, free)
                self._workers.append(worker)
            number, plan = self._waiting.popleft()
            self._on_event(ScenarioStarted(scenario=self._planned[number], name=plan.name, steps=len(plan.steps)))
            attempt = self._attempts.get(self._planned[number], 1)
            name = f"ws_{self._run_token}_{number}" + (f"_{attempt}" if attempt > 1 else "")
            explain = sum(result.verdict is Verdict.FAIL for result in self._results) < EXPLAINED_MAX
            worker.begin(Job(plan=plan, around=around, database=name, folder=folder / name, explain=explain))

    def _listen(self, worker: Worker) -> None:
        try:
            told = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            self._lost(worker, None)
            return
        match told:
            case Unavailable(message=message, hint=hint):
                raise BenchUnavailable(message, hint=hint)
            case Told(event=data):
                event = from_json(data)
                if isinstance(event, ScenarioEnded):
                    self._ended(worker, event)
                    return
                if isinstance(event, StepStarted):
                    worker.place = f":{event.line} (steps[{event.index}], {event.kind})"
                self._on_event(event)

    def _ended(self, worker: Worker, event: ScenarioEnded) -> None:
        result = replace(event.result, wall_s=round(monotonic_s() - worker.since_s, 3))
        job, worker.job = worker.job, None
        self._settle(replace(event, result=result), job)
        if result.verdict is Verdict.ERROR:  # whatever broke may have left something in that process
            self._workers.remove(worker)
            worker.end()
            if job is not None:
                drop_database_of(job)

    def _lost(self, worker: Worker, found: str | None) -> None:
        """The process is gone, or is ended now: an ERROR for its scenario, and another process for the next."""
        code = worker.end(at_once=found is not None)
        self._workers.remove(worker)
        assert worker.job is not None
        job = worker.job
        found = found or f"the worker process ended by itself with code {code}"
        result = error_result(job.plan, job.around, found)
        result = replace(result, wall_s=round(monotonic_s() - worker.since_s, 3))
        self._settle(ScenarioEnded(result=result), job)
        drop_database_of(job)

    def _settle(self, event: ScenarioEnded, job: Job | None) -> None:
        """The result counts, or the scenario gets another attempt."""
        scenario = event.result.id
        attempt = self._attempts.get(scenario, 1)
        result = replace(event.result, attempt=attempt)
        if result.verdict is not Verdict.PASS and attempt <= self._options.retries and job is not None:
            self._attempts[scenario] = attempt + 1
            self._waiting.append((self._planned.index(scenario), job.plan))
            self._on_event(AttemptFailed(result=result))
            return
        self._results.append(result)
        self._on_event(replace(event, result=result))

    def _let_go(self, cluster: Cluster | None) -> None:
        """Ends all workers; databases of scenarios that were under way go too."""
        for worker in self._workers:
            worker.end(at_once=worker.job is not None)
            if worker.job is not None and cluster is not None and not cluster.is_ours:
                with contextlib.suppress(BenchUnavailable):
                    drop_database_of(worker.job)
        self._workers.clear()


def drop_database_of(job: Job) -> None:
    """Its database goes, where it had one of its own."""
    if job.around.cluster is not None:
        run_blocking(job.around.cluster.drop_database(job.database))


def surroundings(cluster: Cluster | None, plans: Sequence[Plan], options: SuiteOptions, database: str) -> Surroundings:
    """What all plans share. Raises BenchUnavailable, and ScenarioError for SQL that PostgreSQL refuses."""
    target = options.target
    if cluster is None and target is not None:
        return _surroundings(options, None, "", target.postgres_major)
    assert cluster is not None, "a bench without target has a cluster"
    return run_blocking(_prepared(cluster, plans, options, database))


async def _prepared(cluster: Cluster, plans: Sequence[Plan], options: SuiteOptions, database: str) -> Surroundings:
    """The template is there, and PostgreSQL knows every table and column that the scenarios name."""
    async with cluster.admin() as connection:
        major = connection.get_server_version().major
    template = await ensure_template(cluster)
    await check_sql(plans, cluster, template, database)
    return _surroundings(options, cluster, template, major)


def _surroundings(options: SuiteOptions, cluster: Cluster | None, template: str, major: int) -> Surroundings:
    return Surroundings(
        bench=options.bench,
        cluster=cluster,
        template=template,
        postgres_major=major,
        wakestorm=version(),
        python=python_version(),
        architecture=architecture(),
        broker=options.broker,
        duts=options.duts,
        consoles=options.errors_log.parent.resolve() / CONSOLES if options.duts.is_real_time else None,
        target=options.target,
    )
