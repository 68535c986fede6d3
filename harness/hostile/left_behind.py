"""S11: whether a secret that somebody was given stands in anything that the attacked server has written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import asyncpg

from harness.hostile.figure import Figure
from harness.hostile.stand import AttackedServer


async def left_behind(server: AttackedServer, *, is_quick: bool) -> list[Figure]:
    """S11: passwords, tokens and cookies in logs, files and rows; after all other attacks."""
    del is_quick
    places = {"the server's log": "\n".join(server.lines)}
    places |= {str(file): file.read_bytes().decode(errors="replace") for file in _files(server.folder)}
    places |= {f"table {name}": text for name, text in await _rows(server.owner)}
    found = [
        f"secret {number} of {len(server.handed_out)} in {where}"
        for number, secret in enumerate(server.handed_out, 1)
        for where, text in places.items()
        if secret in text or secret.encode().hex() in text
    ]
    return [
        Figure(
            id="S11 secrets",
            title="Passwords, tokens and cookies in what the server leaves",
            found=(
                f"{len(server.handed_out)} looked for in {len(server.lines):,} lines of log, "
                f"{len(places) - 1} files and tables: found {len(found)} times"
            ),
            limit="0",
            holds=not found and len(server.handed_out) > 2 and bool(server.lines),
            details=tuple(found),
        )
    ]


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


async def _rows(owner: asyncpg.Connection) -> list[tuple[str, str]]:
    tables = await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    names = [row["tablename"] for row in tables]
    return [(name, str(await owner.fetch(f'SELECT t::text FROM "{name}" t'))) for name in names]
