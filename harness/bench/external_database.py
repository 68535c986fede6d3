"""The database of a target: connections, what it has, whether it looks like production, and the end of own rows.

The judge's connection is read-only twice: by its role, which must not be able to write, and by its transactions.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg

from harness.errors import BenchUnavailable, InternalError, Mistake, UsageError, did_you_mean
from harness.target import Login, Target, TargetError, line_of
from harness.target_tables import COLUMNS
from harness.target_view import (
    REQUIRED,
    TargetSeen,
    TheirTables,
    literal,
    owner_of,
    quoted,
    their_columns,
    their_name,
    with_view,
    written_mac,
)

CONNECT_WITHIN_S: Final = 10.0
READER_SETTINGS: Final = {"default_transaction_read_only": "on", "statement_timeout": "5000", "TimeZone": "UTC"}
WRITER_SETTINGS: Final = {"statement_timeout": "30000", "lock_timeout": "5000", "TimeZone": "UTC"}
PRODUCTION_WORDS: Final = frozenset({"prod", "production", "prd", "live"})
OWN_NUMBERS: Final = 1 << 24
_BY_IMAGE: Final = ("image_id", "device_image_id")


class LooksLikeProduction(UsageError):
    """The target looks like production."""


class MayWrite(UsageError):
    """The judge's role may write."""


async def connect(target: Target, login: Login, what: str, settings: Mapping[str, str]) -> Any:
    """A connection as that login. Raises BenchUnavailable, without any secret."""
    user, password = login.read(os.environ, what)
    place = urlsplit(target.database.url)
    try:
        return await asyncpg.connect(
            target.database.url,
            user=user,
            password=password,
            timeout=CONNECT_WITHIN_S,
            server_settings={"application_name": "wakestorm", **settings},
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        reason = str(error).replace(password or "\0", "***") or type(error).__name__
        where = f"{place.hostname or 'of a socket'}:{place.port or 5432}/{target.database.name}"
        raise BenchUnavailable(f"the target's database {where}: {reason}", hint=f"connecting for {what}") from None


@asynccontextmanager
async def reading(target: Target) -> AsyncIterator[Any]:
    """A connection of the judge."""
    connection = await connect(target, target.database.reader, "database.reader", READER_SETTINGS)
    try:
        yield connection
    finally:
        connection.terminate()


@asynccontextmanager
async def writing(target: Target) -> AsyncIterator[Any]:
    """A connection of the role that may delete own rows."""
    assert target.database.writer is not None, "asked for by the file"
    connection = await connect(target, target.database.writer, "database.writer", WRITER_SETTINGS)
    try:
        yield connection
    finally:
        connection.terminate()


class MappedConnection:
    """Asks in wakestorm's names, of these cameras' rows only; what `Observer` needs of a connection."""

    def __init__(self, connection: Any, tables: TheirTables, devices: Mapping[str, str]) -> None:
        self._connection = connection
        self._tables = tables
        self._devices = devices

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Rows of a SELECT."""
        text = with_view(self._tables, self._devices, query, filled=True)
        rows: list[Any] = await self._connection.fetch(text, *arguments)
        return rows

    async def execute(self, query: str) -> None:
        """Scenario time is real time here: there is nothing to set."""


# -- what there is ---------------------------------------------------------------------------------------


async def looked_at(target: Target, file: Path, text: str) -> TargetSeen:
    """What the target's database has; `text` is the file's, for its lines.

    Raises TargetError, LooksLikeProduction, MayWrite, BenchUnavailable.
    """
    async with reading(target) as connection:
        tables = await _tables(connection, target, file, text)
        await _refuse_writers(connection, tables)
        signs = [sign async for sign in production_signs(connection, tables)]
        name = await connection.fetchval("SELECT current_database()")
        major = connection.get_server_version().major
    if signs and target.database.not_production != name:
        said = target.database.not_production
        named = f"; not_production names {said!r}, this is {name!r}" if said else ""
        raise LooksLikeProduction(
            f"the target looks like production: {'; '.join(signs)}{named}",
            hint=f'if it is not, write under [database] of {file}:  not_production = "{name}"',
        )
    return TargetSeen(target=target, file=file.as_posix(), tables=tables, postgres_major=major)


async def _tables(connection: Any, target: Target, file: Path, text: str) -> TheirTables:
    mistakes: list[Mistake] = []
    found: dict[str, dict[str, str]] = {}

    def say(path: tuple[str, ...], reason: str, hint: str | None = None) -> None:
        mistakes.append(Mistake(file.as_posix(), line_of(text, path), ".".join(path), reason, hint))

    for table in COLUMNS:
        names = target.tables.get(table)
        if names is not None and names.absent:
            continue
        theirs = their_name(target, table)
        there = await _columns(connection, theirs)
        if there is None:
            if names is not None or table in REQUIRED:
                known = await _table_names(connection)
                say(("tables", table, "table"), f"the database has no table {theirs}", did_you_mean(theirs, known))
            continue
        for own, column in {} if names is None else names.columns.items():
            if column not in there:
                say(("tables", table, "columns", own), f"{theirs} has no column {column}", did_you_mean(column, there))
        columns = their_columns(target, table, there)
        for own in REQUIRED.get(table, ()):
            if own not in columns and own not in ({} if names is None else names.columns):
                hint = f"name it in tables.{table}.columns: {own} = ..."
                say(("tables", table), f"{theirs} has no column {own}, and nothing can be judged without", hint)
        found[table] = columns
        if not owner_of(found, table):
            del found[table]
            if names is not None:
                say(("tables", table), f"nothing says whose the rows of {theirs} are", "name device_id or image_id")
    tables = TheirTables(target=target, columns=found)
    if not mistakes and not _shows_bytes(tables):
        hint = "object_bytes or object_sha256 in tables.device_images.columns, or store.folder with object_key"
        say(("tables", "device_images"), "the stored bytes can not be seen, so no photo can be judged", hint)
    if mistakes:
        raise TargetError(mistakes)
    return tables


def _shows_bytes(tables: TheirTables) -> bool:
    is_file = tables.target.store.folder is not None and tables.has("device_images", "object_key")
    return is_file or any(tables.has("device_images", name) for name in ("object_bytes", "object_sha256"))


async def _columns(connection: Any, table: str) -> list[str] | None:
    query = """
        SELECT a.attname FROM pg_attribute a
        WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
    """
    return [row["attname"] for row in await connection.fetch(query, quoted(table))] or None


async def _table_names(connection: Any) -> list[str]:
    query = """
        SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm') AND pg_table_is_visible(c.oid)
        AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
    """
    return [row["relname"] for row in await connection.fetch(query)]


async def _refuse_writers(connection: Any, tables: TheirTables) -> None:
    for table in tables.columns:
        role, reads, writes = await connection.fetchrow(
            "SELECT current_user, has_table_privilege($1, 'SELECT'),"
            " has_table_privilege($1, 'INSERT') OR has_table_privilege($1, 'UPDATE')"
            " OR has_table_privilege($1, 'DELETE') OR has_table_privilege($1, 'TRUNCATE')",
            tables.name(table),
        )
        fix = f"CREATE ROLE watcher LOGIN PASSWORD '...'; GRANT SELECT ON {tables.name(table)} TO watcher;"
        if writes:
            raise MayWrite(f"the role {role} of database.reader may write to {tables.name(table)}", hint=fix)
        if not reads:
            raise BenchUnavailable(f"the role {role} of database.reader may not read {tables.name(table)}", hint=fix)


async def production_signs(connection: Any, tables: TheirTables) -> AsyncIterator[str]:
    """Why this may be production, in words."""
    target = tables.target
    name = await connection.fetchval("SELECT current_database()")
    names = {
        "the database": name,
        "its host": urlsplit(target.database.url).hostname or "",
        "the broker": target.broker.address[0],
    }
    for what, text in names.items():
        if PRODUCTION_WORDS & set(re.split(r"[^a-z]+", text.lower())):
            yield f"{what} is called {text}"
    limit = target.database.strangers_max
    strangers = await connection.fetchval(
        f"SELECT count(*) FROM (SELECT FROM {tables.name('devices')} t"
        f" WHERE {tables.column('devices', 'device_mac')}::text NOT LIKE {_own_pattern(target)} LIMIT {limit + 1}) s"
    )
    if strangers > limit:
        yield f"more than {limit} devices in it are not wakestorm's (database.strangers_max)"


def _own_pattern(target: Target) -> str:
    return literal(written_mac(target.devices.mac_prefix, target.devices.mac_form) + "%")


# -- own cameras -----------------------------------------------------------------------------------------


async def taken_macs(connection: Any, tables: TheirTables) -> set[str]:
    """MACs of the reserved range that stand there, left by earlier runs or in use by another one."""
    column = f"{tables.column('devices', 'device_mac')}::text"
    rows = await connection.fetch(
        f"SELECT {column} AS mac FROM {tables.name('devices')} t WHERE {column} LIKE {_own_pattern(tables.target)}"
    )
    return {re.sub(r"[^0-9A-Fa-f]", "", row["mac"]).upper() for row in rows}


def each_once(block: range, start: int) -> Iterator[int]:
    """Every number of the block once, from the `start`-th on: other runs take from the same block."""
    return (block[(start + step) % len(block)] for step in range(len(block)))


def free_macs(prefix: str, numbers: Iterable[int], taken: set[str]) -> Iterator[str]:
    """MACs with these numbers below the prefix that nobody has."""
    macs = (f"{prefix}{number:06X}" for number in numbers)
    return (mac for mac in macs if mac not in taken)


async def register(connection: Any, tables: TheirTables, macs: Sequence[str]) -> None:
    """Insert a row for each camera, with what `devices.row` says. Raises BenchUnavailable where that is refused."""
    devices = tables.target.devices
    columns = (
        [tables.target.tables["devices"].columns.get("device_mac", "device_mac")]
        if ("devices" in tables.target.tables)
        else ["device_mac"]
    )
    columns += devices.row
    places = ", ".join(f"({literal(written_mac(mac, devices.mac_form))}{_further(devices.row)})" for mac in macs)
    text = f"INSERT INTO {tables.name('devices')} ({', '.join(map(quoted, columns))}) VALUES {places}"
    try:
        await connection.execute(text)
    except asyncpg.PostgresError as error:
        hint = "devices.row of the target names further columns"
        raise BenchUnavailable(f"the target refused the row of a camera: {error}", hint=hint) from None


def _further(row: Mapping[str, Any]) -> str:
    return "".join(f", {literal(value) if isinstance(value, str) else str(value).lower()}" for value in row.values())


async def own_rows(connection: Any, tables: TheirTables, macs: Sequence[str]) -> dict[str, int]:
    """The target's table -> how many rows of these cameras stand there; tables without any are left out."""
    names = {mac: mac for mac in macs}
    query = " UNION ALL ".join(
        f"SELECT {literal(table)} AS name, count(*) AS rows FROM {table}" for table in tables.columns
    )
    rows = await connection.fetch(with_view(tables, names, query, filled=False))
    return {their_name(tables.target, row["name"]): row["rows"] for row in rows if row["rows"]}


async def delete_own_rows(connection: Any, tables: TheirTables, macs: Sequence[str]) -> str:
    """Delete every row of these cameras, and of nobody else; returns what PostgreSQL had against the rest."""
    prefix = tables.target.devices.mac_prefix
    if not all(mac.startswith(prefix) for mac in macs):
        raise InternalError("a row to be deleted is not of wakestorm's own range")
    reason = ""
    waiting = sorted(tables.columns, key=lambda table: _depth(tables, table))
    async with connection.transaction():
        while waiting:
            blocked: list[str] = []
            for table in waiting:
                holds = [other for other in blocked if _depth(tables, other) < max(_depth(tables, table), 2)]
                if table in ("device_images", "devices") and holds:
                    blocked.append(table)  # it says whose the others are
                    continue
                try:
                    async with connection.transaction():
                        await connection.execute(_delete(tables, table, macs))
                except (asyncpg.IntegrityConstraintViolationError, asyncpg.InsufficientPrivilegeError) as error:
                    reason = str(error)
                    blocked.append(table)
            if len(blocked) == len(waiting):
                return reason
            waiting = blocked
    return ""


def _depth(tables: TheirTables, table: str) -> int:
    """0: found by its image; 1: by its device; then the images, then the devices."""
    last = {"device_images": 2, "devices": 3}
    return last.get(table, 0 if owner_of(tables.columns, table) in _BY_IMAGE else 1)


def _delete(tables: TheirTables, table: str, macs: Sequence[str]) -> str:
    """The rows are found by ctid in the view of own cameras, which is the only way to a row here."""
    owner = owner_of(tables.columns, table)
    column = tables.column(table, owner)
    form = tables.target.devices.mac_form
    listed = ", ".join(literal(written_mac(mac, form)) for mac in macs)
    device_mac, key = tables.column("devices", "device_mac"), tables.column("devices", "device_id")
    own_devices = f"SELECT {key} FROM {tables.name('devices')} t WHERE {device_mac}::text IN ({listed})"
    where = f"{column}::text IN ({listed})"
    if owner == "device_id":
        where = f"{column} IN ({own_devices})"
    elif owner in _BY_IMAGE:
        images = tables.column("device_images", "image_id")
        by = owner_of(tables.columns, "device_images")
        whose = f"{tables.column('device_images', by)} IN ({own_devices})"
        whose = f"{tables.column('device_images', by)}::text IN ({listed})" if by == "device_mac" else whose
        where = f"{column} IN (SELECT {images} FROM {tables.name('device_images')} t WHERE {whose})"
    return f"DELETE FROM {tables.name(table)} t WHERE {where}"
