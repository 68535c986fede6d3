"""What a bench can't do of a plan, before it runs: each step with its line and the reason, from the faults' rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from harness.errors import Mistake, ScenarioError
from harness.plan import Plan
from harness.plan_steps import ActOn, Advance, Place, StepPlan, Wake
from simulator.catalogue import BenchName, row_named
from simulator.step_faults import HEALING, new_fault

VIRTUAL_TIME: Final = "virtual-time"
"""The tag of scenarios that expect things at exact times, or keep devices awake for longer than anybody waits."""


def faults_of(bench: str) -> BenchName:
    """Whose faults a bench has: the external one strikes cameras and lines as the processes bench does."""
    return "embedded" if bench == "embedded" else "processes"


def refuse_impossible(plans: Sequence[Plan], bench: BenchName) -> None:
    """Raises ScenarioError with everything in the plans that the bench can't do."""
    found = dict.fromkeys(mistake for plan in plans for mistake in refusals_of_bench(plan, bench))
    if found:
        raise ScenarioError(found)


def refusals_of_bench(plan: Plan, bench: BenchName) -> Iterator[Mistake]:
    """Everything of this plan that the bench can't do, each with its line and the reason."""
    if VIRTUAL_TIME in plan.tags and bench != "embedded":
        why = f"it counts on moments to the second, or on long waits, that real time does not have (tag {VIRTUAL_TIME})"
        yield Mistake(plan.path, 1, "tags", why, "run it with --bench embedded")
    for place, path, name, reason in (found for step in plan.steps for found in _refused(step, bench)):
        why = f"{name} is not to be had in the {bench} bench: {reason}"
        yield Mistake(plan.path, place.line, path, why, "run it with --bench embedded")


def _refused(step: StepPlan, bench: BenchName) -> Iterator[tuple[Place, str, str, str]]:
    """Place, path, word and reason of what the bench can't do."""
    match step:
        case ActOn() if step.do not in HEALING and (reason := _reason(step, bench)):
            yield step.place, f"{step.place.path}.{step.target}", step.do, reason
        case Wake(faults=faults) | Advance(faults=faults):
            for fault in faults:
                if reason := row_named(fault.action).reason_against(bench):
                    yield fault.place, f"{fault.place.path}.do", fault.action, reason
        case _:
            pass


def _reason(step: ActOn, bench: BenchName) -> str:
    reason = row_named(f"{step.target}_{step.do}").reason_against(bench)
    fault = new_fault(step.target, step.do, step.settings)
    if not reason and bench != "embedded" and fault is not None:
        return fault.only_embedded
    return reason
