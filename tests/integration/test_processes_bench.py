"""The processes bench on real processes and sockets: servers killed in transfers, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bench.postgres import run_blocking
from harness.bench.postgres_cluster import Cluster
from harness.bench.processes import ProcessesBench
from harness.bench.template import ensure_template
from harness.history import Header, History
from harness.kills import CAMERAS, CHUNKS, kill_servers
from harness.loader import load_bytes
from harness.plan import Plan, plans_of
from harness.plan_steps import ActOn
from harness.runner import Runner
from harness.verdict import Verdict
from harness.witness import Witness

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

SLEEPY = """
version: 1
name: A photo before and after three hours of sleep
devices:
  yard: {image: {size: 3kB, chunk: 1kB}, traits: {chunk_spacing: 10ms}}
steps:
  - wake: yard
  - expect: {rows: {table: device_images, are: [{status: complete}]}}
  - expect: {log: {contains: "[Ingest] Image complete", device: yard, count: 1}, since: start}
  - http: {method: GET, path: /health, status: 200, contains: {status: ok}}
  - advance: next_wake
  - expect: {eventually: 1m, rows: {table: device_images, count: 2}}
  - expect: {eventually: 1m, message: {to: yard, topic: ack, contains: {ACK_OK: {next_wake_time: "6:00AM"}}}}
drain: {wakes: 0}
"""

OUTAGE = """
version: 1
name: A server is on the broker again before scenario time passes over it
devices:
  yard: {image: {size: 3kB, chunk: 1kB}, traits: {chunk_spacing: 10ms}}
steps:
  - broker: {do: stop, for: 5s}
drain: {wakes: 0}
"""

MARK = "WAKESTORM_TEST_MARK"
GONE_WITHIN_MS = 5_000


def marked(mark: str) -> dict[int, str]:
    """Command lines of the processes that inherited the mark, by pid; orphans too."""
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def is_gone(pid: int) -> bool:
    """Whether the process ends in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(GONE_WITHIN_MS))
    finally:
        os.close(descriptor)


@pytest.fixture
def nothing_left(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> Iterator[None]:
    """Whatever a test starts is gone after it, down to the servers' own children."""
    mark = f"{os.getpid()}-{request.node.name}"
    monkeypatch.setenv(MARK, mark)
    yield
    assert [line for pid, line in marked(mark).items() if not is_gone(pid)] == []


def killed(pid: int) -> None:
    """SIGKILL, and the process is a zombie on return."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def plan_of(text: str) -> Plan:
    """The first case of a scenario."""
    return plans_of(load_bytes(text.encode(), Path("test.yaml")))[0]


def new_bench(plan: Plan, cluster: Cluster, folder: Path) -> ProcessesBench:
    """A bench of the running loop."""
    header = Header(
        scenario=plan.id,
        seed=plan.seed,
        bench="processes",
        wakestorm="0",
        python="",
        postgres_major=18,
        architecture="",
    )
    template = run_blocking(ensure_template(cluster))
    return ProcessesBench(plan, History(header), cluster, f"test_processes_{os.getpid()}", template, folder)


def test_three_kills_in_transfers_lose_nothing(cluster: Cluster, tmp_path: Path, nothing_left: None) -> None:
    report = kill_servers(cluster, tmp_path, count=3, seed=4)
    assert report.result.failures == ()
    assert len(report.moments) == 3
    assert any(0 < sent < CAMERAS * (CHUNKS + 2) for sent in report.moments), "kills strike in transfers"
    assert report.ledger.captured == report.ledger.stored >= 3 * CAMERAS


def test_hours_of_sleep_take_seconds(cluster: Cluster, tmp_path: Path, nothing_left: None) -> None:
    """And what became of each row was seen on the way."""

    async def scenario() -> tuple[Runner, float]:
        bench = new_bench(plan_of(SLEEPY), cluster, tmp_path)
        loop = asyncio.get_running_loop()
        await bench.start()
        try:
            await Witness(bench).begin_beside()
            runner, began_s = Runner(bench), loop.time()
            await runner.run()
            assert bench.clock.elapsed_ms() > 3 * 3_600_000
            return runner, loop.time() - began_s
        finally:
            await bench.stop()

    runner, took_s = asyncio.run(scenario())
    assert runner.failures == []
    assert runner.verdict is Verdict.PASS
    assert took_s < 120
    seen = [record for _, record in runner.bench.history.asides() if record.fields["table"] == "device_images"]
    states = [record.fields["changes"]["status"][1] for record in seen if "status" in record.fields["changes"]]
    assert states.count("complete") == 2
    assert {record.who for record in seen} == {"yard[0]"}


def test_time_waits_for_a_server_that_connects_again(cluster: Cluster, tmp_path: Path, nothing_left: None) -> None:
    async def scenario() -> bool:
        bench = new_bench(plan := plan_of(OUTAGE), cluster, tmp_path)
        await bench.start()
        try:
            stop = plan.steps[0]
            assert isinstance(stop, ActOn)
            await bench.act(stop)
            await bench.pass_time(bench.clock.now_ms() + 120_000)
            return (await bench.servers[0].state()).is_ready
        finally:
            await bench.stop()

    assert asyncio.run(scenario())


def test_a_run_that_is_interrupted_leaves_nothing(cluster: Cluster, tmp_path: Path, nothing_left: None) -> None:
    async def interrupted() -> None:
        bench = new_bench(plan_of(SLEEPY), cluster, tmp_path)
        await bench.start()
        try:
            bench.duts[0].wake("button")
            asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)  # type: ignore[union-attr]
            await Runner(bench).run()
        finally:
            await bench.stop()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted())
    assert not run_blocking(cluster.database_exists(f"test_processes_{os.getpid()}"))


def test_a_server_that_ends_by_itself_is_told(cluster: Cluster, tmp_path: Path, nothing_left: None) -> None:
    async def scenario() -> list[str]:
        bench = new_bench(plan_of(SLEEPY), cluster, tmp_path)
        await bench.start()
        try:
            pid = bench.servers[0].pid
            assert pid is not None
            killed(pid)
            await bench.pass_time(bench.clock.now_ms() + 500)
            return list(bench.server_failures())
        finally:
            await bench.stop()

    (failure,) = asyncio.run(scenario())
    assert "server0 ended by itself with exit code -9" in failure
