"""`bench ingest`: how many verified wake cycles and chunks a second go through simulator, broker, server, PostgreSQL.

Cameras wake again as soon as they sleep. Afterwards every photo is judged by its row and its bytes; a run in which one
is missing proves nothing. CPU is read from /proc between the end of the warm-up and the end of the run.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.bench.brokers import BrokerKind
from harness.benchmarks.cycling import cycling_order
from harness.benchmarks.report import BenchReport, Measurement, Tell, measured, this_machine
from harness.benchmarks.used import cpu_of
from harness.fleet.bench import OwnBench
from harness.fleet.command import orders_of
from harness.fleet.judging import judged, verdict_of
from harness.fleet.order import LinkKind, Progress
from harness.fleet.shards import LocalShards
from harness.ledger import totals
from harness.verdict import Verdict

WARM_UP_S: Final = 2.0
BETWEEN_RUNS_S: Final = 1.1
"""Photos carry whole seconds: two runs share none."""

AIMS: Final = {("paho", "iotcore"): 5_000.0, ("raw", "mosquitto"): 10_000.0}
PROCESSES: Final = ("simulator", "broker", "server", "postgres", "harness")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """What is measured."""

    link: LinkKind
    broker: BrokerKind
    devices: int
    shards: int
    run_s: int
    runs: int
    chunks: int
    chunk_bytes: int
    window: int


@dataclass(slots=True)
class _Window:
    """Sums at the end of the warm-up and at the last word of all, when who was awake has finished."""

    pids: dict[str, int]
    first: dict[str, float] | None = None
    last: dict[str, float] | None = None
    latest: dict[int, Progress] = field(default_factory=dict)

    def hear(self, said: Progress) -> None:
        """One more word of a shard."""
        self.latest[said.part] = said
        elapsed_s = min(item.elapsed_s for item in self.latest.values())
        if elapsed_s < WARM_UP_S:
            return
        sample = {name: cpu_of(pid) for name, pid in self.pids.items()}
        sample["harness"] = sum(os.times()[:2])
        sample["simulator"] = sum(item.cpu_s for item in self.latest.values())
        sample["cycles"] = float(sum(item.confirmed for item in self.latest.values()))
        sample["elapsed"] = elapsed_s
        if self.first is None:
            self.first = sample
        self.last = sample

    def difference(self) -> dict[str, float]:
        """What passed between the two."""
        if self.first is None or self.last is None or self.last["elapsed"] <= self.first["elapsed"]:
            return {}
        return {name: self.last[name] - self.first[name] for name in self.first}


@dataclass(frozen=True, slots=True)
class IngestRun:
    """One run. CPU in seconds for each process; `cycles` and `seconds` are of the measured window."""

    cycles: float
    seconds: float
    cpu_s: dict[str, float]
    captured: int
    verified: int
    mistakes: list[str]


async def ingest(settings: IngestSettings, tell: Tell) -> BenchReport:
    """Runs and reports. Raises BenchUnavailable."""
    machine = this_machine()
    runs: list[IngestRun] = []
    with tempfile.TemporaryDirectory(prefix="wakestorm-bench-") as folder:
        bench = OwnBench(Path(folder), settings.broker, log=tell)
        await bench.start()
        try:
            await bench.register(range(settings.devices), 1)
            for number in range(settings.runs):
                await asyncio.sleep(BETWEEN_RUNS_S)
                runs.append(await _one(bench, settings, number))
                tell(
                    f"run {number + 1}: {_rate(runs[-1], settings):,.0f} chunks/s, {runs[-1].verified} photos verified"
                )
        finally:
            await bench.stop()
    return BenchReport(
        bench="ingest",
        machine=machine,
        settings={name: getattr(settings, name) for name in IngestSettings.__slots__},
        measurements=_measurements(runs, settings),
        notes=[_limit_of(runs, machine.cores)],
        mistakes=[mistake for run in runs for mistake in run.mistakes],
    )


async def _one(bench: OwnBench, settings: IngestSettings, number: int) -> IngestRun:
    window = _Window(bench.pids)
    shards = LocalShards(
        orders_of(cycling_order(settings, settings.link, number), settings.shards, bench.broker), window.hear
    )
    await shards.run()
    state = shards.state
    ledger = await judged(bench, state.captures, frozenset(state.held_sha256))
    found = totals(ledger)
    verdict, reasons = verdict_of(found, [f"shard {part}: {why}" for part, why in state.lost.items()])
    passed = window.difference()
    mistakes = [] if verdict is Verdict.PASS else [f"run {number + 1}: {reason}" for reason in reasons]
    if not passed.get("cycles"):
        mistakes.append(
            f"run {number + 1}: nothing could be measured after {WARM_UP_S:g} s of warm-up; let it run longer"
        )
    return IngestRun(
        cycles=passed.get("cycles", 0.0),
        seconds=passed.get("elapsed", 0.0),
        cpu_s={name: passed.get(name, 0.0) for name in PROCESSES},
        captured=found.captured,
        verified=found.stored,
        mistakes=mistakes,
    )


def _rate(run: IngestRun, settings: IngestSettings) -> float:
    return run.cycles * settings.chunks / run.seconds if run.seconds else 0.0


def _measurements(runs: Sequence[IngestRun], settings: IngestSettings) -> list[Measurement]:
    chunks = [max(run.cycles * settings.chunks, 1.0) for run in runs]
    rates = [_rate(run, settings) for run in runs]
    found = [
        measured("chunks", "/s", rates, aim=AIMS.get((settings.link, settings.broker))),
        measured("wake cycles", "/s", [rate / settings.chunks for rate in rates]),
        measured("photos verified of captured", "%", [100 * run.verified / max(run.captured, 1) for run in runs]),
    ]
    for name in PROCESSES:
        used = [run.cpu_s[name] * 1e6 / count for run, count in zip(runs, chunks, strict=True)]
        found.append(measured(f"CPU of {name}", "us/chunk", used, is_better="lower"))
    totals_us = [sum(run.cpu_s.values()) * 1e6 / count for run, count in zip(runs, chunks, strict=True)]
    found.append(measured("CPU of all", "us/chunk", totals_us, is_better="lower"))
    return found


def _limit_of(runs: Sequence[IngestRun], cores: int) -> str:
    """Which process keeps the others waiting, as far as CPU says it."""
    seconds = sum(run.seconds for run in runs) or 1.0
    shares = {name: sum(run.cpu_s[name] for run in runs) / seconds for name in PROCESSES}
    name = max(shares, key=lambda item: shares[item])
    busy = sum(shares.values())
    words = ", ".join(f"{item} {share:.2f}" for item, share in shares.items())
    if shares[name] >= 0.85:
        why = f"the {name} is the limit: it fills a core"
    elif busy >= 0.85 * cores:
        why = f"the {cores} cores are full; the {name} takes most of them"
    else:
        why = (
            f"no process is at its limit by CPU: {busy:.2f} of {cores} cores are used, others use the rest, or all wait"
        )
    return f"{why} (cores used: {words})"
