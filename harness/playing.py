"""One scenario at a time on a cluster that stays: what pytest needs, where a suite knows all its plans beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from harness.bench.postgres_cluster import Cluster
from harness.dut.kinds import DutOrder
from harness.errors import BenchUnavailable, ScenarioError, UsageError
from harness.events import ScenarioEnded, StepStarted, from_json
from harness.jobs import Job, Told, Unavailable
from harness.machine import monotonic_s, token
from harness.plan import Plan
from harness.run_one import BenchKind, Surroundings, error_result
from harness.suite import EXPLAINED_MAX, WALL_MAX_S, SuiteOptions, drop_database_of, surroundings
from harness.suite_worker import Worker, working_folder
from harness.target_view import TargetSeen
from harness.verdict import Verdict

LOG_TAIL_CHARS: Final = 4_000


class Player:
    """Plays plans one after another in a worker process; `close` ends it. Starts nothing before the first plan.

    Before a target the plans are those of `aiming.aimed_plan`, and the rows that they leave are the caller's to delete.
    """

    def __init__(self, home: Cluster | TargetSeen, bench: BenchKind, duts: DutOrder | None = None) -> None:
        self._cluster = home if isinstance(home, Cluster) else None
        self._stack = ExitStack()
        self._folder = self._stack.enter_context(working_folder())
        self._errors_log = self._folder / "errors.log"
        self._options = SuiteOptions(
            bench=bench,
            duts=duts or DutOrder(),
            errors_log=self._errors_log,
            target=home if isinstance(home, TargetSeen) else None,
        )
        self._token = token()
        self._around: Surroundings | None = None
        self._worker: Worker | None = None
        self._count = 0
        self._failed = 0
        self._wrong: dict[str, ScenarioError] = {}
        self._seen: set[str] = set()

    def check(self, plans: Sequence[Plan]) -> None:
        """Asks PostgreSQL about the SQL of many plans at once; what is wrong is raised when they are played."""
        new = [plan for plan in plans if plan.path not in self._seen]
        self._seen |= {plan.path for plan in new}
        try:
            self._prepare(new)
        except ScenarioError as error:
            for file in {mistake.file for mistake in error.mistakes}:
                self._wrong[file] = ScenarioError(mistake for mistake in error.mistakes if mistake.file == file)

    def play(self, plan: Plan) -> ScenarioEnded:
        """Plays it to its verdict. Raises ScenarioError for SQL that can't run, BenchUnavailable."""
        if plan.path not in self._seen:
            self.check([plan])
        if plan.path in self._wrong:
            raise self._wrong[plan.path]
        worker, job = self._begun(plan)
        try:
            return self.end(worker, job)
        except BaseException:  # a Ctrl-C, too: whoever cleans up after it wants nobody to go on
            if worker.job is not None:
                self._lose(worker, job)
            raise

    def begin(self, plan: Plan) -> tuple[Worker, Job]:
        """Begins a plan whose steps come over the worker's connection; `end` takes its verdict."""
        return self._begun(plan, is_stepwise=True)

    def end(self, worker: Worker, job: Job) -> ScenarioEnded:
        """What became of it, as soon as that is known. Raises BenchUnavailable."""
        ended = self._outcome(worker, job)
        self._failed += ended.result.verdict is Verdict.FAIL
        return replace(ended, result=replace(ended.result, wall_s=round(monotonic_s() - worker.since_s, 3)))

    def drop(self, worker: Worker, job: Job) -> None:
        """Nobody wants to know any more what becomes of it."""
        self._lose(worker, job)

    def _begun(self, plan: Plan, *, is_stepwise: bool = False) -> tuple[Worker, Job]:
        around = self._around or self._prepare([])
        self._worker = worker = self._worker or Worker(self._errors_log, around.bench)
        if worker.job is not None:
            raise UsageError("the bench is in use: another scenario goes on step by step", hint="close that first")
        self._count += 1
        name = f"ws_{self._token}_{self._count}"
        job = Job(
            plan=plan,
            around=around,
            database=name,
            folder=self._folder / name,
            explain=self._failed < EXPLAINED_MAX and not is_stepwise,
            is_stepwise=is_stepwise,
        )
        worker.begin(job)
        return worker, job

    def errors(self) -> str:
        """The last lines of what went wrong in the worker process, with tracebacks."""
        try:
            return self._errors_log.read_text(errors="replace")[-LOG_TAIL_CHARS:]
        except OSError:
            return ""

    def close(self) -> None:
        """Ends the worker process and removes the folder."""
        if self._worker is not None:
            self._worker.end(at_once=self._worker.job is not None)
            self._worker = None
        self._stack.close()

    def _prepare(self, plans: Sequence[Plan]) -> Surroundings:
        self._around = surroundings(self._cluster, plans, self._options, f"ws_{self._token}_sql")
        return self._around

    def _outcome(self, worker: Worker, job: Job) -> ScenarioEnded:
        limit_s = WALL_MAX_S[self._options.bench]
        try:
            while worker.connection.poll(max(0.0, limit_s - (monotonic_s() - worker.since_s))):
                match worker.connection.recv():
                    case Unavailable(message=message, hint=hint):
                        worker.job = None
                        raise BenchUnavailable(message, hint=hint)
                    case Told(event=data):
                        event = from_json(data)
                        if isinstance(event, StepStarted):
                            worker.place = f":{event.line} (steps[{event.index}], {event.kind})"
                        if isinstance(event, ScenarioEnded):
                            worker.job = None
                            if event.result.verdict is Verdict.ERROR:
                                self._lose(worker, job)
                            return event
            worker.dump_stack()
            found = f"no verdict within {limit_s:.0f} s of real time; it was ended at {job.plan.path}{worker.place}"
        except (EOFError, ConnectionResetError):
            found = "the worker process ended by itself"
        self._lose(worker, job)
        return ScenarioEnded(result=error_result(job.plan, job.around, found))

    def _lose(self, worker: Worker, job: Job) -> None:
        """Whatever broke may have left something in that process: another one for the next plan."""
        self._worker = None
        worker.end(at_once=True)
        drop_database_of(job)
