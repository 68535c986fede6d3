"""The process that soaks: one job from its pipe, what it tells back into it. Started by `command`."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from harness.bench.embedded import EmbeddedBench
from harness.bench.virtual.loop import VirtualLoop
from harness.events import Counts, Failure, ScenarioEnded, ScenarioResult
from harness.history import Header
from harness.ledger import totals
from harness.observe import Observer
from harness.plan import Plan
from harness.run_one import paragraph
from harness.runner import Runner
from harness.soak.daily import measures
from harness.soak.days import Setting, begin
from harness.soak.history import SoakHistory
from harness.soak.machine import cpu_s
from harness.soak.order import plan_of_soak
from harness.soak.telling import SoakEnded, SoakJob
from harness.verdict import Verdict


def soaked(job: SoakJob, connection: Connection) -> SoakEnded:
    """Lives the days, heals, drains, checks. Whatever breaks is a verdict of ERROR."""
    plan = plan_of_soak(job.order)
    around = job.around
    header = Header(
        scenario=plan.path,
        seed=plan.seed,
        bench="embedded",
        wakestorm=around.wakestorm,
        python=around.python,
        postgres_major=around.postgres_major,
        architecture=around.architecture,
        options={"start_ms": plan.start_ms, "command": job.order.command()},
    )
    history = SoakHistory(header, job.history)
    setting = Setting(job.order, history, connection.send, is_stopping=connection.poll)
    begin(setting)
    errors: list[BaseException] = []
    final: dict[str, Any] = {}
    runner: Runner | None = None
    loop = VirtualLoop()
    if not around.cluster.is_unix:
        loop.admit_postgres(around.cluster.host, around.cluster.port)
    asyncio.set_event_loop(loop)

    async def run() -> None:
        nonlocal runner
        bench: Any = EmbeddedBench(plan, history, around.cluster, job.database, around.template, job.folder)
        try:
            await bench.start()
            runner = Runner(bench)
            await runner.run()
            async with bench.exclusive():
                final.update(await measures(Observer(bench.reader, bench.clock.now), bench.clock.now()))
        except Exception as error:
            errors.append(error)
        await bench.stop()

    try:
        loop.run_until_complete(run())
    except Exception as error:
        errors.append(error)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        history.close()
    for broken in errors:
        traceback.print_exception(broken)
    return SoakEnded(
        ended=_ended(plan, history, runner, errors),
        days=setting.days,
        was_stopped=setting.was_stopped,
        coverage=setting.coverage.table(),
        final=final,
        cpu_s=round(cpu_s(), 2),
    )


def _ended(plan: Plan, history: SoakHistory, runner: Runner | None, errors: list[BaseException]) -> ScenarioEnded:
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
        bench="embedded",
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
        job.folder.mkdir(parents=True, exist_ok=True)
        connection.send(soaked(job, connection))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        sys.exit(1)


if __name__ == "__main__":
    main()
