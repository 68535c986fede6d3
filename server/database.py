"""`wakestorm db migrate` and `verify`, and `wakestorm monitor --once`: what is done on a database without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import asyncpg

from server.clock import SystemClock
from server.migrations.apply import (
    HISTORIES,
    Listener,
    UnknownRevision,
    current,
    head_of,
    history_of,
    is_behind,
    move_all,
    offline_sql,
)
from server.migrations.environment import Say, refusal_of
from server.migrations.progress import tell_of_indexes
from server.migrations.script import MigrationStuck
from server.monitor import time_out
from server.phase2_schema import verify_phase2_schema
from server.serving import EXIT_USAGE, ServeError, newest_revision, place_of, words_of
from server.store import Store, open_pool

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
    """The SQL that brings an empty database to a revision; `head` is every history's."""
    if revision != "head":
        return offline_sql(revision, history=history_of(revision))
    return "".join(offline_sql(history=history) for history in HISTORIES)


def migrated(
    url: str, revision: str, *, may_go_down: bool = False, say: Say | None = None, tell: Say | None = None
) -> str | None:
    """Brings the database to a revision, `head`: every history; returns where the revision's history stands.

    `say` gets the lines of the migrations, `tell` how far long work has come. Raises ServeError, also for an older
    revision without `may_go_down`.
    """

    async def work() -> str | None:
        history = history_of(revision)
        stands_at = await current(url, history=history)
        if not may_go_down and is_behind(history, revision, stands_at):
            raise ServeError(
                f"{place_of(url)} stands at {stands_at}, which is newer than {revision}: --down takes it back, "
                "and deletes what newer revisions added",
                EXIT_USAGE,
            )
        watching = asyncio.create_task(tell_of_indexes(url, tell)) if tell is not None else None
        try:
            await move_all(url, revision, listener=Listener(on_line=say, on_progress=tell))
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        return await current(url, history=history)

    return reached(url, work())


def verified(url: str) -> list[tuple[str, Any, bool]]:
    """(title, answer, whether it is right) of each question: images, then videos. Raises ServeError."""

    async def work() -> list[tuple[str, Any, bool]]:
        revision = await current(url)
        connection = await asyncpg.connect(url, timeout=10)
        try:
            answers = [await _answer(connection, *question) for question in VERIFICATION]
            videos = await verify_phase2_schema(connection)
        finally:
            await connection.close()
        answers.append(_stands("revision", revision, newest_revision()))
        stands_at = await current(url, history="videos")
        return [*answers, *videos, _stands("revision of the videos", stands_at, head_of("videos"))]

    return reached(url, work())


def monitored_once(url: str) -> dict[str, Any]:
    """One round of the monitor (seed 002's answer, with `is_leader` and `commands_expired`). Raises ServeError."""

    async def work() -> dict[str, Any]:
        revision = await current(url)
        if revision != newest_revision():
            raise ServeError(f"the database stands at revision {revision or 'none'}: run `wakestorm db migrate`")
        clock = SystemClock()
        async with await open_pool(url, size=1, timeout=10) as pool:
            tick = await time_out(Store(pool), clock)
        return tick.report(clock.now()) | {"commands_expired": tick.expired, "is_leader": tick.is_leader}

    return reached(url, work())


def _stands(title: str, stands_at: str | None, newest: str) -> tuple[str, Any, bool]:
    holds = stands_at == newest
    return title, stands_at if holds else f"{stands_at or 'none'}, not {newest}", holds


async def _answer(connection: Any, title: str, query: str, expected: int | None) -> tuple[str, Any, bool]:
    try:
        value = await connection.fetchval(query)
    except asyncpg.UndefinedTableError as error:
        return title, str(error), False
    return title, value, expected is None or value == expected


def reached(url: str, work: Coroutine[Any, Any, T]) -> T:
    """The result of database work; every refusal of PostgreSQL or Alembic as one sentence."""
    try:
        return asyncio.run(work)
    except UnknownRevision as error:
        raise ServeError(str(error), EXIT_USAGE) from error
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ServeError(f"{place_of(url)}: {words_of(error)}; check --database-url or DATABASE_URL") from error
    except ServeError:
        raise
    except MigrationStuck as error:
        raise ServeError(f"{place_of(url)}: {error}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("sqlalchemy", "alembic"):
            raise
        raise ServeError(f"{place_of(url)}: {refusal_of(error) or words_of(error)}") from error
