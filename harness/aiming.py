"""A run before a target: what fits, MACs of the reserved range for its cameras, and the end of the rows it left."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg

from harness.bench.external_database import (
    OWN_NUMBERS,
    delete_own_rows,
    each_once,
    free_macs,
    looked_at,
    own_rows,
    reading,
    taken_macs,
    writing,
)
from harness.bench.postgres import run_blocking
from harness.dut.kinds import DutOrder
from harness.errors import BenchUnavailable, Mistake
from harness.events import LeftOut
from harness.fitting import fitting
from harness.machine import token
from harness.plan import Plan
from harness.plan_steps import Expect, SqlSubject
from harness.scenario import START_DEFAULT, Case
from harness.selection import Selection, named_files, plans_for, scenario_id
from harness.target import Target, read_target
from harness.target_fit import OWN_BENCH, checks_for, checks_left_out, refusals_of_target
from harness.target_view import TargetSeen, TheirTables, with_view

START_DEFAULT_MS: Final = (START_DEFAULT - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
SHOWN_MACS_MAX: Final = 6
DELETED: Final = "deleted from the target"
"""How the words of a clean-up begin that left nothing."""

PAGE_MACS: Final = 500
"""Cameras in one statement of the clean-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What will be played before a target. `earlier` MACs of the range stood there before."""

    seen: TargetSeen
    plans: tuple[Plan, ...]
    left_out: tuple[LeftOut, ...]
    earlier: int

    @property
    def macs(self) -> tuple[str, ...]:
        """Of every camera of the run."""
        return tuple(device.mac for plan in self.plans for device in plan.devices)


def aimed(selection: Selection, file: Path) -> Aim:
    """Raises TargetError, ScenarioError, BenchUnavailable, and UsageError where the target must not be used."""
    target = read_target(file)
    plans = plans_for(selection)
    seen = seen_target(target, file)
    against, taken = judged(seen, plans)
    kept, left_out = fitting(plans, DutOrder(), "processes", named_files(selection.paths), against)
    numbers = each_once(range(OWN_NUMBERS), int(token()[:6], 16))
    free = free_macs(target.devices.mac_prefix, numbers, taken)
    wanted = {scenario_id(plan) for plan in kept}

    def macs(case: Case) -> list[str]:
        return [next(free) for group in case.model.devices.values() for _ in range(group.count)]

    return Aim(
        seen=seen,
        plans=tuple(aimed_plan(seen, plan) for plan in plans_for(selection, macs=macs) if scenario_id(plan) in wanted),
        left_out=left_out,
        earlier=len(taken),
    )


def seen_target(target: Target, file: Path) -> TargetSeen:
    """What the target of that file has. Raises BenchUnavailable, and UsageError where it must not be used."""
    return run_blocking(looked_at(target, file, file.read_text(encoding="utf-8-sig")))


def judged(seen: TargetSeen, plans: Sequence[Plan]) -> tuple[Callable[[Plan], list[Mistake]], set[str]]:
    """What the target has against each of the plans, and the MACs of wakestorm's range that are taken."""
    refused, taken = run_blocking(_asked(seen, plans))

    def against(plan: Plan) -> list[Mistake]:
        found = refusals_of_target(plan, seen.target, START_DEFAULT_MS, seen.tables)
        return found or refused.get(scenario_id(plan), [])

    return against, taken


def aimed_plan(seen: TargetSeen, plan: Plan) -> Plan:
    """The plan with the checks that can be made of it there."""
    return replace(plan, checks=checks_for(plan, seen.tables))


def refused_unseen(plan: Plan, target: Target) -> list[Mistake]:
    """What no database has to be asked for; for `wakestorm lint`."""
    return refusals_of_target(plan, target, START_DEFAULT_MS)


async def _asked(seen: TargetSeen, plans: Sequence[Plan]) -> tuple[dict[str, list[Mistake]], set[str]]:
    """Scenario -> SQL that PostgreSQL can't read in this target's tables; and the MACs that are taken."""
    async with reading(seen.target) as connection:
        reasons: dict[str, str] = {}
        refused: dict[str, list[Mistake]] = {}
        for plan, step, sql in _statements(plans):
            if sql not in reasons:
                reasons[sql] = await _reason(connection, seen.tables, sql)
            if reasons[sql]:
                found = Mistake(plan.path, step.place.line, step.place.path, f"expect sql: {reasons[sql]}", OWN_BENCH)
                refused.setdefault(scenario_id(plan), []).append(found)
        return refused, await taken_macs(connection, seen.tables)


def _statements(plans: Sequence[Plan]) -> Iterator[tuple[Plan, Expect, str]]:
    for plan in plans:
        for step in (*plan.steps, *plan.watches):
            if isinstance(step, Expect) and isinstance(step.subject, SqlSubject):
                yield plan, step, step.subject.sql


async def _reason(connection: Any, tables: TheirTables, sql: str) -> str:
    try:
        await connection.prepare(with_view(tables, {}, sql, filled=False))
    except asyncpg.PostgresError as error:
        return f"in the target's tables, {error}"
    return ""


def words_before(seen: TargetSeen, earlier: int) -> list[str]:
    """What the user should know before the run; `earlier` MACs of the range stood there before."""
    target = seen.target
    host, port = target.broker.address
    words = [f"target {target.name}: broker {host}:{port}, database {target.database.name}"]
    left = checks_left_out(seen.tables)
    words += [f"  check left out: {check} ({why})" for check, why in left.items()]
    if earlier:
        words.append(f"  {earlier} cameras of wakestorm's range stand there already; this run takes other MACs")
    return words


def cleaned(seen: TargetSeen, macs: Sequence[str]) -> list[str]:
    """Deletes the rows of these cameras where there is a role for it; says what it did, or what it left."""
    try:
        return run_blocking(_cleaned(seen, macs))
    except (BenchUnavailable, asyncpg.PostgresError, OSError) as error:
        return [f"the target was not cleaned up: {error}", *_left_words(seen, macs, {})]


async def _cleaned(seen: TargetSeen, macs: Sequence[str]) -> list[str]:
    await asyncio.sleep(seen.target.time.settle / 1000)  # the server may have something of a stopped run before it
    async with reading(seen.target) as connection:
        there = await _rows_of(connection, seen.tables, macs)
        if not there or seen.target.database.writer is None:
            return _left_words(seen, macs, there) if there else []
        async with writing(seen.target) as writer:
            reasons = [await delete_own_rows(writer, seen.tables, page) for page in _pages(macs)]
        left = await _rows_of(connection, seen.tables, macs)
    if not left:
        return [f"{DELETED}: {_counted(there)}"]
    return [f"could not delete everything: {next(filter(None, reasons), '')}", *_left_words(seen, macs, left)]


async def _rows_of(connection: Any, tables: TheirTables, macs: Sequence[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for page in _pages(macs):
        found.update(await own_rows(connection, tables, page))
    return found


def _pages(macs: Sequence[str]) -> Iterator[Sequence[str]]:
    return (macs[start : start + PAGE_MACS] for start in range(0, len(macs), PAGE_MACS))


def _left_words(seen: TargetSeen, macs: Sequence[str], rows: Mapping[str, int]) -> list[str]:
    shown = ", ".join(macs[:SHOWN_MACS_MAX]) + (", ..." if len(macs) > SHOWN_MACS_MAX else "")
    what = _counted(rows) if rows else "rows"
    words = [f"left in the target: {what}", f"  of {len(macs)} cameras: {shown}"]
    if seen.target.database.writer is None:
        words.append("  database.writer in the target file names a role that may delete them")
    return words


def _counted(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {'row' if count == 1 else 'rows'} of {table}" for table, count in rows.items())
