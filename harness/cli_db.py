"""`wakestorm db`: migrate, verify, shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import asyncpg

from harness.bench.postgres import OWNER, ephemeral_cluster, resolve_binaries, run_blocking
from harness.bench.postgres_cluster import Cluster, prepare_roles
from harness.bench.template import ensure_template
from harness.errors import BenchUnavailable, UsageError

T = TypeVar("T")

VERIFICATION: Final = (
    (
        "no duplicates of (device_id, image_name)",
        "SELECT count(*) FROM (SELECT 1 FROM device_images GROUP BY device_id, image_name HAVING count(*) > 1) d",
        0,
    ),
    (
        "constraint device_images_device_id_image_name_key",
        "SELECT count(*) FROM pg_constraint WHERE conname = 'device_images_device_id_image_name_key'",
        1,
    ),
    (
        "parameters of fn_wake_ingestion_handler",
        "SELECT CASE WHEN count(*) = 1 AND max(pg_get_function_arguments(oid)) LIKE '%p_existing_image_id%' "
        "THEN max(pronargs)::int ELSE -count(*)::int END FROM pg_proc WHERE proname = 'fn_wake_ingestion_handler'",
        5,
    ),
    ("rows in device_images_duplicates_backup", "SELECT count(*) FROM device_images_duplicates_backup", None),
)
"""What seed 000 asks after its migration: title, query, expected value (None: any number)."""


def migrate_command(url: str | None, revision: str, *, as_sql: bool) -> int:
    """Raises UsageError without a URL, BenchUnavailable where the database can not be reached or changed."""
    from server.migrations.apply import current, offline_sql, upgrade

    if as_sql:
        print(offline_sql(revision))
        return 0
    if url is None:
        raise UsageError("no database is named", hint="give --database-url, or set DATABASE_URL")
    _roles_prepared(url)
    _reached(url, lambda: upgrade(url, revision))
    print(f"{_place(url)} stands at {_reached(url, lambda: current(url))}")
    return 0


def verify_command(url: str | None) -> int:
    """Prints one line for each query; exit code 1 when one has another answer than it should."""
    if url is not None:
        return _verified(url)
    with ephemeral_cluster({}) as cluster:
        return _verified(_fresh(cluster))


def shell_command(url: str | None) -> int:
    """psql's own exit code."""
    if url is not None:
        return _psql(url)
    with ephemeral_cluster({}) as cluster:
        return _psql(_fresh(cluster))


def _fresh(cluster: Cluster) -> str:
    """A migrated database of its own; the cluster takes it away."""

    async def prepare() -> str:
        name = "wakestorm"
        await cluster.create_database(name, await ensure_template(cluster))
        return cluster.dsn(name, OWNER)

    return run_blocking(prepare())


def _psql(url: str) -> int:
    binaries = resolve_binaries(os.environ)
    beside = Path(binaries.postgres).with_name("psql")
    program = str(beside) if beside.exists() else shutil.which("psql")
    if program is None:
        raise BenchUnavailable("psql is not installed", hint="install PostgreSQL's client programs")
    return subprocess.run([program, url], check=False).returncode


def _verified(url: str) -> int:
    from server.migrations.apply import current

    async def ask() -> list[tuple[str, Any, bool]]:
        answers = []
        async with _connection(url) as connection:
            for title, query, expected in VERIFICATION:
                try:
                    value = await connection.fetchval(query)
                except (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError) as error:
                    answers.append((title, str(error), False))
                else:
                    answers.append((title, value, expected is None or value == expected))
        return answers

    answers = _reached(url, ask)
    for title, value, holds in answers:
        print(f"{'ok' if holds else 'WRONG':<6}{title}: {value}")
    revision = _reached(url, lambda: current(url))
    print(f"{'ok' if revision else 'WRONG':<6}revision: {revision}")
    is_well = revision is not None and all(holds for _, _, holds in answers)
    return 0 if is_well else 1


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


def _roles_prepared(url: str) -> None:
    """The roles that the migrations grant to, where this role may make them."""
    cluster = Cluster.from_url(url)

    async def prepare() -> None:
        async with cluster.admin() as connection:
            row = await connection.fetchrow(
                "SELECT rolsuper OR rolcreaterole AND rolcreatedb AS may FROM pg_roles WHERE rolname = current_user"
            )
            missing = 4 - await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'ws\\_%'")
        if missing and row is not None and row["may"]:
            await prepare_roles(cluster)

    run_blocking(prepare())


def _reached(url: str, work: Callable[[], Awaitable[T]]) -> T:
    """The result of database work; every refusal of PostgreSQL as one sentence."""

    async def body() -> T:
        return await work()

    try:
        return run_blocking(body())
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BenchUnavailable(f"{_place(url)}: {reason}", hint="check --database-url or DATABASE_URL") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("sqlalchemy", "alembic"):
            raise
        reason = " ".join(str(error).split())[:400]
        raise BenchUnavailable(f"{_place(url)}: {reason}", hint="check --database-url or DATABASE_URL") from error


def _place(url: str) -> str:
    """The database without its password."""
    parts = urlsplit(url)
    host = parts.hostname or "the local socket"
    return f"database {unquote(parts.path.lstrip('/')) or 'postgres'} at {host}"
