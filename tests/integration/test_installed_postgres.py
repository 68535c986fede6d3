"""The oldest PostgreSQL that is supported, where one is installed: migrations and a scenario run on it too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.bench.postgres import ephemeral_cluster
from harness.verdict import Verdict
from tests.support.scenario_runs import plans, played

INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


@pytest.mark.slow
@pytest.mark.parametrize("binary", INSTALLED[:1] or [None], ids=lambda binary: str(binary and binary.parts[-3]))
def test_a_scenario_on_an_installed_postgresql(binary: Path | None, tmp_path: Path) -> None:
    """A transfer with a lost ACK, and a retry after a timeout."""
    if binary is None:
        pytest.skip("no PostgreSQL is installed below /usr/lib/postgresql; only the embedded one is tested here")
    environ = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    with ephemeral_cluster(environ | {"WAKESTORM_POSTGRES_BIN": str(binary.parent)}) as cluster:
        for plan in plans("resume/last-ack-lost.yaml")[:1] + plans("timeout/retry-at-the-next-wake-completes.yaml")[:1]:
            ended = played(plan, cluster, tmp_path)
            assert ended.result.verdict is Verdict.PASS, ended.result.failures
