"""What stands in the database, seen with own SQL by the read-only role (design 9.8); never through the server.

Scenario SQL runs behind the allow-list of `sql_guard`, in a read-only transaction whose `now()` is scenario time, with
the role's statement timeout. Hitting that limit makes a verdict INCONCLUSIVE, never PASS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from harness.errors import WakestormError
from harness.jsonable import plain
from harness.plan_steps import RowsSubject
from harness.sql_guard import problems

ROWS_MAX: Final = 1_000
"""Rows that an expectation looks at; more is no question about single devices."""

Row = Mapping[str, Any]


class ObservationFailed(WakestormError):
    """The database could not answer the question."""


class ObservationTimedOut(ObservationFailed):
    """The question took longer than the read-only role may take."""


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def select_of(subject: RowsSubject) -> tuple[str, list[Any]]:
    """The SELECT of a rows subject and its arguments, compared as text so that any column type works."""
    conditions: list[str] = []
    arguments: list[Any] = []
    for column, value in subject.where.items():
        if value is None:
            conditions.append(f"{quoted(column)} IS NULL")
        else:
            arguments.append([_as_text(item) for item in (value if isinstance(value, list) else [value])])
            conditions.append(f"{quoted(column)}::text = ANY(${len(arguments)}::text[])")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = f" ORDER BY {', '.join(map(quoted, subject.order_by))}" if subject.order_by else " ORDER BY 1"
    return f"SELECT * FROM {quoted(subject.table)}{where}{order} LIMIT {ROWS_MAX + 1}", arguments


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Observer:
    """Asks the database as `ws_reader`. `now` is scenario time."""

    def __init__(self, connection: asyncpg.Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    async def rows(self, subject: RowsSubject) -> list[Row]:
        """The rows of a subject; raises ObservationFailed for a column that there is not."""
        query, arguments = select_of(subject)
        return await self.fetch(query, *arguments)

    async def select(self, sql: str) -> list[Row]:
        """The rows of a scenario's SELECT, after the allow-list."""
        found = problems(sql)
        if found:
            raise ObservationFailed(f"the SQL is refused: {'; '.join(map(str, found))}")
        return await self.fetch(sql)

    async def fetch(self, query: str, *arguments: Any) -> list[Row]:
        """Rows of an own query."""
        try:
            if "now" in query.lower():
                await self._connection.execute(f"SET wakestorm.now = '{self._now().isoformat()}'")
            return [_row_of(record) for record in await self._connection.fetch(query, *arguments)]
        except asyncpg.QueryCanceledError:
            raise ObservationTimedOut("the query took longer than the read-only role's 2 s") from None
        except asyncpg.PostgresError as error:
            raise ObservationFailed(f"{type(error).__name__}: {error}") from None


def _row_of(record: asyncpg.Record) -> Row:
    """Every column, also where several have one name: `count`, then `count_2`."""
    row: dict[str, Any] = {}
    for name, value in zip(record.keys(), record.values(), strict=True):
        unique, number = name, 1
        while unique in row:
            number += 1
            unique = f"{name}_{number}"
        row[unique] = value
    return row


def shown(row: Row) -> dict[str, Any]:
    """A row as failures show it: short, without bytes."""
    return {key: _shown_cell(value) for key, value in row.items() if value is not None}


def _shown_cell(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, UUID | datetime):
        return plain(value)
    if isinstance(value, str) and len(value) > 80:
        return value[:77] + "..."
    return value
