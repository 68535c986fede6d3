"""What a fleet leaves behind: `runs/<name>/` with verdict.json, ledger.csv, captures.csv and fleet.json.

The ledger has no times: it is the same for the same seed, however many shards there were. Times stand in captures.csv.
"""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from harness.errors import UsageError
from harness.events import Counts, Failure, ScenarioEnded, ScenarioResult, SuiteEnded, SuiteStarted
from harness.fleet.order import FleetOrder
from harness.jsonable import json_line
from harness.machine import run_name, version
from harness.report.files import RunFiles, written_whole
from simulator.fleet import camera_name

if TYPE_CHECKING:
    from harness.fleet.command import FleetResult

FLEET: Final = "fleet"


class FleetFiles:
    """The folder of one run."""

    def __init__(self, runs_folder: Path) -> None:
        try:
            self._files = RunFiles(runs_folder, run_name(), wakestorm=version())
        except OSError as error:
            raise UsageError(f"--out {runs_folder}: {error.strerror or error}") from error
        self.folder = self._files.folder

    def drop_empty(self) -> None:
        """Nothing came of it."""
        with suppress(OSError):
            self.folder.rmdir()

    def write(self, order: FleetOrder, result: FleetResult) -> None:
        """All files; verdict.json is there last but `latest`."""
        written_whole(self.folder / "captures.csv", _captures_csv(result))
        summary = msgspec.json.format(json_line(_summary(order, result)), indent=2)
        written_whole(self.folder / "fleet.json", summary + "\n")
        self._files.shard = f"{order.part}/{order.parts}"
        self._files.on_event(SuiteStarted(planned=(FLEET,), bench=FLEET, seed=order.seed))
        ledger = tuple(replace(entry, captured_at="") for entry in result.ledger)
        self._files.on_event(ScenarioEnded(result=_result_of(order, result), ledger=ledger))
        self._files.on_event(SuiteEnded(verdict=result.verdict, wall_s=result.wall_s, interrupted=result.interrupted))


def _result_of(order: FleetOrder, result: FleetResult) -> ScenarioResult:
    sums = result.state.sums()
    return ScenarioResult(
        id=FLEET,
        file="",
        name=f"A fleet of {order.devices} cameras",
        verdict=result.verdict,
        seed=order.seed,
        bench=FLEET,
        failures=tuple(
            Failure(title="the fleet's photos", expected="each stored once, undamaged", found=reason)
            for reason in result.reasons
        ),
        wall_s=round(result.wall_s, 3),
        counts=Counts(
            wakes=sums["wakes"],
            images_captured=result.totals.captured,
            images_stored=result.totals.stored,
            messages=sums["messages"],
        ),
        ledger=result.totals,
    )


def _summary(order: FleetOrder, result: FleetResult) -> dict[str, Any]:
    state = result.state
    latencies = state.latencies()
    return {
        "order": asdict(replace(order, username=None, password=None)),
        "verdict": result.verdict.value,
        "reasons": result.reasons,
        "counts": state.sums(),
        "latency_ms": {f"p{percent}": latencies.percentile_ms(percent) for percent in (50, 95, 99)},
        "cycles_per_s": round(state.sums()["done"] / max(state.elapsed_s, 0.001), 2),
        "elapsed_s": state.elapsed_s,
        "late_ms": state.late_ms,
        "ledger": asdict(result.totals),
        "lost_shards": {str(part): reason for part, reason in sorted(state.lost.items())},
        "unfinished": {camera_name(index): what for index, what in sorted(state.unfinished.items())},
        "troubles": state.troubles(),
    }


def _captures_csv(result: FleetResult) -> str:
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(("device", "wake", "image_name", "captured_at", "size_bytes", "sha256"))
    for capture in sorted(result.state.captures, key=lambda item: (item.index, item.wake)):
        moment = datetime.fromtimestamp(capture.captured_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        writer.writerow(
            (camera_name(capture.index), capture.wake, capture.image_name, moment, capture.size_bytes, capture.sha256)
        )
    return page.getvalue()
