"""Every request of a server to its database is a point at which it can break: tries them one after another.

`python -m harness.kill_points` plays three flows (a photo, a transfer that is interrupted and goes on, a photo that is
offered twice) in the embedded bench, each again for the 1st, 2nd, 3rd ... request, until a flow has no more of them.
At its point the request never arrives (`kill`), is carried out and not answered (`lose_answer`), fails (`fail`), or its
server dies with it (`crash`). Every photo must be stored once all the same. The full form is for the night.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from harness.bench.postgres import ephemeral_cluster, run_blocking
from harness.bench.postgres_cluster import Cluster
from harness.bench.template import ensure_template
from harness.errors import WakestormError
from harness.events import ScenarioEnded
from harness.history import records_in
from harness.loader import load_bytes
from harness.machine import architecture, monotonic_s, python_version, token, version
from harness.plan import Plan, plans_of
from harness.run_one import Surroundings, run_one
from harness.verdict import Verdict

AT: Final = ("commit", "request")

HOW: Final[dict[str, dict[str, Any]]] = {
    "kill": {"database": {"do": "kill_backends"}},
    "lose_answer": {"database": {"do": "lose_answer"}},
    "fail": {"database": {"do": "serialization_failure"}},
    "crash": {"server": {"do": "crash"}},
}
"""Name -> the step, but for its point."""

FLOWS: Final[dict[str, list[dict[str, Any]]]] = {
    "image": [{"wake": "cam"}],
    "resume": [
        {"wake": "cam", "faults": [{"who": "cam", "at": "chunk[1].sent", "do": "power_loss"}]},
        {"advance": "next_wake"},
    ],
    "duplicate": [
        {"wake": "cam", "faults": [{"who": "cam", "at": "ack_ok.received", "do": "lose"}]},
        {"advance": "next_wake"},
    ],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One place in one flow; `nth` counts from 1."""

    flow: str
    how: str
    at: str
    nth: int

    def __str__(self) -> str:
        return f"--flow {self.flow} --how {self.how} --at {self.at} --nth {self.nth}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """What became of a flow that was struck there."""

    point: Point
    verdict: Verdict
    found: tuple[str, ...]


def plan_of_point(point: Point, seed: int) -> Plan:
    """The flow with its strike armed before anything happens."""
    ((target, act),) = HOW[point.how].items()
    scenario = {
        "version": 1,
        "name": f"The flow {point.flow} is struck at a point: {point.how}",
        "seed": seed,
        "devices": {"cam": {"image": {"size": "3kB", "chunk": "1kB"}}},
        "steps": [{target: act | {"at": point.at, "nth": point.nth}}, *FLOWS[point.flow]],
    }
    return plans_of(load_bytes(json.dumps(scenario).encode(), Path("kill_points.yaml")))[0]


class Player:
    """Plays points on one cluster, each in a database of its own."""

    def __init__(self, cluster: Cluster, folder: Path, *, seed: int = 1) -> None:
        self._folder = folder
        self._seed = seed
        self._numbers = count(1)
        self._token = token()
        self._around = Surroundings(
            bench="embedded",
            cluster=cluster,
            template=run_blocking(ensure_template(cluster)),
            postgres_major=18,
            wakestorm=version(),
            python=python_version(),
            architecture=architecture(),
        )

    def played(self, point: Point) -> Struck | None:
        """None where the flow has no such request any more."""
        number = next(self._numbers)
        ended = run_one(
            plan_of_point(point, self._seed),
            self._around,
            database=f"ws_{self._token}_point_{number}",
            folder=self._folder / str(number),
            emit=lambda event: None,
        )
        if not _was_struck(ended, point):
            return None
        found = tuple(f"{failure.title}: {failure.found}" for failure in ended.result.failures)
        return Struck(point=point, verdict=ended.result.verdict, found=found)

    def points(self, flow: str, how: str, at: str, *, first: int = 1, every: int = 1) -> Iterator[Struck]:
        """Each `every`th point of a flow, from `first` on to its last."""
        for nth in count(first, every):
            struck = self.played(Point(flow=flow, how=how, at=at, nth=nth))
            if struck is None:
                return
            yield struck


def _was_struck(ended: ScenarioEnded, point: Point) -> bool:
    """The history has the strike, before the end of the steps or in the wakes after them."""
    action = f"{point.how} at {point.at}"
    return any(
        record["kind"] == "server" and record.get("action") == action for record in records_in(ended.history_jsonl)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0 where every photo was stored at every point."""
    parser = argparse.ArgumentParser(prog="python -m harness.kill_points", description=__doc__)
    parser.add_argument("--flow", choices=FLOWS, help="only this flow")
    parser.add_argument("--how", choices=HOW, help="only this kind of strike")
    parser.add_argument("--at", choices=AT, default="request", help="at requests (default), or at COMMITs only")
    parser.add_argument("--nth", type=int, help="only this point")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th point (default 1: all)")
    parser.add_argument("--seed", type=int, default=1, help="other latencies (default 1)")
    options = parser.parse_args(arguments)
    try:
        with ephemeral_cluster() as cluster, tempfile.TemporaryDirectory() as folder:
            failed = _try_all(Player(cluster, Path(folder), seed=options.seed), options)
    except WakestormError as error:
        print(f"kill_points: {error}", file=sys.stderr)
        return error.exit_code
    return 1 if failed else 0


def _try_all(player: Player, options: argparse.Namespace) -> int:
    """Prints a line for each flow and kind; returns how many points failed."""
    failed = tried = 0
    began_s = monotonic_s()
    for flow in [options.flow] if options.flow else FLOWS:
        for how in [options.how] if options.how else HOW:
            if options.nth:
                one = player.played(Point(flow=flow, how=how, at=options.at, nth=options.nth))
                struck = [one] if one else []
            else:
                struck = list(player.points(flow, how, options.at, every=options.every))
            bad = [item for item in struck if item.verdict is not Verdict.PASS]
            print(f"{flow:<10} {how:<12} {len(struck):>4} points, {len(bad)} failed", flush=True)
            for item in bad:
                print(f"  {item.verdict.value} {item.point}: {'; '.join(item.found)[:400]}")
            tried, failed = tried + len(struck), failed + len(bad)
    print(f"{tried} points in {monotonic_s() - began_s:.0f} s, {failed} failed, seed {options.seed}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
