"""A database's rows as files and back, over COPY: readable by any later PostgreSQL, gone with none of them.

The schema is not copied, it comes from the template: the rows of every table and the state of every sequence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from harness.bench.postgres_cluster import Cluster, quoted
from harness.jsonable import json_line

_TABLES: Final = """
SELECT n.nspname AS schema, c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
ORDER BY 1, 2
"""
_SEQUENCES: Final = """
SELECT schemaname AS schema, sequencename AS name, last_value FROM pg_sequences ORDER BY 1, 2
"""
SEQUENCES: Final = "sequences.json"


@asynccontextmanager
async def _whole(cluster: Cluster, database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection and a transaction that sees and may write everything."""
    async with cluster.admin(database) as connection, connection.transaction():
        await connection.execute("SET LOCAL row_security = off")
        yield connection


async def copy_out(cluster: Cluster, database: str, folder: Path) -> None:
    """Writes `<schema>.<table>.copy` for each table, and the sequences, into `folder`."""
    async with _whole(cluster, database) as connection:
        for table in await connection.fetch(_TABLES):
            path = folder / f"{table['schema']}.{table['name']}.copy"
            with path.open("wb") as file:
                await connection.copy_from_table(
                    table["name"], schema_name=table["schema"], output=file, format="binary"
                )
        found = await connection.fetch(_SEQUENCES)
        sequences = [[row["schema"], row["name"], row["last_value"]] for row in found]
    (folder / SEQUENCES).write_text(json_line(sequences) + "\n", encoding="utf-8")


async def copy_in(cluster: Cluster, database: str, folder: Path) -> None:
    """Makes the rows of `database`, a fresh clone of the template, those of `folder`; triggers are not called."""
    sequences: list[list[Any]] = msgspec.json.decode((folder / SEQUENCES).read_bytes())
    async with _whole(cluster, database) as connection:
        await connection.execute("SET LOCAL session_replication_role = replica")
        tables = await connection.fetch(_TABLES)
        names = ", ".join(f"{quoted(table['schema'])}.{quoted(table['name'])}" for table in tables)
        await connection.execute(f"TRUNCATE {names}")
        for table in tables:
            path = folder / f"{table['schema']}.{table['name']}.copy"
            with path.open("rb") as file:
                await connection.copy_to_table(table["name"], schema_name=table["schema"], source=file, format="binary")
        for schema, name, last in sequences:
            if last is not None:
                await connection.execute(
                    "SELECT setval($1::text::regclass, $2)", f"{quoted(schema)}.{quoted(name)}", last
                )
