"""What a revision is made of: files of SQL and the lines it says while it runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from alembic import op

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


def _run(statement: str) -> None:
    context = op.get_context()
    if context.as_sql:
        context.impl.static_output(statement + ";\n")
    else:
        op.get_bind().exec_driver_sql(statement)


def run_files(folder: Path, *names: str) -> None:
    """Runs the named .sql files of the folder, one after another."""
    for name in names:
        for statement in split_statements((folder / f"{name}.sql").read_text(encoding="utf-8")):
            _run(statement)


def say(line: str) -> None:
    """Sends one line to whoever watches the migration, as a NOTICE."""
    quoted = line.replace("'", "''").replace("%", "%%")
    _run(f"DO $say$ BEGIN RAISE NOTICE '{quoted}'; END $say$")
