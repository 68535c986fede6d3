"""`wakestorm lint` and `wakestorm ls`: reading scenarios without running them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from harness.bench_refusals import faults_of, refusals_of_bench
from harness.dut.boards_of_run import LOOPBACK, duts_of
from harness.dut.kinds import refusals
from harness.errors import Mistake, ScenarioError, UsageError, once_for_all_cases
from harness.fitting import fitting
from harness.jsonable import json_line
from harness.plan import Plan, plans_of
from harness.run_one import BenchKind
from harness.selection import Selection, loaded_scenarios, named_files, plans_for, scenario_id


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
    elif bench is not None and bench != "external" and not dut:
        name = bench
        _refuse(plans, lambda plan: refusals_of_bench(plan, name))
    if dut:
        _refuse_for_devices(plans, dut, boards, bench)
    cases = sum(len(scenario.cases) for scenario, _ in loaded)
    print(f"{_counted(len(loaded), 'file')}, {_counted(cases, 'scenario')}: no mistakes")
    return 0


def _refuse_for_devices(plans: Sequence[Plan], dut: str, boards: Path, bench: BenchKind | None) -> None:
    """What the devices can't do, and what the bench can't do that they need."""
    duts = duts_of(dut, boards, LOOPBACK)
    where = bench or ("processes" if duts.is_real_time else "embedded")
    _refuse(plans, lambda plan: [*refusals(plan, duts, where), *refusals_of_bench(plan, faults_of(where))])


def _refuse_for_target(plans: Sequence[Plan], file: Path) -> None:
    from harness.aiming import refused_unseen
    from harness.target import read_target

    target = read_target(file)
    _refuse(plans, lambda plan: [*refused_unseen(plan, target), *refusals_of_bench(plan, "processes")])


def _refuse(plans: Sequence[Plan], judge: Callable[[Plan], Iterable[Mistake]]) -> None:
    """Raises ScenarioError with everything against the plans; what cases have in common once, with their number."""
    found = once_for_all_cases(map(judge, plans), Counter(plan.path for plan in plans))
    if found:
        raise ScenarioError(found)


def list_command(selection: Selection, *, as_json: bool, dut: str = "", boards: Path = Path("boards.yaml")) -> int:
    """One line for each scenario and case; with `dut` for those that such devices can play.

    Raises ScenarioError where none fits, or a file that is named does not.
    """
    plans = _that_fit(selection, dut, boards) if dut else plans_for(selection)
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


def _that_fit(selection: Selection, dut: str, boards: Path) -> list[Plan]:
    """As `wakestorm run --dut` chooses, and how many that is."""
    duts = duts_of(dut, boards, LOOPBACK)
    asked = plans_for(selection, macs=[board.mac for board in duts.boards])
    bench = "processes" if duts.is_real_time else "embedded"
    plans, left_out = fitting(asked, duts, faults_of(bench), named_files(selection.paths))
    files = _counted(len({plan.path for plan in plans}), "file")
    said = f"{_counted(len(plans), 'scenario')} of {files} can be played with --dut {dut}, {len(left_out)} can not"
    why = "; `wakestorm lint --dut` with their folder says why" if left_out else ""
    print(said + why, file=sys.stderr)
    return plans


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
