"""`bench fleet`: what registered cameras cost in memory while they sleep. Run as a process, it is the measured one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.benchmarks.report import BenchReport, Tell, measured, this_machine
from harness.errors import BenchUnavailable
from harness.fleet.order import FleetOrder
from harness.fleet.worker import link_factory, rss_bytes
from harness.machine import own_cpu_s
from simulator.fleet import Fleet

AIM_MB: Final = 500.0
HOUR_MS: Final = 3_600_000
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySettings:
    """What is measured."""

    devices: int
    runs: int


def memory(settings: MemorySettings, tell: Tell) -> BenchReport:
    """Runs and reports."""
    machine = this_machine()
    found = [_one(settings.devices) for _ in range(settings.runs)]
    for number, item in enumerate(found, 1):
        tell(f"run {number}: {item['all_mb']:.0f} MB")
    return BenchReport(
        bench="fleet",
        machine=machine,
        settings={name: getattr(settings, name) for name in MemorySettings.__slots__},
        measurements=[
            measured("memory of the process", "MB", [item["all_mb"] for item in found], is_better="lower", aim=AIM_MB),
            measured("a camera", "bytes", [item["camera_bytes"] for item in found], is_better="lower"),
            measured("registering all", "CPU s", [item["cpu_s"] for item in found], is_better="lower"),
        ],
    )


def _one(devices: int) -> dict[str, float]:
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "harness.benchmarks.memory", str(devices)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        check=False,
    )
    if done.returncode:
        raise BenchUnavailable(f"{devices} cameras could not be registered", hint=done.stderr[-400:].strip())
    found: dict[str, float] = json.loads(done.stdout)
    return found


async def _registered(devices: int) -> dict[str, float]:
    links = link_factory("raw")
    order = FleetOrder(devices=devices, wake_every_ms=HOUR_MS, for_ms=24 * HOUR_MS, spread_ms=HOUR_MS)
    before_bytes, began_s = rss_bytes(), own_cpu_s()
    fleet = Fleet(order.plan(0), links, lambda index, photo: None)
    after_bytes = rss_bytes()
    assert fleet.counts().asleep == devices
    return {
        "all_mb": after_bytes / 1e6,
        "camera_bytes": (after_bytes - before_bytes) / devices,
        "cpu_s": own_cpu_s() - began_s,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_registered(int(sys.argv[1])))))
