"""`wakestorm db migrate` and `verify`: the schema's revision, and what seed 000 asks after its migration."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import asyncpg

from server.migrations.apply import current, offline_sql, upgrade
from server.serving import ServeError, newest_revision, place_of, words_of

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
        "parameters of fn_wake_ingestion_handler, with p_existing_image_id",
        "SELECT CASE WHEN count(*) = 1 AND max(pg_get_function_arguments(oid)) LIKE '%p_existing_image_id%' "
        "THEN max(pronargs)::int ELSE -count(*)::int END FROM pg_proc WHERE proname = 'fn_wake_ingestion_handler'",
        5,
    ),
    ("rows in device_images_duplicates_backup", "SELECT count(*) FROM device_images_duplicates_backup", None),
)
"""Title, query, and the value it must have (None: any)."""


def schema_sql(revision: str) -> str:
    """The SQL that brings an empty database to a revision."""
    return offline_sql(revision)


def migrated(url: str, revision: str) -> str | None:
    """Brings the database to the revision and returns where it stands. Raises ServeError."""

    async def work() -> str | None:
        await upgrade(url, revision)
        return await current(url)

    return _reached(url, work())


def verified(url: str) -> list[tuple[str, Any, bool]]:
    """(title, answer, whether it is right) of each question, the revision last. Raises ServeError."""

    async def work() -> list[tuple[str, Any, bool]]:
        revision = await current(url)
        connection = await asyncpg.connect(url, timeout=10)
        try:
            answers = [await _answer(connection, *question) for question in VERIFICATION]
        finally:
            await connection.close()
        return [*answers, ("revision", revision, revision == newest_revision())]

    return _reached(url, work())


async def _answer(connection: Any, title: str, query: str, expected: int | None) -> tuple[str, Any, bool]:
    try:
        value = await connection.fetchval(query)
    except asyncpg.UndefinedTableError as error:
        return title, str(error), False
    return title, value, expected is None or value == expected


def _reached(url: str, work: Coroutine[Any, Any, T]) -> T:
    """The result of database work; every refusal of PostgreSQL or Alembic as one sentence."""
    try:
        return asyncio.run(work)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ServeError(f"{place_of(url)}: {words_of(error)}; check --database-url or DATABASE_URL") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("sqlalchemy", "alembic"):
            raise
        raise ServeError(f"{place_of(url)}: {words_of(error)}") from error
