"""`wakestorm lint` and `wakestorm ls`: reading scenarios without running them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.bench_refusals import refusals_of_bench, refuse_impossible
from harness.dut.boards_of_run import LOOPBACK, duts_of
from harness.dut.kinds import refuse_for_devices
from harness.errors import ScenarioError, UsageError
from harness.jsonable import json_line
from harness.plan import Plan, plans_of
from harness.run_one import BenchKind
from harness.selection import Selection, loaded_scenarios, plans_for, scenario_id


def lint_command(
    paths: Sequence[str], bench: BenchKind | None, dut: str, boards: Path, target: Path | None = None
) -> int:
    """Raises ScenarioError with every mistake of every file, or all that bench, devices or target can't do."""
    loaded = loaded_scenarios(paths)
    plans = [plan for scenario, _ in loaded for plan in plans_of(scenario)]
    if bench is not None and (bench == "external") != (target is not None):
        raise UsageError("--bench external and --target FILE go together", hint="docs/external.md has a whole file")
    if target is not None:
        _refuse_for_target(plans, target)
    elif bench is not None and bench != "external":
        refuse_impossible(plans, bench)
    if dut:
        duts = duts_of(dut, boards, LOOPBACK)
        where = bench or ("processes" if duts.is_real_time else "embedded")
        refuse_for_devices(plans, duts, where)
    cases = sum(len(scenario.cases) for scenario, _ in loaded)
    print(f"{_counted(len(loaded), 'file')}, {_counted(cases, 'scenario')}: no mistakes")
    return 0


def _refuse_for_target(plans: Sequence[Plan], file: Path) -> None:
    from harness.aiming import refused_unseen
    from harness.target import read_target

    found = refused_unseen(plans, read_target(file))
    found += [mistake for plan in plans for mistake in refusals_of_bench(plan, "processes")]
    if found:
        raise ScenarioError(found)


def list_command(selection: Selection, *, as_json: bool) -> int:
    """One line for each scenario and case."""
    plans = plans_for(selection)
    for plan in plans:
        if as_json:
            fields = {
                "id": scenario_id(plan),
                "name": plan.name,
                "tags": plan.tags,
                "covers": plan.covers,
                "seed": plan.seed,
                "devices": len(plan.devices),
                "steps": len(plan.steps),
            }
            print(json_line({key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}))
        else:
            words = [scenario_id(plan), plan.name]
            words += [f"[{' '.join(plan.tags)}]"] if plan.tags else []
            words += [f"covers {' '.join(plan.covers)}"] if plan.covers else []
            print("  ".join(words))
    return 0


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
