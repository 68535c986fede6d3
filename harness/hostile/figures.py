"""The figures of `wakestorm bench hostile`: each attack once, with what was counted and what the aim is."""

from __future__ import annotations

import os
import tempfile
import textwrap
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.bench.brokers import missing_reason
from harness.hostile import brokers
from harness.hostile.certified import tls
from harness.hostile.exhaustion import exhaustion
from harness.hostile.figure import Figure
from harness.hostile.isolation import ISOLATED, ISOLATION, isolated, isolation
from harness.hostile.left_behind import left_behind
from harness.hostile.payloads import TAKEN, Case, corpus, fuzz, outcome_of
from harness.hostile.scenario_text import sql_guarded, sql_role, yaml_bombs
from harness.hostile.sending import pictures
from harness.hostile.stand import attacked_server
from harness.hostile.strangers import http
from harness.machine import own_cpu_s

Tell = Callable[[str], None]

PAYLOADS_MIN: Final = 5_000
FUZZED: Final = 100_000
GROWN_MB_MAX: Final = 64
REFUSED_MS_MAX: Final = 5.0


async def doors_simulated() -> Figure:
    """S1 on the simulated broker."""
    async with brokers.simulated() as place:
        return isolated("S1 simulated", await isolation(place))


async def doors_mosquitto() -> Figure:
    """S1 on a real mosquitto, with the files that `broker-config` writes."""
    reason = missing_reason("mosquitto", os.environ)
    if reason is not None:
        return Figure(id="S1 mosquitto", title=ISOLATION, found=reason, limit=ISOLATED, holds=None)
    with tempfile.TemporaryDirectory(prefix="wakestorm-hostile-") as folder:
        async with brokers.mosquitto(Path(folder)) as place:
            return isolated("S1 mosquitto", await isolation(place))


async def doors_gates() -> Figure:
    """S1 where a bench with boards stands before a broker without rules."""
    reason = missing_reason("mosquitto", os.environ)
    if reason is not None:
        return Figure(id="S1 gates", title=ISOLATION, found=reason, limit=ISOLATED, holds=None)
    with tempfile.TemporaryDirectory(prefix="wakestorm-hostile-") as folder:
        async with brokers.gated(Path(folder)) as place:
            return isolated("S1 gates", await isolation(place))


async def identities() -> Figure:
    """S2: payloads that name another device than their topic."""
    cases = [case for case in corpus() if case.may_be == ("identity_mismatch",)]
    wrong = [_words(case) for case in cases if outcome_of(case) not in case.may_be]
    return Figure(
        id="S2 identity",
        title="Payloads that name another device than the topic they came by",
        found=f"{len(cases)} messages, {len(cases) - len(wrong)} refused",
        limit="100 % refused",
        holds=not wrong,
        details=tuple(wrong),
    )


async def payloads() -> Figure:
    """S3: the corpus of payloads, each with the outcomes that are right."""
    tried = _tried(corpus())
    return Figure(
        id="S3 payloads",
        title="Bad payloads, each with the outcomes that are right",
        found=(
            f"{tried.count:,} messages: {tried.taken:,} taken, {tried.refused:,} refused with a reason, "
            f"{len(tried.wrong)} otherwise; the slowest {max(tried.took_ms):.1f} ms of CPU, "
            f"memory grew by {tried.grown_mb:.0f} MB"
        ),
        limit=f"{PAYLOADS_MIN:,} or more, 0 otherwise, memory below {GROWN_MB_MAX} MB more",
        holds=not tried.wrong and tried.count >= PAYLOADS_MIN and tried.grown_mb < GROWN_MB_MAX,
        details=tuple(tried.wrong),
    )


async def fuzzed(count: int) -> Figure:
    """S4: golden payloads with their bytes changed by chance."""
    tried = _tried(fuzz(count))
    p99_ms = sorted(tried.took_ms)[count * 99 // 100]
    return Figure(
        id="S4 fuzzing",
        title="Golden payloads with bytes changed by chance, of a fixed seed",
        found=(
            f"{tried.count:,} messages: {tried.taken:,} taken, {tried.refused:,} refused with a reason, "
            f"{len(tried.wrong)} otherwise; p99 {p99_ms:.2f} ms of CPU, memory grew by {tried.grown_mb:.0f} MB"
        ),
        limit=f"0 otherwise, p99 below {REFUSED_MS_MAX:g} ms, memory below {GROWN_MB_MAX} MB more",
        holds=not tried.wrong and p99_ms < REFUSED_MS_MAX and tried.grown_mb < GROWN_MB_MAX,
        details=tuple(tried.wrong),
    )


@dataclass(slots=True)
class _Tried:
    """What became of many messages."""

    taken: int = 0
    wrong: list[str] = field(default_factory=list)
    took_ms: array[float] = field(default_factory=lambda: array("d"))
    grown_mb: float = 0.0

    @property
    def count(self) -> int:
        return len(self.took_ms)

    @property
    def refused(self) -> int:
        return self.count - self.taken - len(self.wrong)


def _tried(cases: Iterable[Case]) -> _Tried:
    """Each of them through the decoder."""
    tried, before_bytes = _Tried(), _rss_bytes()
    for case in cases:
        started = own_cpu_s()
        try:
            outcome = outcome_of(case)
        except Exception as error:  # the figure is that there is none
            outcome = f"{type(error).__name__}: {error}"
        tried.took_ms.append((own_cpu_s() - started) * 1_000)
        if outcome not in case.may_be:
            tried.wrong.append(f"{_words(case)}: {outcome or 'taken'}")
        elif outcome == TAKEN:
            tried.taken += 1
    tried.grown_mb = (_rss_bytes() - before_bytes) / 1e6
    return tried


def _rss_bytes() -> int:
    """Memory of this process, where /proc says it."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def _words(case: Case) -> str:
    return f"{case.topic[:40]} {case.payload[:60]!r}"


async def figures(tell: Tell, *, is_quick: bool) -> list[Figure]:
    """All of them, one after the other."""
    alone: list[Callable[[], Awaitable[Figure]]] = [
        doors_simulated,
        doors_mosquitto,
        doors_gates,
        identities,
        payloads,
        yaml_bombs,
        sql_guarded,
    ]
    found = []
    for attack in alone:
        if is_quick and attack in (doors_simulated, doors_gates):
            continue
        tell((attack.__doc__ or "").splitlines()[0])
        found.append(await attack())
    tell((fuzzed.__doc__ or "").splitlines()[0])
    found.append(await fuzzed(FUZZED // 10 if is_quick else FUZZED))
    with tempfile.TemporaryDirectory(prefix="wakestorm-hostile-") as folder:
        tell("A server, a broker and a database to attack are started.")
        async with attacked_server(Path(folder)) as server:
            for part in (sql_role, http, tls, pictures, exhaustion, left_behind):
                tell((part.__doc__ or "").splitlines()[0])
                found += await part(server, is_quick=is_quick)
    return found


def shown(found: list[Figure]) -> list[str]:
    """Lines for a terminal of 80 columns."""
    lines: list[str] = []
    for figure in found:
        lines.append(f"{figure.verdict:<14}{figure.id}: {figure.title}")
        lines += textwrap.wrap(figure.found, 78, initial_indent="  ", subsequent_indent="  ")
        lines += textwrap.wrap(f"limit: {figure.limit}", 78, initial_indent="  ", subsequent_indent="  ")
        lines += [f"    {detail}"[:160] for detail in figure.details[:20]]
    counts = Counter(figure.verdict for figure in found)
    return [*lines, ", ".join(f"{count} {verdict}" for verdict, count in counts.items())]
