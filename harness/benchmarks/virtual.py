"""`bench virtual`: camera days a minute in the embedded bench: a day of cameras that wake every three hours.

Every photo is judged as in `wakestorm run`. Only the scenarios are timed, not the start of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from harness.benchmarks.report import BenchReport, Tell, measured, this_machine
from harness.events import Event, ScenarioEnded, ScenarioResult
from harness.loader import load_bytes
from harness.plan import Plan, plan_of
from harness.suite import Suite, SuiteOptions
from harness.verdict import Verdict

AIM: Final = 250.0
SCENARIO: Final = """\
version: 1
name: A day of {cameras} cameras
seed: {seed}
time_limit: 3d
devices:
  yard: {{count: {cameras}, wake: {{every: 3h}}, image: {{size: 10kB, chunk: 1kB}}}}
steps:
  - wake: yard
  - advance: 1d
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualSettings:
    """What is measured; each worker runs one day of so many cameras."""

    cameras: int
    workers: int
    runs: int


def virtual(settings: VirtualSettings, tell: Tell) -> BenchReport:
    """Runs and reports."""
    machine = this_machine()
    rates: list[float] = []
    mistakes: list[str] = []
    for number in range(settings.runs):
        results = _run(_plans(settings, number), settings.workers)
        mistakes += [
            f"run {number + 1}: {result.name}: {result.verdict.value}"
            for result in results
            if result.verdict is not Verdict.PASS
        ]
        took_s = max((result.wall_s for result in results), default=0.0)
        days = settings.cameras * len(results)
        rates.append(days * 60 / max(took_s, 1e-3))
        stored = sum(result.counts.images_stored for result in results)
        tell(f"run {number + 1}: {days} camera days in {took_s:.1f} s, {stored} photos stored")
    return BenchReport(
        bench="virtual",
        machine=machine,
        settings={name: getattr(settings, name) for name in VirtualSettings.__slots__},
        measurements=[measured("camera days", "a minute", rates, aim=AIM)],
        notes=[f"{settings.workers} workers on one PostgreSQL; a camera day is 8 wakes with a photo of 10 kB each"],
        mistakes=mistakes,
    )


def _plans(settings: VirtualSettings, number: int) -> list[Plan]:
    plans: list[Plan] = []
    for worker in range(settings.workers):
        text = SCENARIO.format(cameras=settings.cameras, seed=1 + number * settings.workers + worker)
        loaded = load_bytes(text.encode(), Path(f"bench/virtual-{worker + 1}.yaml"))
        plans.append(plan_of(loaded, loaded.cases[0], None))
    return plans


def _run(plans: Sequence[Plan], workers: int) -> list[ScenarioResult]:
    results: list[ScenarioResult] = []

    def hear(event: Event) -> None:
        if isinstance(event, ScenarioEnded):
            results.append(event.result)

    with TemporaryDirectory(prefix="wakestorm-bench-") as folder:
        options = SuiteOptions(bench="embedded", workers=workers, errors_log=Path(folder) / "errors.log")
        Suite(list(plans), options, hear).run()
    return results
