"""Asks PostgreSQL, before anything runs, whether the SQL and the columns in plans exist: a typo is no failed test.

Statements are prepared, never executed, as the role that will run them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from harness.bench.postgres_cluster import OWNER, READER, Cluster
from harness.bench.template import SEARCH_PATH, ensure_template, place_in_history
from harness.errors import Mistake, ScenarioError, did_you_mean
from harness.plan import Plan
from harness.plan_steps import Expect, InsertRows, Migrate, RowsSubject, RunSql, SqlSubject, StepPlan, UpdateRows
from harness.scenario_migration import HEAD

TYPO_STATES: Final = frozenset({"42601", "42703", "42P01", "42883", "42704", "42702", "42P02", "42803", "42804"})
"""SQLSTATEs of a statement that could never run: syntax, or a name or type that is not there."""

SEVERAL_STATEMENTS: Final = "cannot insert multiple commands"
HINT: Final = "docs/schema.md names every table and column"

_COLUMNS: Final = """
SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""


@dataclass(frozen=True, slots=True)
class _Place:
    file: str
    line: int
    path: str


async def check_sql(plans: Sequence[Plan], cluster: Cluster, template: str, database: str) -> None:
    """Raises ScenarioError with every statement and column that is not there; `database` is made and dropped."""
    mistakes: list[Mistake] = []
    wanted = {revision for _, _, revision in _steps(plans)} or {HEAD}
    older: str | None = None
    for revision in sorted(wanted, key=place_in_history):
        if revision == HEAD:
            place = template
        else:
            place = older = await ensure_template(cluster, revision, base=older)
        await cluster.create_database(database, place)
        try:
            mistakes += await _mistakes(plans, cluster, database, revision)
        finally:
            await cluster.drop_database(database)
    if mistakes:
        raise ScenarioError(mistakes)


async def _mistakes(plans: Sequence[Plan], cluster: Cluster, database: str, revision: str) -> list[Mistake]:
    found: dict[Mistake, None] = {}
    for role, wanted in ((READER, SqlSubject), (OWNER, RunSql)):
        connection = await asyncpg.connect(
            cluster.dsn(database, role), statement_cache_size=0, server_settings={"search_path": SEARCH_PATH}
        )
        try:
            if role == OWNER:
                columns = await _columns(connection)
                found |= dict.fromkeys(_column_mistakes(plans, columns, revision))
            reasons: dict[str, str | None] = {}
            for place, sql in _statements(plans, wanted, revision):
                if sql not in reasons:
                    reasons[sql] = await _reason(connection, sql)
                reason = reasons[sql]
                if reason is not None:
                    found[Mistake(place.file, place.line, place.path, f"PostgreSQL: {reason}", HINT)] = None
        finally:
            await connection.close()
    return list(found)


async def _reason(connection: Any, sql: str) -> str | None:
    try:
        await connection.prepare(sql)
    except asyncpg.PostgresError as error:
        if error.sqlstate in TYPO_STATES and SEVERAL_STATEMENTS not in str(error):
            return " ".join(str(error).replace("HINT:", "").split())
    return None


async def _columns(connection: Any) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {}
    for row in await connection.fetch(_COLUMNS):
        columns.setdefault(row["relname"], []).append(row["attname"])
    return columns


def _statements(plans: Sequence[Plan], kind: type, revision: str) -> Iterator[tuple[_Place, str]]:
    for plan, step in _steps_at(plans, revision):
        holder: Any = step.subject if isinstance(step, Expect) else step
        if isinstance(holder, SqlSubject | RunSql) and isinstance(holder, kind):
            yield _place(plan, step), holder.sql


def _column_mistakes(plans: Sequence[Plan], columns: Mapping[str, list[str]], revision: str) -> Iterator[Mistake]:
    for plan, step in _steps_at(plans, revision):
        holder: Any = step.subject if isinstance(step, Expect) else step
        place = _place(plan, step)
        if not isinstance(holder, RowsSubject | InsertRows | UpdateRows):
            continue
        known = columns.get(holder.table)
        if known is None:
            hint = did_you_mean(holder.table, list(columns))
            yield Mistake(place.file, place.line, place.path, f"there is no table {holder.table}", hint)
            continue
        for name in dict.fromkeys(_names(holder)):
            if name not in known:
                reason = f"{holder.table} has no column {name}"
                yield Mistake(place.file, place.line, place.path, reason, did_you_mean(name, known))


def _names(holder: RowsSubject | InsertRows | UpdateRows) -> Iterable[str]:
    match holder:
        case InsertRows(rows=rows):
            return [name for row in rows for name in row]
        case UpdateRows(where=where, values=values):
            return [*where, *values]
        case RowsSubject(where=where, are=are, order_by=order_by):
            return [*where, *(name for row in are or () for name in row), *order_by]


def _steps(plans: Sequence[Plan]) -> Iterator[tuple[Plan, StepPlan, str]]:
    """Every step with the revision at which the schema stands then; watches with the first."""
    for plan in plans:
        for watch in plan.watches:
            yield plan, watch, plan.revision
        revision = plan.revision
        for step in plan.steps:
            yield plan, step, revision
            if isinstance(step, Migrate) and step.fails is None:
                revision = step.to or step.stamp or revision


def _steps_at(plans: Sequence[Plan], revision: str) -> Iterator[tuple[Plan, StepPlan]]:
    return ((plan, step) for plan, step, found in _steps(plans) if found == revision)


def _place(plan: Plan, step: StepPlan) -> _Place:
    return _Place(plan.path, step.place.line, step.place.path)
