"""Faults in the processes bench are real: PostgreSQL of the scenario's own and the broker are killed and frozen."""

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


@pytest.mark.parametrize(
    ("name", "case", "who", "actions"),
    [
        ("database-crash", 0, "database", ["crash", "start"]),  # SIGKILL of every process
        ("database-pause", 0, "database", ["pause", "resume"]),  # SIGSTOP for a second
        ("broker-pause", 0, "broker", ["pause", "resume"]),  # SIGSTOP for 5 seconds
        pytest.param("database-pause", 1, "database", ["pause", "resume"], marks=pytest.mark.night),  # for 50 s
        pytest.param("server-pause", 0, "server0", ["pause", "resume"], marks=pytest.mark.night),  # for 20 s
        pytest.param("broker-crash", 0, "broker", ["crash", "start"], marks=pytest.mark.night),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_killed_or_frozen_in_a_transfer_comes_back_and_nothing_is_lost(
    name: str, case: int, who: str, actions: list[str], cluster: Cluster, tmp_path: Path
) -> None:
    around = Surroundings(
        bench="processes",
        cluster=cluster,
        template=run_blocking(ensure_template(cluster)),
        postgres_major=18,
        wakestorm="test",
        python="test",
        architecture="test",
    )
    plan = plans(f"faults/{name}.yaml")[case]
    database = f"real_faults_{name.replace('-', '_')}_{case}"
    ended = run_one(plan, around, database=database, folder=tmp_path, emit=lambda event: None)
    assert ended.result.verdict is Verdict.PASS, ended.result.failures
    records = [json.loads(line) for line in ended.history_jsonl.splitlines()[1:]]
    assert [record["action"] for record in records if record["who"] == who and "action" in record] == actions
