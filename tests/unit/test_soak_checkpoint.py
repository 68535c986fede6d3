"""Checkpoints of a soak: whole or not at all, never another one's code, and each run makes the same ones."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.clock import Changes, ScenarioClock
from harness.dut.simulated import SimulatedDut
from harness.errors import UsageError
from harness.soak.bench import ParkedBench
from harness.soak.checkpoint import Progressed, begin, commit, is_due, locked, newest, read_order, write_order
from harness.soak.order import SoakOrder, plan_of_soak
from harness.soak.parked import CheckpointDamaged, packed, unpacked
from simulator.broker import Broker
from simulator.camera import Camera
from simulator.device import Device
from simulator.effects import DeviceIdentity
from simulator.profile import profile_named
from simulator.rng import Rng

ORDER = SoakOrder(devices=2, days=9, seed=7, wake_every_ms=3_600_000, image_size_bytes=10_000, chunk_size_bytes=1_000)


def _parked(now_us: int = 1) -> ParkedBench:
    return ParkedBench(now_us=now_us, leg=1, broker=Broker(), duts=[], incarnations=[3], early=[])


def _written(folder: Path, day: int) -> None:
    draft = begin(folder, day)
    (draft / "public.devices.copy").write_bytes(b"rows")
    progressed = Progressed(day=day, history_bytes=10, cpu_s=1.0, wall_s=2.0)
    commit(draft, progressed, _parked(day), {"captured": day})


def test_the_newest_one_is_read_and_the_others_are_gone(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    for day in (1, 2):
        _written(tmp_path, day)
    begin(tmp_path, 3)  # killed while the third was written
    found = newest(tmp_path)
    assert found is not None
    assert (found.progressed.day, found.bench.now_us, found.life) == (2, 2, {"captured": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["day-0002"]


@pytest.mark.parametrize("name", ["public.devices.copy", "state.bin", "manifest.json"])
def test_a_damaged_one_is_refused(tmp_path: Path, name: str) -> None:
    _written(tmp_path, 1)
    path = tmp_path / "day-0001" / name
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(CheckpointDamaged):
        newest(tmp_path)


def test_the_order_is_kept_and_another_version_is_refused(tmp_path: Path) -> None:
    write_order(tmp_path, ORDER, "ws_1_soak", "1.0")
    assert read_order(tmp_path, "1.0") == (ORDER, "ws_1_soak")
    with pytest.raises(UsageError, match="was begun by wakestorm"):
        read_order(tmp_path, "2.0")


def test_two_processes_do_not_soak_in_one_folder(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(UsageError, match="another process"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_camera_is_the_same_afterwards() -> None:
    profile = profile_named("esp32s3-cam@3.5.0")
    camera = Camera(device_id="B8F862F9C1C4", seed=7, size_bytes=5_000)
    device = Device(DeviceIdentity(device_id="B8F862F9C1C4", location="", name="cam"), profile, camera, Rng(7))
    device.wake(1_000)
    device.wifi_up(2_000)
    again: Device = unpacked(packed(device))
    assert again.state is device.state
    assert again.link_up(3_000) == device.link_up(3_000)
    assert again.card is again._sender._card, "what is shared stays shared"


def test_a_camera_goes_on_with_the_firmware_that_it_runs() -> None:
    """Its day's firmware speaks other topics than the one that its fleet began with, also before the next day comes."""

    def new_dut() -> SimulatedDut:
        planned = plan_of_soak(ORDER).devices[0]
        history: Any = SimpleNamespace(append=lambda *_, **__: None)
        links: Any = lambda settings, *_: settings  # noqa: E731
        return SimulatedDut(
            planned,
            seed=7,
            location="",
            clock=ScenarioClock(0),
            changes=Changes(),
            history=history,
            links=links,
            broker=("broker", 1883),
        )

    async def body() -> None:
        parked, again = new_dut(), new_dut()
        parked.flash("esp32s3-cam@paper-v4")
        assert again.link != parked.link
        again.device = unpacked(packed(parked.device))
        again.follow_firmware()
        assert (again.profile, again.dialect, again.link) == (parked.profile, parked.dialect, parked.link)

    asyncio.run(body())


@pytest.mark.parametrize("harmful", [print, datetime.now, Path("/")])
def test_a_checkpoint_runs_no_code_of_its_own(harmful: object) -> None:
    with pytest.raises(CheckpointDamaged, match="may not name"):
        unpacked(pickle.dumps(harmful))


def test_plain_data_passes() -> None:
    value = {"when": datetime(2026, 1, 5, tzinfo=UTC), "names": {"a", "b"}, "counts": [1, 2.5, None, b"x"]}
    assert unpacked(packed(value)) == value


@given(st.integers(1, 390))
def test_a_kill_loses_a_tenth_at_most_or_a_day(day: int) -> None:
    last = max((earlier for earlier in range(1, day + 1) if is_due(earlier)), default=0)
    assert day - last <= max(0, day // 10)
