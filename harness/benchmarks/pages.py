"""`bench pages`: how long the server takes to answer with the pages of devices, when there are very many.

A real `serve` asks who comes; each page is asked for by HTTP, one at a time, and must show what it is asked for.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from harness.bench.clock import moment_of
from harness.bench.postgres_cluster import Cluster
from harness.benchmarks.full_database import COMPANY, fill, mac_of, name_of
from harness.benchmarks.report import BenchReport, Measurement, Tell, measured, this_machine
from harness.errors import BenchUnavailable
from harness.fleet.guarded import PASSWORD, GuardedBench, as_header
from harness.machine import monotonic_s, unix_ms

AIM_MS: Final = 200.0
SORTS: Final = ("name", "mac", "battery", "last_seen", "next_wake")
DEEP: Final = 0.9
"""How far down the list the page in its depth lies."""

NO_HIT: Final = "No device is like that"
STEP_ROWS: Final = 1_000
"""Rows that each request on the way down asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesSettings:
    """How many rows there are, and how often each page is asked for."""

    devices: int
    images: int
    runs: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A page, whether the aim is its, and what stands in it."""

    name: str
    path: str
    shows: str
    is_list: bool = True


@dataclass(slots=True)
class Visit:
    """Somebody who looks at pages."""

    bench: GuardedBench
    cookie: str
    runs: int
    mistakes: list[str] = field(default_factory=list)

    async def get(self, path: str) -> bytes:
        """The body. Raises BenchUnavailable where there is none."""
        said = {"cookie": self.cookie, "accept": "text/html"}
        answer = await self.bench.exchange("GET", path, said)
        if answer.status != 200:
            raise BenchUnavailable(f"GET {path}: {answer.status}", hint=answer.body[:200].decode(errors="replace"))
        return answer.body

    async def times(self, asked: Asked) -> Measurement:
        """How long each answer took; the first of all is not counted."""
        body, values = await self.get(asked.path), []
        if asked.shows.encode() not in body:
            self.mistakes.append(f"{asked.name}: {asked.path} does not show {asked.shows!r}")
        for _ in range(self.runs):
            began_s = monotonic_s()
            await self.get(asked.path)
            values.append((monotonic_s() - began_s) * 1_000)
        return measured(asked.name, "ms", values, is_better="lower", aim=AIM_MS if asked.is_list else None)

    async def place_at(self, row: int) -> str:
        """The name of the page that begins after so many devices, by name."""
        place, passed = "", 0
        while passed < row:
            rows = min(STEP_ROWS, row - passed)
            after = f"&after={quote(place)}" if place else ""
            answer: dict[str, Any] = json.loads(await self.get(f"/api/v1/devices?limit={rows}{after}"))
            place, passed = answer["next"] or "", passed + rows
            if not place:
                raise BenchUnavailable(f"the list of devices ends before row {row}")
        return place


async def pages(settings: PagesSettings, tell: Tell, cluster: Cluster | None = None) -> BenchReport:
    """Fills a database, starts a server on it, and asks. Raises BenchUnavailable."""
    machine = this_machine()
    found: list[Measurement] = []
    async with _started(tell, cluster) as bench:
        began_s = monotonic_s()
        await fill(bench.owner, settings.devices, settings.images, moment_of(unix_ms()), tell)
        found.append(measured("filling the database", "s", [monotonic_s() - began_s], is_better="lower"))
        tell("users, and the way down the list")
        everybody = await _visit(bench, "ada", settings.runs)
        of_one = await _visit(bench, "lin", settings.runs, "--company", COMPANY)
        for visit, each in (
            (everybody, await _for_all(everybody, settings.devices)),
            (of_one, await _for_one(of_one)),
        ):
            for asked in each:
                tell(asked.name)
                found.append(await visit.times(asked))
    mistakes = [*everybody.mistakes, *of_one.mistakes]
    return BenchReport(bench="pages", machine=machine, settings=asdict(settings), measurements=found, mistakes=mistakes)


@asynccontextmanager
async def _started(tell: Tell, cluster: Cluster | None) -> AsyncIterator[GuardedBench]:
    with tempfile.TemporaryDirectory(prefix="wakestorm-bench-") as folder:
        bench = GuardedBench(Path(folder), "iotcore", log=tell, cluster=cluster)
        tell("PostgreSQL, broker and server")
        await bench.start()
        try:
            yield bench
        finally:
            await bench.stop()


async def _visit(bench: GuardedBench, name: str, runs: int, *of: str) -> Visit:
    """A new user, signed in."""
    await bench.command("user", "add", name, *of, "--password-stdin", given=PASSWORD)
    return Visit(bench, as_header(await bench.signed_in(name, {})), runs)


async def _for_all(visit: Visit, devices: int) -> list[Asked]:
    number = devices // 3
    number += name_of(number) is None
    name, mac = name_of(number) or "", mac_of(number)
    device_id = await _id_of(visit, name)
    deep = await visit.place_at(int(devices * DEEP))
    link = 'href="/devices/'
    return [
        *(Asked(f"devices by {sort}", f"/devices?{urlencode({'sort': sort})}", link) for sort in SORTS),
        Asked("devices by last_seen, newest first", "/devices?sort=last_seen&descending=true", link),
        Asked(f"devices after {DEEP:.0%} of them", f"/devices?after={quote(deep)}", link),
        Asked("only failed", "/devices?only=failed", "failed]"),
        Asked("only pending", "/devices?only=pending", "pending]"),
        Asked("search by name", f"/devices?search={quote(name)}", f">{name}<"),
        Asked("search by MAC", f"/devices?search={quote(mac)}", f"<code>{mac.replace(':', '')}<"),
        Asked("search without a hit", "/devices?search=no+such+camera", NO_HIT),
        Asked("a device's page", f"/devices/{device_id}", name, is_list=False),
        Asked("charts of the fleet", "/fleet", "<svg", is_list=False),
    ]


async def _for_one(visit: Visit) -> list[Asked]:
    name = name_of(1) or ""
    device_id = await _id_of(visit, name)
    others = name_of(2) or ""
    who = "one company's user: "
    link = 'href="/devices/'
    return [
        *(Asked(f"{who}devices by {sort}", f"/devices?{urlencode({'sort': sort})}", link) for sort in SORTS),
        Asked(f"{who}only failed", "/devices?only=failed", "failed]"),
        Asked(f"{who}search by name", f"/devices?search={quote(name)}", f">{name}<"),
        Asked(f"{who}search for another's", f"/devices?search={quote(others)}", NO_HIT),
        Asked(f"{who}a device's page", f"/devices/{device_id}", name, is_list=False),
    ]


async def _id_of(visit: Visit, name: str) -> str:
    rows = json.loads(await visit.get(f"/api/v1/devices?search={quote(name)}"))["items"]
    return next(str(row["device_id"]) for row in rows if row["device_name"] == name)
