"""Prints docs/schema.md from a migrated database: `python -m server.migrations.describe DSN`.

The same database gives the same text on every PostgreSQL from 15 on. Nothing here depends on roles.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import asyncpg

_HEAD = """# The schema

Generated from a migrated database by `python -m server.migrations.describe DSN`; a test holds it current.
What the tables are for stands in the SQL of `server/migrations/cameras/sql`.
"""


class Item(NamedTuple):
    """One thing of the schema, as describe.sql gives it."""

    kind: str
    owner: str
    place: int
    name: str
    definition: str
    comment: str


async def read(dsn: str) -> list[Item]:
    """Everything of the schema `public` that stands in the page, in a fixed order."""
    connection = await asyncpg.connect(dsn)
    try:
        # A fixed path, so that definitions name their tables the same way for every role.
        await connection.execute("SET search_path = public")
        rows = await connection.fetch(Path(__file__).with_name("describe.sql").read_text(encoding="utf-8"))
        return sorted(Item(*row) for row in rows)
    finally:
        await connection.close()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def _table(name: str, items: Sequence[Item]) -> list[str]:
    own = [item for item in items if item.owner == name]
    lines = ["", f"### {name}", ""]
    lines += [f"{item.comment}\n" for item in own if item.kind == "table" and item.comment]
    lines += ["| column | type | note |", "|---|---|---|"]
    lines += [
        f"| `{item.name}` | {_cell(item.definition)} | {_cell(item.comment)} |" for item in own if item.kind == "column"
    ]
    lines.append("")
    for kind in ("constraint", "index", "trigger", "security"):
        lines += [f"- {kind} `{item.name}`: `{item.definition}`" for item in own if item.kind == kind]
    return lines


def to_markdown(items: Sequence[Item]) -> str:
    """The page: tables with their columns, constraints, indexes and triggers, then functions."""
    lines = [_HEAD, "## Tables"]
    for name in sorted(item.name for item in items if item.kind == "table"):
        lines += _table(name, items)
    lines += ["", "## Functions and procedures", ""]
    for item in items:
        if item.kind == "function":
            lines.append(f"- `{item.definition}`" + (f": {item.comment}" if item.comment else ""))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Prints the page for the database of the one argument."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m server.migrations.describe DSN")
    sys.stdout.write(to_markdown(asyncio.run(read(sys.argv[1]))))


if __name__ == "__main__":
    main()
