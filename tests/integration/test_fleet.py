"""Fleets on real processes: shards give the ledger of one, a lost shard proves nothing, Ctrl-C leaves nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bench.postgres_cluster import Cluster
from harness.benchmarks.device import sink
from harness.cli import exit_code_of
from harness.fleet import shards as shards_module
from harness.fleet.bench import BrokerAddress, OwnBench
from harness.fleet.command import FleetCommand, fleet_on, orders_of
from harness.fleet.files import FleetFiles
from harness.fleet.judging import verdict_of
from harness.fleet.order import FleetOrder, FleetState, LinkKind, Progress
from harness.fleet.ray_shards import RayShards
from harness.fleet.shards import LocalShards
from harness.ledger import LedgerTotals
from harness.verdict import Verdict
from simulator.fleet_fault import FleetFault, FleetFaultKind

pytestmark = pytest.mark.slow  # real processes in real time

CAMERAS = 8
ROOT = Path(__file__).parents[2]
SILENT_S = 3.0
NO_SAME_SECOND_S = 1.05
"""Photos carry whole seconds; two fleets of one seed on one bench must not share one."""


def order_of(link: LinkKind = "raw", **changes: int) -> FleetOrder:
    order = FleetOrder(
        devices=CAMERAS,
        wake_every_ms=600,
        for_ms=1_200,
        spread_ms=600,
        seed=5,
        image_bytes=3_000,
        chunk_spacing_ms=5,
        link=link,
        at_once=50,
    )
    return replace(order, **changes)  # type: ignore[arg-type]


def command_of(folder: Path, order: FleetOrder, shards: int) -> FleetCommand:
    return FleetCommand(
        order=order,
        broker="iotcore",
        database_url=None,
        shards=shards,
        runs_folder=folder,
        as_json=False,
        at_once_asked=False,
    )


@pytest.mark.postgres
def test_one_two_and_four_shards_have_one_ledger(cluster: Cluster, tmp_path: Path) -> None:
    async def body() -> dict[str, Path]:
        bench = OwnBench(tmp_path / "bench", "iotcore", log=lambda line: None, cluster=cluster)
        await bench.start()
        found: dict[str, Path] = {}
        try:
            await bench.register(range(CAMERAS), 5)
            for name, order, shards in (
                ("one", order_of("paho"), 1),
                ("four", order_of(), 4),
                ("1/2", order_of(part=1, parts=2), 1),
                ("2/2", order_of(part=2, parts=2), 1),
            ):
                result = await fleet_on(command_of(tmp_path, order, shards), bench)
                assert (result.verdict, result.reasons) == (Verdict.PASS, [])
                files = FleetFiles(tmp_path / "runs")
                files.write(order, result)
                found[name] = files.folder
                await asyncio.sleep(NO_SAME_SECOND_S)
        finally:
            await bench.stop()
        return found

    found = asyncio.run(body())
    whole = (found["one"] / "ledger.csv").read_text()
    assert whole.count("\n") == 1 + 2 * CAMERAS and whole.count(",stored,") == 2 * CAMERAS
    assert (found["four"] / "ledger.csv").read_text() == whole
    halves = [str(found["1/2"]), str(found["2/2"])]
    assert exit_code_of(["merge", *halves, "--out", str(tmp_path / "merged")]) == 0
    merged = tmp_path / "merged" / "latest"
    assert (merged / "ledger.csv").read_text() == whole
    for wrong in (halves[:1], [*halves, halves[0]], [halves[0], str(found["one"])]):
        assert exit_code_of(["merge", *wrong, "--out", str(tmp_path / "wrong")]) == 64
    shutil.rmtree(merged.resolve())


def _struck_in_the_second_shard(strike: Callable[[int], None]) -> LocalShards:
    """Two shards whose second is struck once a photo of it is confirmed; then both are told to stop."""

    async def body() -> LocalShards:
        async with sink() as port:
            orders = orders_of(order_of(for_ms=60_000), 2, BrokerAddress("127.0.0.1", port))
            shards: LocalShards

            def hear(said: Progress) -> None:
                if said.part == 2 and said.confirmed:
                    strike(shards.pids[2])
                    shards.stop()

            shards = LocalShards(orders, hear)
            await shards.run()
        return shards

    return asyncio.run(body())


def test_a_killed_shard_is_lost_and_nothing_is_proved() -> None:
    state = _struck_in_the_second_shard(lambda pid: os.kill(pid, signal.SIGKILL)).state
    assert state.finished == {1}
    assert list(state.lost) == [2]
    assert "exit code -9" in state.lost[2]
    doubts = [f"shard {part} was lost: {why}" for part, why in state.lost.items()]
    assert verdict_of(LedgerTotals(captured=3, stored=3), doubts) == (Verdict.INCONCLUSIVE, doubts)
    assert verdict_of(LedgerTotals(captured=3, stored=2, lost=1), doubts)[0] is Verdict.FAIL


def test_a_shard_that_falls_silent_is_lost_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped like a process of a machine that froze: no word, no end, no closed pipe."""

    def freeze(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr(shards_module, "SILENT_S_MAX", SILENT_S)

    shards = _struck_in_the_second_shard(freeze)
    assert shards.state.finished == {1}
    assert shards.state.lost == {2: f"it said nothing for {SILENT_S:g} s"}
    assert not Path(f"/proc/{shards.pids[2]}").exists()


def test_a_shard_has_a_last_deadline_also_where_it_goes_on_talking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards_module, "ENDS_LATER_S_MAX", -0.5)
    order = replace(order_of(for_ms=500), grace_ms=0)

    async def talk() -> None:
        async with shards_module.last_deadline(order):
            while True:
                await shards_module.heard_in_time(asyncio.sleep(0, "a word"))

    limit_s = order.ends_within_s - 0.5
    with pytest.raises(shards_module.ShardStuck, match=rf"^it did not end within {limit_s:g} s$"):
        asyncio.run(talk())


@pytest.mark.parametrize("kind", ["power_loss", "cut"])
def test_faults_strike_every_wake_until_the_end(kind: FleetFaultKind) -> None:
    """No photo is forgotten: what the sink has not confirmed is on a card, or came with the wakes after the faults."""

    async def body() -> FleetState:
        async with sink() as port:
            order = replace(order_of(for_ms=600), faults=(FleetFault(kind, 1.0),))
            shards = LocalShards(orders_of(order, 1, BrokerAddress("127.0.0.1", port)))
            await shards.run()
        return shards.state

    state = asyncio.run(body())
    sums = state.sums()
    assert state.troubles()[f"fault: {kind}"] >= CAMERAS
    assert len({capture.sha256 for capture in state.captures}) == sums["confirmed"] + len(state.held_sha256)
    assert state.lost == {}


@pytest.mark.night  # not in CI: Ray takes longer to start than all else here
def test_a_ray_actor_that_is_killed_is_a_lost_shard() -> None:
    pytest.importorskip("ray", reason="the package ray is missing: pip install 'wakestorm[ray]'")

    async def body() -> RayShards:
        async with sink() as port:
            orders = orders_of(order_of(for_ms=4_000), 2, BrokerAddress("127.0.0.1", port))
            shards = RayShards(orders, "local", lambda pids: os.kill(pids[2], signal.SIGKILL))
            await shards.run()
        return shards

    state = asyncio.run(body()).state
    assert state.finished == {1}
    assert state.latest[1].confirmed > 0
    assert "actor died" in state.lost[2]
    verdict, reasons = verdict_of(LedgerTotals(captured=3, stored=3), list(state.lost.values()))
    assert verdict is Verdict.INCONCLUSIVE and "actor died" in reasons[0]


@pytest.mark.postgres
def test_ctrl_c_lets_cameras_finish_and_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "harness.cli", "fleet", "--devices", "4", "--spread", "0s", "--pause", "5ms"],
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": cluster.dsn("postgres", cluster.superuser),
            "WAKESTORM_TEST_MARK": str(tmp_path),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        assert process.stderr.readline() == "4 cameras, paho, shards: 1\n"
        while "4 done" not in (line := process.stderr.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        out = process.stdout.read()
        assert process.wait() == 130, process.stderr.read()
    assert "4 photos: 4 stored (0 recovered), 0 lost" in out
    assert "4 cameras did not wake any more, because the fleet was stopped" in out
    assert (tmp_path / "runs" / "latest" / "verdict.json").exists()
    assert [pid for pid in Path("/proc").glob("[0-9]*") if _has_mark(pid, str(tmp_path))] == []


def _has_mark(pid: Path, mark: str) -> bool:
    try:
        return f"WAKESTORM_TEST_MARK={mark}".encode() in (pid / "environ").read_bytes()
    except OSError:
        return False
