"""Migrating from a program, also from inside a running event loop: `await upgrade(dsn)`."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from server.migrations.environment import Say, engine_for, hold_lock

_VERSION_TABLES = {"cameras": "alembic_version", "originals": "alembic_version_originals", "videos": "alembic_version_videos"}

HISTORIES = tuple(_VERSION_TABLES)
"""The histories that exist, in the order in which they are applied."""


def _config(history: str, stdout: io.StringIO | None = None) -> Config:
    config = Config() if stdout is None else Config(output_buffer=stdout)
    config.set_main_option("script_location", str(Path(__file__).parent / history))
    config.set_main_option("path_separator", "os")
    return config


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who hears what of a migration. `before_statement` gets each statement's text; what it raises ends the run."""

    on_line: Say | None = None
    on_progress: Say | None = None
    before_statement: Say | None = None


async def _run(
    dsn: str, history: str, listener: Listener, now: datetime | None, work: Callable[[Config], None]
) -> None:
    config = _config(history)

    def run(connection: Connection) -> None:
        hold_lock(connection)
        config.attributes["connection"] = connection
        config.attributes["before_statement"] = listener.before_statement
        work(config)

    engine = engine_for(dsn, listener.on_line, listener.on_progress, now=now)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
            await asyncio.sleep(0)  # lets the last notices arrive
    finally:
        await engine.dispose()


async def upgrade(
    dsn: str,
    revision: str = "head",
    on_line: Say | None = None,
    *,
    history: str = "cameras",
    listener: Listener | None = None,
    now: datetime | None = None,
) -> None:
    """Brings the database up to the revision. Lines it says go to `on_line`, or all to `listener`.

    Killed at any moment and started again, it goes on. Raises what asyncpg raises, wrapped by SQLAlchemy, when SQL
    fails; the revisions before it stay applied. For rows that it writes it is `now` (None: real time).
    """
    listener = listener or Listener(on_line=on_line)
    await _run(dsn, history, listener, now, lambda config: command.upgrade(config, revision))


async def upgrade_all(dsn: str, on_line: Callable[[str], None] | None = None) -> None:
    """Brings every history to its head, one after another; raises as `upgrade` does."""
    for history in HISTORIES:
        await upgrade(dsn, on_line=on_line, history=history)


async def downgrade(
    dsn: str,
    revision: str = "base",
    on_line: Say | None = None,
    *,
    history: str = "cameras",
    listener: Listener | None = None,
    now: datetime | None = None,
) -> None:
    """Takes the database back to the revision; `base` leaves nothing but the empty version table."""
    listener = listener or Listener(on_line=on_line)
    await _run(dsn, history, listener, now, lambda config: command.downgrade(config, revision))


async def move(
    dsn: str,
    revision: str = "head",
    *,
    history: str = "cameras",
    listener: Listener | None = None,
    now: datetime | None = None,
) -> None:
    """Brings the database up or down to the revision, wherever it stands. Raises ValueError for an unknown one."""
    going = downgrade if is_behind(history, revision, await current(dsn, history=history)) else upgrade
    await going(dsn, revision, history=history, listener=listener, now=now)


async def move_all(
    dsn: str, revision: str = "head", *, listener: Listener | None = None, now: datetime | None = None
) -> None:
    """Brings the cameras up or down to the revision, and at `head` every history to its own head.

    The other histories build on the newest cameras: on the way down they are taken away first, with their rows.
    """
    names = revisions()
    if revision not in ("head", names[-1]):
        for history in reversed(HISTORIES[1:]):
            if await current(dsn, history=history) is not None:
                await downgrade(dsn, history=history, listener=listener, now=now)
    await move(dsn, revision, listener=listener, now=now)
    if revision == "head":
        for history in HISTORIES[1:]:
            await upgrade(dsn, history=history, listener=listener, now=now)


def revisions(history: str = "cameras") -> list[str]:
    """The names of a history's revisions, oldest first."""
    script = ScriptDirectory.from_config(_config(history))
    return [found.revision for found in reversed(list(script.walk_revisions()))]


def is_behind(history: str, revision: str, stands_at: str | None) -> bool:
    """Whether the revision is older than the one that the database stands at."""
    names = revisions(history)
    places = {None: -1, "base": -1, "head": len(names) - 1} | {name: place for place, name in enumerate(names)}
    if revision not in places:
        raise ValueError(f"there is no revision {revision!r}; there are base, {', '.join(names)}, head")
    return places[revision] < places.get(stands_at, -1)


async def current(dsn: str, *, history: str = "cameras") -> str | None:
    """The revision the database stands at, None where it was never migrated."""

    def read(connection: Connection) -> str | None:
        options = {"version_table": _VERSION_TABLES[history]}
        return MigrationContext.configure(connection, opts=options).get_current_revision()

    engine = engine_for(dsn, None)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(read)
    finally:
        await engine.dispose()


def head_of(history: str) -> str:
    """The newest revision of a history."""
    head = ScriptDirectory.from_config(_config(history)).get_current_head()
    assert head is not None, "a history has a head"
    return head


def version_table_of(history: str) -> str:
    """Where a database says at which revision of the history it stands."""
    return _VERSION_TABLES[history]


def offline_sql(revision: str = "head", *, history: str = "cameras") -> str:
    """The SQL that `upgrade` would run on an empty database, as one script for psql."""
    script = io.StringIO()
    command.upgrade(_config(history, script), revision, sql=True)
    return script.getvalue()
