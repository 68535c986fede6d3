"""Ids that SQL makes follow from the seed in the embedded bench: rows that only their ids order come in one order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.bench.postgres import Cluster
from harness.loader import load_bytes
from harness.plan import Plan, plans_of
from harness.verdict import Verdict
from tests.support.scenario_runs import played

pytestmark = pytest.mark.postgres

SCENARIO = b"""\
version: 1
name: A retry is queued, and its id is not what is expected
devices:
  cam: {wake: {every: 3h}, image: {size: 4kB, chunk: 1kB}}
steps:
  - wake: cam
    faults: [{who: cam, at: "chunk[1].sent", do: {power_loss: {for: 12h}}}]
  - advance: 4h
  - expect: {sql: "SELECT command_id FROM device_commands", equals: none}
"""


def found(plan: Plan, cluster: Cluster, folder: Path) -> str:
    result = played(plan, cluster, folder).result
    assert result.verdict is Verdict.FAIL, result.failures
    return result.failures[0].found


def test_a_seed_has_ids_of_its_own(cluster: Cluster, tmp_path: Path) -> None:
    plan = plans_of(load_bytes(SCENARIO, Path("ids.yaml")))[0]
    once = found(plan, cluster, tmp_path)
    assert found(plan, cluster, tmp_path) == once
    assert found(replace(plan, seed=plan.seed + 1), cluster, tmp_path) != once
