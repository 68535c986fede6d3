"""Faults of PostgreSQL in the processes bench are real: kill -9 of a cluster of the scenario's own, and its restart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.bench.postgres import run_blocking
from harness.bench.postgres_cluster import Cluster
from harness.bench.template import ensure_template
from harness.run_one import Surroundings, run_one
from harness.verdict import Verdict
from tests.support.scenario_runs import plans

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def test_postgres_killed_in_a_transfer_comes_back_and_nothing_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    around = Surroundings(
        bench="processes",
        cluster=cluster,
        template=run_blocking(ensure_template(cluster)),
        postgres_major=18,
        wakestorm="test",
        python="test",
        architecture="test",
    )
    (plan,) = plans("faults/database-crash.yaml")
    ended = run_one(plan, around, database="real_faults_crash", folder=tmp_path, emit=lambda event: None)
    assert ended.result.verdict is Verdict.PASS, ended.result.failures
    records = [json.loads(line) for line in ended.history_jsonl.splitlines()[1:]]
    assert [record["action"] for record in records if record["who"] == "database"] == ["crash", "start"]
