"""Rows that a scenario puts into the database, and functions that it calls: as the owner, in scenario time.

Values come as JSON and are cast by the database itself (`jsonb_populate_record`), so that YAML can say any column.
"""

from __future__ import annotations

import json
from typing import Any

import asyncpg

from harness.bench import Bench
from harness.bench.template import MIGRATION_PATH
from harness.differences import row_words
from harness.errors import WakestormError
from harness.expectations import Finding
from harness.matching import rows_mismatch
from harness.observe import quoted, select_of, shown
from harness.plan_steps import Call, InsertRows, RowsSubject, RunSql, UpdateRows


class GivenFailed(WakestormError):
    """The database refused what the scenario gave it."""


async def _execute(bench: Bench, query: str, *arguments: Any, fetch: bool = False) -> Any:
    async with bench.exclusive():
        try:
            async with bench.owner.transaction():
                await bench.owner.fetchval(
                    "SELECT set_config('wakestorm.now', $1, true)", bench.clock.now().isoformat()
                )
                if fetch:
                    return await bench.owner.fetch(query, *arguments)
                return await bench.owner.execute(query, *arguments)
        except asyncpg.PostgresError as error:
            raise GivenFailed(f"{type(error).__name__}: {error}") from None


async def give(bench: Bench, step: InsertRows | UpdateRows | RunSql) -> None:
    """What a step `given` says. Raises GivenFailed where the database refuses, or no row is there to change."""
    match step:
        case InsertRows():
            await _insert_rows(bench, step)
        case UpdateRows():
            await _update_rows(bench, step)
        case RunSql():
            await _run_sql(bench, step.sql)


async def _insert_rows(bench: Bench, step: InsertRows) -> None:
    """Insert rows; columns that are not named take their defaults."""
    table = quoted(step.table)
    for row in step.rows:
        columns = ", ".join(map(quoted, row))
        await _execute(
            bench,
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{table}, $1)",
            dict(row),
        )


async def _update_rows(bench: Bench, step: UpdateRows) -> None:
    """Change the rows that match; raises GivenFailed where none does."""
    table = quoted(step.table)
    assignments = ", ".join(f"{quoted(column)} = given.{quoted(column)}" for column in step.values)
    subject = RowsSubject(table=step.table, where=step.where, are=None, count=None, order_by=())
    _, arguments = select_of(subject)
    answer = await _execute(
        bench,
        f"UPDATE {table} AS target SET {assignments} FROM jsonb_populate_record(NULL::{table}, $1) AS given"
        f" WHERE {_conditions(step.where)}",
        dict(step.values),
        *arguments,
    )
    if answer == "UPDATE 0":
        raise GivenFailed(f"no row of {step.table} where {dict(step.where)}")


def _conditions(where: Any) -> str:
    parts: list[str] = []
    number = 1
    for column, value in where.items():
        if value is None:
            parts.append(f"target.{quoted(column)} IS NULL")
        else:
            number += 1
            parts.append(f"target.{quoted(column)}::text = ANY(${number}::text[])")
    return " AND ".join(parts) or "true"


async def _run_sql(bench: Bench, sql: str) -> None:
    """Run the scenario's own SQL as the owner; `NOW()` is scenario time."""
    await _execute(bench, sql)


async def run_sql_as_owner(bench: Bench, sql: str) -> None:
    """A statement by itself, outside a transaction; a refusal is raised as PostgreSQL's own error."""
    async with bench.exclusive():
        owner = bench.owner
        await owner.execute(
            f"SET search_path = {MIGRATION_PATH}; SET wakestorm.now = '{bench.clock.now().isoformat()}'"
        )
        try:
            await owner.execute(sql)
        finally:
            await owner.execute("RESET search_path; RESET wakestorm.now")


async def call_function(bench: Bench, step: Call) -> Finding:
    """Call an SQL function as the owner and compare what it returns."""
    if step.named_args:
        arguments = ", ".join(f"{quoted(name)} => {_literal(value)}" for name, value in step.named_args.items())
    else:
        arguments = ", ".join(_literal(value) for value in step.args)
    rows = await _execute(bench, f"SELECT * FROM {quoted(step.function)}({arguments})", fetch=True)
    found = [dict(row) for row in rows]
    shown_rows = tuple(shown(row) for row in found[:20])
    lines = [f"  {row_words(row)}" for row in shown_rows]
    text = "\n".join([f"{len(found)} {'row' if len(found) == 1 else 'rows'}", *lines[:10]])
    if step.count is not None and len(found) not in step.count:
        return Finding(holds=False, expected=f"{step.count} rows from {step.function}", found=text, rows=shown_rows)
    if step.returns is not None:
        wanted = [row if isinstance(row, dict) else {step.function: row} for row in step.returns]
        if rows_mismatch(wanted, found, ordered=False) is not None:
            expected = "\n".join([f"{step.function} gives", *(f"  {row_words(row)}" for row in wanted)])
            return Finding(holds=False, expected=expected, found=text, rows=shown_rows, columns=tuple(wanted[0]))
    return Finding(holds=True, expected="", found=text)


def _literal(value: Any) -> str:
    """A literal of unknown type, which the function's parameter types resolve."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, dict | list):
        value = json.dumps(value)
    return "'" + str(value).replace("'", "''") + "'"
