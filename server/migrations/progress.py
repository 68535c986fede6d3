"""How far an index is that a migration builds: PostgreSQL tells it to another connection."""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg

from server.migrations.environment import APPLICATION_NAME, Say

LOOK_EVERY_S: Final = 2.0
"""A migration that takes less says nothing."""

_INDEXES: Final = """
SELECT p.index_relid::regclass::text AS name, p.phase,
    coalesce(100 * p.blocks_done / nullif(p.blocks_total, 0), 100 * p.tuples_done / nullif(p.tuples_total, 0)) AS done
FROM pg_stat_progress_create_index p JOIN pg_stat_activity a USING (pid)
WHERE a.application_name = $1 AND p.datname = current_database()
"""


async def tell_of_indexes(dsn: str, tell: Say) -> None:
    """Until it is cancelled. A look is short: building an index waits for whoever looked before it."""
    connection = await asyncpg.connect(dsn)
    try:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for row in await connection.fetch(_INDEXES, APPLICATION_NAME):
                share = "" if row["done"] is None else f", {row['done']} %"
                tell(f"{row['name'] or 'an index'}: {row['phase']}{share}")
    finally:
        connection.terminate()
