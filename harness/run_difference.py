"""How two runs differ: verdicts, ledgers, the first line of each history that differs, times as ratios. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Final

from harness.events import ScenarioResult
from harness.history_difference import first_difference
from harness.ledger import LedgerTotals
from harness.units import duration_text

SLOWER: Final = 1.5
"""A scenario that takes so many times as long, or that part of the time, is named."""

NOTABLE_S: Final = 0.2
"""Differences of less real time than this are noise."""

TIMES_SHOWN_MAX: Final = 10


@dataclass(slots=True, kw_only=True)
class RunDifference:
    """Lines to show for each kind of difference; `wanted` are the histories to be compared before `histories`."""

    verdicts: list[str] = field(default_factory=list)
    ledgers: list[str] = field(default_factory=list)
    histories: list[str] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    compared: int = 0

    @property
    def is_result_same(self) -> bool:
        """Whether verdicts and ledgers are the same; a changed product may take another way to them."""
        return not self.verdicts and not self.ledgers


def differing(before: Sequence[ScenarioResult], now: Sequence[ScenarioResult]) -> list[str]:
    """The scenarios of both runs whose histories are not the same."""
    hashes = {result.id: result.history_sha256 for result in before}
    return [result.id for result in now if result.id in hashes and hashes[result.id] != result.history_sha256]


def run_difference(
    before: Sequence[ScenarioResult],
    now: Sequence[ScenarioResult],
    histories: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> RunDifference:
    """What is different now. `histories` need to hold only those that `differing` names."""
    olds, news = {result.id: result for result in before}, {result.id: result for result in now}
    found = RunDifference()
    for name in [*olds, *(name for name in news if name not in olds)]:
        old, new = olds.get(name), news.get(name)
        if old is None or new is None:
            there = old or new
            assert there is not None
            found.verdicts.append(f"only in {'A' if new is None else 'B'}: {there.verdict.value:<12} {name}")
            continue
        found.compared += 1
        if old.verdict is not new.verdict:
            why = f"  ({new.failures[0].title})" if new.failures else ""
            found.verdicts.append(f"{old.verdict.value} -> {new.verdict.value}  {name}{why}")
        if ledger := _ledger_difference(old.ledger, new.ledger):
            found.ledgers.append(f"{name}: {ledger}")
        if old.history_sha256 != new.history_sha256:
            line = first_difference(histories[0].get(name, ""), histories[1].get(name, ""))
            found.histories.append(f"{name}: {line or 'no history was kept'}")
    found.times = _times([(olds[name], news[name]) for name in olds if name in news])
    return found


def _ledger_difference(old: LedgerTotals, new: LedgerTotals) -> str:
    pairs = [(item.name, getattr(old, item.name), getattr(new, item.name)) for item in fields(LedgerTotals)]
    return ", ".join(f"{name} {before} -> {now}" for name, before, now in pairs if before != now)


def _times(pairs: Sequence[tuple[ScenarioResult, ScenarioResult]]) -> list[str]:
    """All of them together, then those that became slower or quicker most."""
    lines = []
    walls = sum(old.wall_s for old, _ in pairs), sum(new.wall_s for _, new in pairs)
    virtuals = sum(old.virtual_ms for old, _ in pairs) / 1_000, sum(new.virtual_ms for _, new in pairs) / 1_000
    for what, (old_s, new_s) in {"real time of all scenarios": walls, "scenario time": virtuals}.items():
        if old_s and new_s:
            lines.append(f"{new_s / old_s:5.2f}  {what}: {_took(old_s)}, {_took(new_s)}")
    single = [
        (new.wall_s / old.wall_s, new.id, old.wall_s, new.wall_s)
        for old, new in pairs
        if old.wall_s and new.wall_s and abs(new.wall_s - old.wall_s) >= NOTABLE_S
    ]
    notable = [item for item in single if not 1 / SLOWER < item[0] < SLOWER]
    notable.sort(key=lambda item: -max(item[0], 1 / item[0]))
    lines += [
        f"{ratio:5.2f}  {name}: {_took(old)}, {_took(new)}" for ratio, name, old, new in notable[:TIMES_SHOWN_MAX]
    ]
    if len(notable) > TIMES_SHOWN_MAX:
        lines.append(f"{len(notable) - TIMES_SHOWN_MAX} more took {SLOWER} times as long or more, or as little")
    return lines


def _took(seconds: float) -> str:
    return duration_text(seconds * 1_000)
