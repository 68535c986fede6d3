"""What a revision is made of: files of SQL and the lines it says while it runs.

A revision first does what is long, `outside_transaction`: statement by statement, each safe to repeat, none keeping
anybody from reading or writing for long. What is left is one short transaction, in which the revision's name is
written too. So a migration that was killed anywhere goes on where it stopped when it is started again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic import op
from sqlalchemy.exc import DBAPIError, IntegrityError

_TOKEN: Final = re.compile(
    r"(?P<quiet>--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|(?P<tag>\$\w*\$).*?(?P=tag))|(?P<end>;)",
    re.DOTALL,
)


def split_statements(sql: str) -> list[str]:
    """The statements of a script, without their semicolons; quotes, dollar quotes and comments are respected.

    asyncpg prepares what it runs, and PostgreSQL prepares one statement at a time.
    """
    statements: list[str] = []
    start = 0
    for token in _TOKEN.finditer(sql):
        if token["end"]:
            statements.append(sql[start : token.start()].strip())
            start = token.end()
    if re.sub(r"--[^\n]*", "", sql[start:]).strip():
        raise ValueError(f"the script does not end with a semicolon: ...{sql[start:].strip()[-60:]!r}")
    return statements


LOCK_TIMEOUT_MS: Final = 300
"""A migration never waits longer for a table: whoever comes after it would wait as well."""

LOCK_TRIES: Final = 100
LOCK_PAUSE_S: Final = 0.5
UNIQUE_TRIES: Final = 10
LOCK_NOT_AVAILABLE: Final = "55P03"
UNIQUE_VIOLATION: Final = "23505"


class MigrationStuck(Exception):
    """Others were in the way for so long that the migration gave up; started again, it goes on."""


def _run(statement: str) -> None:
    context = op.get_context()
    if context.as_sql:
        context.impl.static_output(statement + ";\n")
        return
    before = context.config.attributes.get("before_statement") if context.config is not None else None
    if before is not None:
        before(statement)
    op.get_bind().exec_driver_sql(statement)


@contextmanager
def outside_transaction() -> Iterator[None]:
    """Each statement inside commits by itself; so does what was done before. All must be safe to repeat."""
    with op.get_context().autocommit_block():
        yield


def _scripts(folder: Path, *names: str) -> Iterator[tuple[str, str]]:
    for name in names:
        for statement in split_statements((folder / f"{name}.sql").read_text(encoding="utf-8")):
            yield name, statement


def run_files(folder: Path, *names: str) -> None:
    """Runs the named .sql files of the folder, one after another."""
    for _, statement in _scripts(folder, *names):
        _run(statement)


def run_briefly(folder: Path, *names: str) -> None:
    """The same, outside a transaction, for statements that lock whole tables for a moment.

    A lock that is not to be had soon is asked for again later. Raises MigrationStuck in the end.
    """
    _run(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
    for name, statement in _scripts(folder, *names):
        for _ in range(LOCK_TRIES):
            try:
                _run(statement)
            except DBAPIError as error:
                if _sqlstate(error) != LOCK_NOT_AVAILABLE:
                    raise
                op.get_bind().exec_driver_sql(f"SELECT pg_sleep({LOCK_PAUSE_S})")
            else:
                break
        else:
            raise MigrationStuck(f"tables stay locked by others; end long transactions and start again ({name}.sql)")
    _run("RESET lock_timeout")


def build_index(name: str, definition: str, *, unique: bool = False) -> None:
    """Builds an index while others read and write; half of one that a killed attempt left is built anew.

    Outside a transaction only. A unique one raises IntegrityError where the rows contradict it.
    """
    if op.get_context().as_sql or _is_invalid(name):
        _run(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    _run(f"CREATE {'UNIQUE ' if unique else ''}INDEX CONCURRENTLY IF NOT EXISTS {name} ON {definition}")


def build_unique_index(name: str, definition: str, folder: Path, cure: str) -> None:
    """`build_index`, unique; runs the file `cure` before, and again where new rows contradict the index.

    Raises MigrationStuck where they never stop to come.
    """
    for _ in range(UNIQUE_TRIES):
        run_files(folder, cure)
        try:
            build_index(name, definition, unique=True)
        except IntegrityError as error:
            if _sqlstate(error) != UNIQUE_VIOLATION:
                raise
            _run(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # else it goes on refusing rows
        else:
            return
    raise MigrationStuck(f"index {name}: new duplicates came faster than they were moved; stop the old servers first")


def lock_tables(*names: str, mode: str = "ACCESS EXCLUSIVE") -> None:
    """Locks the tables until the end of the transaction, all or none at a time: nobody waits for long or deadlocks."""
    _run(
        f"""DO $lock$
BEGIN
    FOR i IN 1..{LOCK_TRIES} LOOP
        BEGIN
            SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS};
            LOCK TABLE {", ".join(names)} IN {mode} MODE;
            SET LOCAL lock_timeout = 0;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep({LOCK_PAUSE_S});
        END;
    END LOOP;
    RAISE EXCEPTION 'tables stay locked by others: {", ".join(names)}' USING ERRCODE = '{LOCK_NOT_AVAILABLE}',
        HINT = 'Nothing is lost: end the long transactions and start the migration again.';
END
$lock$"""
    )


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _is_invalid(name: str) -> bool:
    query = f"SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{name}')"
    return bool(op.get_bind().exec_driver_sql(query).scalar())


def say(line: str) -> None:
    """Sends one line to whoever watches the migration, as a NOTICE."""
    quoted = line.replace("'", "''").replace("%", "%%")
    _run(f"DO $say$ BEGIN RAISE NOTICE '{quoted}'; END $say$")
