"""A run before a target: what fits, MACs of the reserved range for its cameras, and the end of the rows it left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg

from harness.bench.external_database import (
    delete_own_rows,
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
    seen = run_blocking(looked_at(target, file, file.read_text(encoding="utf-8-sig")))
    refused, taken = run_blocking(_asked(seen, plans))

    def against(plan: Plan) -> list[Mistake]:
        found = refusals_of_target(plan, target, START_DEFAULT_MS, seen.tables)
        return found or refused.get(scenario_id(plan), [])

    kept, left_out = fitting(plans, DutOrder(), "processes", named_files(selection.paths), against)
    free = free_macs(target.devices.mac_prefix, int(token()[:6], 16), taken)
    wanted = {scenario_id(plan) for plan in kept}

    def macs(case: Case) -> list[str]:
        return [next(free) for group in case.model.devices.values() for _ in range(group.count)]

    return Aim(
        seen=seen,
        plans=tuple(
            replace(plan, checks=checks_for(plan, seen.tables))
            for plan in plans_for(selection, macs=macs)
            if scenario_id(plan) in wanted
        ),
        left_out=left_out,
        earlier=len(taken),
    )


def refused_unseen(plans: Sequence[Plan], target: Target) -> list[Mistake]:
    """What no database has to be asked for; for `wakestorm lint`."""
    return [mistake for plan in plans for mistake in refusals_of_target(plan, target, START_DEFAULT_MS)]


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


def words_before(aim: Aim) -> list[str]:
    """What the user should know before the run."""
    target = aim.seen.target
    host, port = target.broker.address
    words = [f"target {target.name}: broker {host}:{port}, database {target.database.name}"]
    left = checks_left_out(aim.seen.tables)
    words += [f"  check left out: {check} ({why})" for check, why in left.items()]
    if aim.earlier:
        words.append(f"  {aim.earlier} cameras of wakestorm's range stand there already; this run takes other MACs")
    return words


def cleaned(aim: Aim) -> list[str]:
    """Deletes the rows of the run's cameras where there is a role for it; says what it did, or what it left."""
    try:
        return run_blocking(_cleaned(aim))
    except (BenchUnavailable, asyncpg.PostgresError, OSError) as error:
        return [f"the target was not cleaned up: {error}", *_left_words(aim, {})]


async def _cleaned(aim: Aim) -> list[str]:
    tables, macs = aim.seen.tables, aim.macs
    await asyncio.sleep(aim.seen.target.time.settle / 1000)  # the server may have something of a stopped run before it
    async with reading(aim.seen.target) as connection:
        there = await own_rows(connection, tables, macs)
        if not there or aim.seen.target.database.writer is None:
            return _left_words(aim, there) if there else []
        async with writing(aim.seen.target) as writer:
            reason = await delete_own_rows(writer, tables, macs)
        left = await own_rows(connection, tables, macs)
    said = [f"deleted from the target: {_counted(there)}"] if not left else []
    return said + ([f"could not delete everything: {reason}", *_left_words(aim, left)] if left else [])


def _left_words(aim: Aim, rows: Mapping[str, int]) -> list[str]:
    shown = ", ".join(aim.macs[:SHOWN_MACS_MAX]) + (", ..." if len(aim.macs) > SHOWN_MACS_MAX else "")
    what = _counted(rows) if rows else "rows"
    words = [f"left in the target: {what}", f"  of {len(aim.macs)} cameras: {shown}"]
    if aim.seen.target.database.writer is None:
        words.append("  database.writer in the target file names a role that may delete them")
    return words


def _counted(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {'row' if count == 1 else 'rows'} of {table}" for table, count in rows.items())
