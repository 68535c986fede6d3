"""`bench start`: how long a person waits: for help, for PostgreSQL, for a broker, for a server, for a first verdict."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.bench.brokers import BrokerKind, BrokerProcess, missing_reason
from harness.bench.postgres import ClusterProcess
from harness.benchmarks.report import BenchReport, Measurement, Tell, measured, this_machine
from harness.fleet.bench import OwnBench
from harness.machine import monotonic_s

HELP_AIM_S: Final = 0.3
KINDS: Final[tuple[BrokerKind, ...]] = ("iotcore", "mosquitto")
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSettings:
    """How often each start is taken."""

    runs: int


def start(settings: StartSettings, tell: Tell) -> BenchReport:
    """Runs and reports."""
    machine = this_machine()
    found: list[Measurement] = []
    for name, arguments, aim in (
        ("wakestorm --help", ["--help"], HELP_AIM_S),
        ("wakestorm run --help", ["run", "--help"], None),
        ("wakestorm ls", ["ls"], None),
    ):
        tell(name)
        took = [_command(arguments) for _ in range(settings.runs)]
        found.append(measured(name, "s", [wall_s for wall_s, _ in took], is_better="lower", aim=aim))
        found.append(measured(f"{name}, CPU", "s", [used_s for _, used_s in took], is_better="lower"))
    tell("PostgreSQL")
    found.append(measured("PostgreSQL", "s", [_postgres() for _ in range(settings.runs)], is_better="lower"))
    for kind in KINDS:
        if missing_reason(kind, os.environ) is None:
            tell(kind)
            found.append(measured(kind, "s", [_broker(kind) for _ in range(settings.runs)], is_better="lower"))
    tell("PostgreSQL, schema, broker and server")
    whole = [asyncio.run(_bench()) for _ in range(settings.runs)]
    found.append(measured("PostgreSQL, schema, broker and server", "s", whole, is_better="lower"))
    return BenchReport(bench="start", machine=machine, settings={"runs": settings.runs}, measurements=found)


def _command(arguments: Sequence[str]) -> tuple[float, float]:
    """Real and CPU seconds of one command line."""
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    used, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), monotonic_s()
    subprocess.run(
        [sys.executable, "-P", "-m", "harness.cli", *arguments],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": path},
        check=True,
    )
    wall_s, now = monotonic_s() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def _postgres() -> float:
    began_s = monotonic_s()
    with ClusterProcess(os.environ):
        return monotonic_s() - began_s


def _broker(kind: BrokerKind) -> float:
    with tempfile.TemporaryDirectory(prefix="wakestorm-bench-") as folder:
        began_s = monotonic_s()
        with BrokerProcess(kind, Path(folder)):
            return monotonic_s() - began_s


async def _bench() -> float:
    with tempfile.TemporaryDirectory(prefix="wakestorm-bench-") as folder:
        began_s = monotonic_s()
        bench = OwnBench(Path(folder), "iotcore", log=lambda line: None)
        await bench.start()
        took_s = monotonic_s() - began_s
        await bench.stop()
    return took_s
