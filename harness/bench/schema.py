"""The schema of a scenario's database: made at the revision that the plan wants, and moved from there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

import asyncpg

import server.app
from harness.bench.postgres_cluster import OWNER, Cluster
from harness.bench.template import JUDGE_READS, ensure_template

HEAD: Final = "head"
"""Where servers work."""


class Schema:
    """One database. `revision` is where it stands."""

    def __init__(self, cluster: Cluster, database: str, template: str, revision: str) -> None:
        self.revision = revision
        self._cluster = cluster
        self._database = database
        self._template = template

    @property
    def is_newest(self) -> bool:
        """Servers can work with it."""
        return self.revision == HEAD

    async def create(self, by: asyncpg.Connection | None = None) -> None:
        """Clone the database from the template of its revision; `by` is a superuser's connection that there is."""
        template = self._template if self.is_newest else await ensure_template(self._cluster, self.revision)
        await self._cluster.create_database(self._database, template, by=by)

    async def stamp(self, revision: str) -> None:
        """Writes down where it stands, whether that is so or not."""
        await server.app.stamp(self._cluster.dsn(self._database, OWNER), revision)
        self.revision = revision

    async def move(
        self, revision: str, now: datetime, on_line: Callable[[str], None], connections: Iterable[asyncpg.Connection]
    ) -> None:
        """Migrates up or down; `connections` forget what they knew. For rows that it writes it is `now`."""
        dsn = self._cluster.dsn(self._database, OWNER)
        self.revision = "unknown"
        await server.app.migrate(dsn, revision, on_line=on_line, now=now)
        self.revision = revision
        if not self.is_newest:
            connection = await asyncpg.connect(dsn)
            await connection.execute(JUDGE_READS)
            await connection.close()
        for connection in connections:
            await connection.reload_schema_state()
