"""`advance: next_wake` where a device is awake still: it falls asleep first. In real time that is a race."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bench.postgres import Cluster
from harness.loader import load_bytes
from harness.plan import plans_of
from harness.verdict import Verdict
from tests.support.scenario_runs import played

AWAKE = b"""
version: 1
name: The next wake of a camera that is in the middle of this one
devices:
  cam: {image: {size: 3kB, chunk: 1kB}}
steps:
  - wake: cam
    wait: false
  - advance: next_wake
  - expect: {eventually: 1m, rows: {table: device_images, are: [{status: complete}, {status: complete}]}}
drain: {wakes: 0}
"""


@pytest.mark.postgres
def test_who_is_awake_falls_asleep_first(cluster: Cluster, tmp_path: Path) -> None:
    (plan,) = plans_of(load_bytes(AWAKE, Path("awake.yaml")))
    result = played(plan, cluster, tmp_path).result
    assert (result.verdict, list(result.failures)) == (Verdict.PASS, [])
