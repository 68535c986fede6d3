"""`bench device`: wake cycles per CPU second of the simulator alone, for both links, against a sink."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.benchmarks.cycling import cycling_order
from harness.benchmarks.report import BenchReport, Measurement, Tell, measured, this_machine
from harness.errors import BenchUnavailable
from harness.fleet.bench import BrokerAddress
from harness.fleet.command import orders_of
from harness.fleet.order import LinkKind, Progress
from harness.fleet.shards import LocalShards

LINKS: Final[tuple[LinkKind, ...]] = ("paho", "raw")
AIMS: Final = {"paho": 900.0, "raw": 5_000.0}
WARM_UP_S: Final = 1.5
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """What is measured; `window`: chunks sent before a PUBACK."""

    devices: int
    run_s: int
    runs: int
    chunks: int
    chunk_bytes: int
    window: int


async def device(settings: DeviceSettings, tell: Tell) -> BenchReport:
    """Runs and reports. Raises BenchUnavailable where the sink does not start."""
    machine = this_machine()
    found: list[Measurement] = []
    mistakes: list[str] = []
    for link in LINKS:
        cycles: list[float] = []
        message_us: list[float] = []
        for number in range(settings.runs):
            first, last = await _one(link, settings, number, mistakes)
            used_s = max(last.cpu_s - first.cpu_s, 1e-6)
            cycles.append((last.confirmed - first.confirmed) / used_s)
            message_us.append(used_s * 1e6 / max(last.messages - first.messages, 1))
            tell(f"{link}, run {number + 1}: {cycles[-1]:,.0f} cycles per CPU second")
        found.append(measured(f"{link}: cycles", "per CPU second", cycles, aim=AIMS[link]))
        found.append(measured(f"{link}: CPU", "us/message", message_us, is_better="lower"))
    return BenchReport(
        bench="device",
        machine=machine,
        settings={name: getattr(settings, name) for name in DeviceSettings.__slots__},
        measurements=found,
        notes=[
            "a cycle is connect, HELLO, photo, metadata, chunks, final ACK, DISCONNECT; the sink's CPU is not counted"
        ],
        mistakes=mistakes,
    )


async def _one(link: LinkKind, settings: DeviceSettings, number: int, mistakes: list[str]) -> tuple[Progress, Progress]:
    """The first word after the warm-up, and the last."""
    order = cycling_order(settings, link, number)
    heard: list[Progress] = []
    async with sink() as port:
        shards = LocalShards(orders_of(order, 1, BrokerAddress("127.0.0.1", port)), heard.append)
        await shards.run()
    mistakes += [f"{link}, run {number + 1}: {why}" for why in shards.state.lost.values()]
    if heard and heard[-1].failed:
        mistakes.append(f"{link}, run {number + 1}: {heard[-1].failed} cycles failed: {heard[-1].troubles}")
    warm = _measured_part(heard, settings.run_s)
    if len(warm) < 2:
        raise BenchUnavailable(f"{link}: nothing could be measured in {settings.run_s} s", hint="let it run longer")
    return warm[0], warm[-1]


def _measured_part(heard: Sequence[Progress], run_s: int) -> list[Progress]:
    return [said for said in heard if WARM_UP_S <= said.elapsed_s <= run_s]


@asynccontextmanager
async def sink() -> AsyncIterator[int]:
    """The port of a sink that runs as a process."""
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "harness.benchmarks.sink"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        line = await process.stdout.readline()
        if not line:
            raise BenchUnavailable("the sink did not start")
        yield int(line)
    finally:
        process.stdin.close()
        await process.wait()
