"""The template database that every scenario's database is cloned from: migrated once, then closed to connections."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import asyncpg

import server.app
from harness.bench.postgres_cluster import READER, SERVER, Cluster

SCENARIO_SCHEMA: Final = "scenario"
"""Holds `now()` as scenario time, before pg_catalog in the search path of bench connections (design 9.6)."""

SEARCH_PATH: Final = f"{SCENARIO_SCHEMA}, public, pg_catalog"

_SCENARIO_TIME: Final = f"""
CREATE SCHEMA {SCENARIO_SCHEMA};
CREATE FUNCTION {SCENARIO_SCHEMA}.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT public.fn_now()';
GRANT USAGE ON SCHEMA {SCENARIO_SCHEMA} TO {READER}, {SERVER};
"""

MIGRATION_PATH: Final = f"public, {SCENARIO_SCHEMA}, pg_catalog"
"""For SQL that makes things: they belong into public; `now()` is scenario time here too."""

JUDGE_READS: Final = f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}"
"""Older revisions grant nothing; whoever judges a scenario has to see their rows all the same."""

NO_GIANTS: Final = """
REVOKE EXECUTE ON FUNCTION pg_catalog.array_fill(anyelement, integer[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pg_catalog.array_fill(anyelement, integer[], integer[]) FROM PUBLIC;
"""
"""It makes gigabytes without a moment at which statement_timeout could end it, and nothing here needs it."""


def template_name(revision: str = "head") -> str:
    """A name that changes with every migration file and with this one."""
    digest = hashlib.sha256()
    folder = Path(server.app.__file__).parent / "migrations"
    for file in sorted((*folder.rglob("*.sql"), *folder.rglob("*.py"))):
        digest.update(file.relative_to(folder).as_posix().encode())
        digest.update(file.read_bytes())
    digest.update(Path(__file__).read_bytes())
    digest.update(revision.encode())
    return f"wakestorm_template_{digest.hexdigest()[:16]}"


def place_in_history(revision: str) -> tuple[int, str]:
    """By this older revisions come before newer ones; names that nobody has come last."""
    known = [*server.app.revisions(), *server.app.revisions("videos")]
    return (known.index(revision) if revision in known else len(known), revision)


async def ensure_template(cluster: Cluster, revision: str = "head", *, base: str | None = None) -> str:
    """The template's name; built where the cluster does not have it, once however many processes ask.

    `base` is the template of an older revision, from which it is a shorter way.
    """
    name = template_name(revision)
    await cluster.ensure_template(
        name, lambda dsn: _build(dsn, revision, has_time=base is not None), closing=NO_GIANTS, base=base
    )
    return name


async def _build(dsn: str, revision: str, *, has_time: bool) -> None:
    await server.app.migrate(dsn, revision)
    connection = await asyncpg.connect(dsn)
    try:
        if not has_time:
            await connection.execute(_SCENARIO_TIME)
        if revision != "head":
            await connection.execute(JUDGE_READS)
    finally:
        await connection.close()
