"""Same scenario, same seed: the same history, byte for byte. covers: issue-2/replay"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bench.postgres import Cluster
from harness.plan import Plan
from tests.support.scenario_runs import all_plans, played

REPLAYED = 30
"""How many cases run twice: spread evenly over the whole suite, so that every folder has its share."""


def _sample() -> list[Plan]:
    found = all_plans()
    return [found[number * len(found) // REPLAYED] for number in range(REPLAYED)] if len(found) > REPLAYED else found


@pytest.mark.postgres
@pytest.mark.parametrize("plan", _sample(), ids=lambda plan: plan.id)
def test_replay(plan: Plan, cluster: Cluster, tmp_path: Path) -> None:
    first = played(plan, cluster, tmp_path).history_jsonl.splitlines()
    second = played(plan, cluster, tmp_path).history_jsonl.splitlines()
    for number, (one, other) in enumerate(zip(first, second, strict=False)):
        assert one == other, f"line {number} differs"
    assert len(first) == len(second)
