"""Which scenarios these devices and this bench can play. A folder leaves out what they can't, a file named must fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from harness.bench_refusals import refusals_of_bench
from harness.dut.kinds import DutOrder, refusals
from harness.errors import Mistake, ScenarioError
from harness.events import LeftOut
from harness.plan import Plan
from harness.selection import scenario_id
from simulator.catalogue import BenchName


def _nothing(plan: Plan) -> Iterable[Mistake]:
    """What no target refuses."""
    return ()


def fitting(
    plans: Sequence[Plan],
    order: DutOrder,
    bench: BenchName,
    named: Iterable[str],
    further: Callable[[Plan], Iterable[Mistake]] = _nothing,
) -> tuple[list[Plan], tuple[LeftOut, ...]]:
    """The plans that can be played, and the others with the first reason against each.

    `named` are the files that were asked for by name. Raises ScenarioError with every mistake of those, or of all where
    nothing is left to play. `further` says what else is against a plan.
    """
    is_named = set(named)
    kept: list[Plan] = []
    left: list[LeftOut] = []
    wrong: list[Mistake] = []
    of_left: list[Mistake] = []
    for plan in plans:
        found = [*refusals(plan, order, bench), *refusals_of_bench(plan, bench), *further(plan)]
        if not found:
            kept.append(plan)
        elif plan.path in is_named:
            wrong += found
        else:
            of_left += found
            left.append(LeftOut(scenario=scenario_id(plan), reason=found[0].reason, hint=found[0].hint or ""))
    if wrong or not kept:
        raise ScenarioError(dict.fromkeys(wrong or of_left))
    return kept, tuple(left)
