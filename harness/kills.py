"""Kills a real server process again and again in the middle of transfers, and says whether anything was lost.

`python -m harness.kills --count 20`: a scenario on the processes bench, whose moments come from the seed. Three cameras
send at a time; the server gets SIGKILL, stays away for a while, starts again. At the end every photo must be stored
once, with the bytes that the camera took.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.bench.postgres import ephemeral_cluster, run_blocking
from harness.bench.postgres_cluster import Cluster
from harness.bench.template import ensure_template
from harness.errors import WakestormError
from harness.events import ScenarioResult
from harness.history import records_in
from harness.ledger import LedgerTotals
from harness.loader import load_bytes
from harness.machine import architecture, monotonic_s, python_version, token, version
from harness.plan import Plan, plans_of
from harness.run_one import Surroundings, run_one
from harness.verdict import Verdict
from simulator.rng import Rng

CAMERAS: Final = 3
CHUNKS: Final = 25
CHUNK_SPACING_MS: Final = 40
FIRST_MOMENT_MS: Final = 420
"""Joining Wi-Fi takes 400 ms; HELLO follows."""

LAST_MOMENT_MS: Final = 1_600
"""The last chunk leaves about 1.6 s after the start of a wake; then comes the completion."""

AWAY_MS_MAX: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KillsReport:
    """How it went. `moments` counts, for each kill, the messages that devices had sent since their wake."""

    result: ScenarioResult
    moments: tuple[int, ...]
    wall_s: float

    @property
    def ledger(self) -> LedgerTotals:
        """What became of the photos."""
        return self.result.ledger

    @property
    def is_good(self) -> bool:
        """Nothing lost, doubled or damaged, and nothing else wrong."""
        return self.result.verdict is Verdict.PASS


def kills_plan(count: int, seed: int) -> Plan:
    """The scenario with `count` kills at the seed's moments."""
    rng = Rng(f"{seed}/kills")
    steps: list[dict[str, Any]] = []
    for _ in range(count):
        steps += [
            {"wake": "yard", "wait": False},
            {"advance": f"{rng.between(FIRST_MOMENT_MS, LAST_MOMENT_MS)}ms"},
            {"server": "crash"},
            {"advance": f"{rng.between(1, AWAY_MS_MAX)}ms"},
            {"server": "start"},
            {"expect": {"eventually": "2m", "sleeping": "yard"}},
        ]
    scenario = {
        "version": 1,
        "name": f"A server is killed {count} times in the middle of transfers",
        "seed": seed,
        "time_limit": "30d",
        "devices": {
            "yard": {
                "count": CAMERAS,
                "image": {"size": f"{CHUNKS}kB", "chunk": "1kB"},
                "traits": {"chunk_spacing": f"{CHUNK_SPACING_MS}ms", "answer_wait": "10s", "ack_wait": "10s"},
            }
        },
        "steps": steps,
    }
    return plans_of(load_bytes(json.dumps(scenario).encode(), Path("kills.yaml")))[0]


def kill_servers(cluster: Cluster, folder: Path, *, count: int, seed: int, broker: str = "iotcore") -> KillsReport:
    """Run it in `folder`. Raises BenchUnavailable."""
    around = Surroundings(
        bench="processes",
        cluster=cluster,
        template=run_blocking(ensure_template(cluster)),
        postgres_major=18,
        wakestorm=version(),
        python=python_version(),
        architecture=architecture(),
        broker=broker,
    )
    began_s = monotonic_s()
    plan = kills_plan(count, seed)
    ended = run_one(plan, around, database=f"ws_{token()}_kills", folder=folder, emit=lambda event: None)
    records = records_in(ended.history_jsonl)
    return KillsReport(result=ended.result, moments=_moments(records), wall_s=monotonic_s() - began_s)


def _moments(records: Sequence[dict[str, Any]]) -> tuple[int, ...]:
    found: list[int] = []
    sent = 0
    for record in records:
        match record:
            case {"kind": "invoke", "step": "wake"}:
                sent = 0
            case {"kind": "message", "direction": "up"}:
                sent += 1
            case {"kind": "server", "action": "crashed"}:
                found.append(sent)
    return tuple(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0 where nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m harness.kills", description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="how many kills (default 20)")
    parser.add_argument("--seed", type=int, default=1, help="other moments (default 1)")
    parser.add_argument("--broker", choices=["iotcore", "mosquitto"], default="iotcore")
    options = parser.parse_args(arguments)
    try:
        with ephemeral_cluster() as cluster, tempfile.TemporaryDirectory() as folder:
            report = kill_servers(cluster, Path(folder), count=options.count, seed=options.seed, broker=options.broker)
    except WakestormError as error:
        print(f"kills: {error}", file=sys.stderr)
        return error.exit_code
    whole = CAMERAS * (2 + CHUNKS)
    ledger = report.ledger
    print(f"{report.result.verdict.value}: {len(report.moments)} kills in {report.wall_s:.0f} s, seed {options.seed}")
    print(f"messages sent at each kill, of {whole}: {', '.join(map(str, report.moments))}")
    print(f"photos: {ledger}")
    for failure in report.result.failures:
        print(f"{failure.title}: expected {failure.expected}; found {failure.found}")
        print("\n".join(f"  {line}" for line in failure.trace))
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
