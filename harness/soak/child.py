"""The process that soaks: one job from its pipe, what it tells back into it. Started by `command`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from harness.bench.one_core import share_one_core
from harness.bench.processes import ProcessesBench
from harness.bench.virtual.loop import VirtualLoop
from harness.events import Counts, Failure, ScenarioEnded, ScenarioResult
from harness.history import Header
from harness.ledger import totals
from harness.observe import Observer
from harness.plan import Plan
from harness.run_one import paragraph
from harness.runner import Runner
from harness.soak.bench import SoakBench
from harness.soak.checkpoint import HISTORY, SAMPLES, Checkpoint, newest
from harness.soak.daily import measures
from harness.soak.days import Setting, begin
from harness.soak.history import SoakHistory
from harness.soak.machine import Costs
from harness.soak.order import plan_of_soak
from harness.soak.telling import SoakEnded, SoakJob
from harness.verdict import Verdict


def soaked(job: SoakJob, connection: Connection) -> SoakEnded:
    """Lives the days, heals, drains, checks. Whatever breaks is a verdict of ERROR."""
    plan = plan_of_soak(job.order)
    resumed = newest(job.folder) if job.resumes else None
    if resumed is None:
        (job.folder / SAMPLES).unlink(missing_ok=True)  # of days before a first checkpoint
    kept_bytes = resumed.progressed.history_bytes if resumed is not None else 0
    history = SoakHistory(_header(job, plan), job.folder / HISTORY, kept_bytes=kept_bytes)
    costs = Costs()
    if resumed is not None:
        costs = Costs(resumed.progressed.cpu_s, resumed.progressed.wall_s)
    setting = Setting(
        job.order,
        history,
        connection.send,
        is_stopping=connection.poll,
        costs=costs,
        folder=job.folder,
        resumed=resumed,
    )
    begin(setting)
    night = _Night(job, plan, history, resumed)
    night.run()
    return SoakEnded(
        ended=_ended(job, plan, history, night.runner, night.errors),
        days=setting.days,
        was_stopped=setting.was_stopped,
        coverage=setting.coverage.table(),
        final=night.final,
        cpu_s=costs.cpu_s(),
        wall_s=costs.wall_s(),
    )


def _header(job: SoakJob, plan: Plan) -> Header:
    around = job.around
    return Header(
        scenario=plan.path,
        seed=plan.seed,
        bench=job.order.bench,
        wakestorm=around.wakestorm,
        python=around.python,
        postgres_major=around.postgres_major,
        architecture=around.architecture,
        options={"start_ms": plan.start_ms, "command": job.order.command()},
    )


class _Night:
    """One run of the plan; `runner`, `errors` and `final` say how it went."""

    def __init__(self, job: SoakJob, plan: Plan, history: SoakHistory, resumed: Checkpoint | None) -> None:
        self._job = job
        self._plan = plan
        self._history = history
        self._resumed = resumed
        self.runner: Runner | None = None
        self.errors: list[BaseException] = []
        self.final: dict[str, Any] = {}

    def run(self) -> None:
        """From start to end, on a loop of its own."""
        loop = self._new_loop()
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._run())
        except Exception as error:
            self.errors.append(error)
        finally:
            asyncio.set_event_loop(None)
            loop.close()
            self._history.close()
        for broken in self.errors:
            traceback.print_exception(broken)

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        if self._job.order.bench == "processes":
            return asyncio.new_event_loop()
        cluster = self._job.around.own_cluster
        loop = VirtualLoop(began_us=0 if self._resumed is None else self._resumed.bench.now_us)
        if not cluster.is_unix:
            loop.admit_postgres(cluster.host, cluster.port)
        return loop

    def _new_bench(self) -> Any:
        job, found = self._job, self._resumed
        where = (self._plan, self._history, job.around.own_cluster, job.database, job.around.template, job.folder)
        if job.order.bench == "processes":
            bench = ProcessesBench(*where, broker=job.order.broker)
            bench.gives_every_line = True  # which of them the nemesis will strike, nobody knows yet
            return bench
        if found is None:
            return SoakBench(*where)
        return SoakBench(*where, begun=found.bench, rows=found.rows)

    async def _run(self) -> None:
        bench = self._new_bench()
        try:
            await bench.start()
            self.runner = Runner(bench)
            await self.runner.run()
            async with bench.exclusive():
                self.final.update(await measures(Observer(bench.reader, bench.clock.now), bench.clock.now()))
            if isinstance(bench, SoakBench):
                self.final["connections_left"] = bench.connections_left
        except Exception as error:
            self.errors.append(error)
        await bench.stop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if self._job.order.bench == "processes":  # the virtual loop lets go of its tasks by itself
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)


def _ended(
    job: SoakJob, plan: Plan, history: SoakHistory, runner: Runner | None, errors: list[BaseException]
) -> ScenarioEnded:
    ledger = tuple(runner.evidence.ledger) if runner is not None and runner.evidence is not None else ()
    summed = totals(ledger)
    failures = list(runner.failures) if runner is not None else []
    verdict = runner.verdict if runner is not None else Verdict.ERROR
    for error in errors:
        failures.append(Failure(title="the run itself broke", expected="a verdict", found=paragraph(error)))
        verdict = verdict if verdict is Verdict.FAIL else Verdict.ERROR
    result = ScenarioResult(
        id=plan.path,
        file=plan.path,
        name=plan.name,
        verdict=verdict,
        seed=plan.seed,
        bench=job.order.bench,
        failures=tuple(failures),
        counts=Counts(
            wakes=history.counts["wake"],
            images_captured=history.counts["capture"],
            images_stored=summed.stored,
            messages=history.counts["message"],
        ),
        ledger=summed,
        history_sha256=history.sha256(),
    )
    return ScenarioEnded(result=result, ledger=ledger)


def main() -> None:
    """Reads the file descriptor of its pipe from the command line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what a Ctrl-C means
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)  # every planned outage would be a page of errors.log
    connection = Connection(int(sys.argv[1]))
    try:
        job: SoakJob = connection.recv()
        if job.order.bench == "embedded":
            share_one_core(os.getpid())
        connection.send(soaked(job, connection))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        sys.exit(1)


if __name__ == "__main__":
    main()
