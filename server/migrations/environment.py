"""What Alembic's env.py of each history does: connect, or print SQL, and run the revisions.

The address comes from the caller's connection, `-x url=...`, or DATABASE_URL; the driver is asyncpg.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable, Collection
from datetime import datetime
from logging.config import fileConfig
from pathlib import Path
from typing import Any

import asyncpg
from alembic import context
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.util import CommandError
from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.schema import SchemaItem

APPLICATION_NAME = "wakestorm-migrate"
_LOCK_KEY = 0x77616B65
_LOCK_LOOK_S = 0.05
_VERSION_LENGTH_CHARS_MAX = 128


class WideVersionPostgresql(PostgresqlImpl):
    """PostgreSQL for Alembic, with room for the long names of the documented migrations (Alembic's own is 32)."""

    __dialect__ = "postgresql"

    def version_table_impl(
        self, *, version_table: str, version_table_schema: str | None, version_table_pk: bool, **_: Any
    ) -> Table:
        """The table that holds the revision."""
        table = Table(
            version_table,
            MetaData(),
            Column("version_num", String(_VERSION_LENGTH_CHARS_MAX), nullable=False),
            schema=version_table_schema,
        )
        if version_table_pk:
            table.append_constraint(PrimaryKeyConstraint("version_num", name=f"{version_table}_pkc"))
        return table


Say = Callable[[str], None]
"""Takes one line that a migration says."""


def _pass_on(message: object, on_line: Say | None, on_progress: Say | None) -> None:
    line = str(getattr(message, "message", message))
    if getattr(message, "severity_en", "") == "INFO":
        on_line = on_progress
    if on_line is not None and not line.endswith(", skipping"):  # IF EXISTS had nothing to do: no news
        on_line(line)


def engine_for(
    dsn: str, on_line: Say | None, on_progress: Say | None = None, *, now: datetime | None = None
) -> AsyncEngine:
    """An engine with one connection at a time. Unix sockets by `?host=`.

    NOTICE goes to `on_line`, INFO, which tells how far long work has come, to `on_progress`. For its rows it is `now`.
    """
    address = dsn.replace("postgresql+asyncpg://", "postgresql://", 1)
    settings = {"application_name": APPLICATION_NAME, "client_min_messages": "notice"}
    if now is not None:
        settings["wakestorm.now"] = now.isoformat()

    async def connect() -> asyncpg.Connection[Any]:
        connection = await asyncpg.connect(address, server_settings=settings, max_cached_statement_lifetime=0)
        if on_line is not None or on_progress is not None:
            connection.add_log_listener(lambda _, message: _pass_on(message, on_line, on_progress))
        return connection

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)


def hold_lock(connection: Connection) -> None:
    """Waits until no other session migrates this database; the lock goes with the connection.

    It asks again and again: one long statement that waits would hold a snapshot, for which building an index waits.
    """
    while not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_LOCK_KEY})").scalar():
        connection.commit()
        connection.exec_driver_sql(f"SELECT pg_sleep({_LOCK_LOOK_S})")
        connection.commit()
    connection.commit()


def _address() -> str:
    arguments = context.get_x_argument(as_dictionary=True)
    url = arguments.get("url") or os.environ.get("DATABASE_URL")
    if not isinstance(url, str):
        raise SystemExit("No database: set DATABASE_URL or give -x url=postgresql://user@host/name")
    return url


def _run_on(connection: Connection, version_table: str, metadata: MetaData | None, tables: Collection[str]) -> None:
    def belongs(_: SchemaItem, name: str | None, kind: str, __: bool, ___: SchemaItem | None) -> bool:
        return kind != "table" or name in tables

    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=belongs,
        version_table=version_table,
        transaction_per_migration=True,
    )
    with context.begin_transaction(), warnings.catch_warnings():
        # SQLAlchemy 2.1 stumbles over the CHECKs that it reads itself; the drift check does not need them
        warnings.filterwarnings("ignore", "Can't validate argument 'dialect_options'")
        context.run_migrations()


def refusal_of(error: BaseException) -> str | None:
    """What PostgreSQL said below what SQLAlchemy wrapped around it, and what to do; None for other errors."""
    cause = getattr(getattr(error, "orig", None), "__cause__", None)
    if not isinstance(cause, asyncpg.PostgresError):
        return None
    said = [line for line in str(cause).splitlines() if line.strip()]
    if isinstance(cause, asyncpg.DuplicateColumnError):
        said.append("HINT:  where all of the revision was made by hand, `wakestorm db stamp REVISION` says so")
    said.append("What is done stays; once that is mended, start it again.")
    return "\n  ".join([f"refused, {cause.sqlstate}: {said[0]}", *said[1:]])


async def _run_alone(version_table: str, metadata: MetaData | None, tables: Collection[str]) -> None:
    engine = engine_for(_address(), context.config.print_stdout)
    async with engine.connect() as connection:
        await connection.run_sync(hold_lock)
        try:
            await connection.run_sync(_run_on, version_table, metadata, tables)
        except DBAPIError as error:
            raise CommandError(refusal_of(error) or str(error)) from error  # Alembic prints it without a traceback
        await asyncio.sleep(0)  # lets the last notices arrive
    await engine.dispose()


def run(version_table: str, metadata: MetaData | None = None, tables: Collection[str] = ()) -> None:
    """Runs what Alembic was asked for; called by env.py of a history.

    `alembic check` compares these tables with the models of `metadata`, where a history has any.
    """
    config = context.config
    if config.config_file_name is not None and Path(config.config_file_name).exists():
        fileConfig(config.config_file_name, disable_existing_loggers=False)
    if context.is_offline_mode():
        context.configure(
            dialect_name="postgresql", version_table=version_table, transaction_per_migration=True, literal_binds=True
        )
        with context.begin_transaction():
            context.run_migrations()
        return
    given = config.attributes.get("connection")
    if given is not None:
        _run_on(given, version_table, metadata, tables)
    else:
        asyncio.run(_run_alone(version_table, metadata, tables))
