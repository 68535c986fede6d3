"""Scenarios of faults in the processes bench: real broker, server and cameras, and the proxy between them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from harness.bench.postgres_cluster import Cluster
from harness.loader import load_file
from harness.plan import plans_of
from harness.runner import Runner
from harness.verdict import Verdict
from tests.integration.test_processes_bench import new_bench

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

SCENARIOS = Path(__file__).parents[2] / "scenarios" / "faults"


@pytest.mark.parametrize("name", ["cut-after", "corrupt-bytes"])
def test_the_promise_holds_behind_the_proxy(name: str, cluster: Cluster, tmp_path: Path) -> None:
    (plan,) = plans_of(load_file(SCENARIOS / f"{name}.yaml"))

    async def scenario() -> Runner:
        bench = new_bench(plan, cluster, tmp_path)
        await bench.start()
        try:
            assert set(bench.proxies) == {device.name for device in plan.devices}
            runner = Runner(bench)
            await runner.run()
            assert all(proxy.connections >= 2 for proxy in bench.proxies.values())
            return runner
        finally:
            await bench.stop()

    runner = asyncio.run(scenario())
    assert runner.failures == []
    assert runner.verdict is Verdict.PASS
