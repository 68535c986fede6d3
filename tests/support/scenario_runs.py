"""Runs a scenario file's cases inside a test, in the embedded bench, on the test session's PostgreSQL."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from harness.bench.postgres import Cluster, run_blocking
from harness.bench.template import ensure_template
from harness.events import ScenarioEnded
from harness.loader import load_file
from harness.plan import Plan, plans_of
from harness.run_one import Surroundings, run_one

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "scenarios"
_NUMBERS = itertools.count()


def plans(file: str) -> list[Plan]:
    """Every case of a file below scenarios/."""
    return plans_of(load_file((SCENARIOS / file).relative_to(ROOT)))


def all_plans() -> list[Plan]:
    """Every case of every file, in the order of their names."""
    files = sorted(SCENARIOS.rglob("*.yaml"))
    return [plan for file in files for plan in plans_of(load_file(file.relative_to(ROOT)))]


def played(plan: Plan, cluster: Cluster, folder: Path, *, explain: bool = False) -> ScenarioEnded:
    """One run of the plan, from an empty world; with `explain` a failure is played again to be explained."""
    around = Surroundings(
        bench="embedded",
        cluster=cluster,
        template=run_blocking(ensure_template(cluster)),
        postgres_major=18,
        wakestorm="test",
        python="test",
        architecture="test",
    )
    number = next(_NUMBERS)
    database = f"played_{os.getpid()}_{number}"
    where = folder / str(number)
    return run_one(plan, around, database=database, folder=where, emit=lambda event: None, explain=explain)
