"""`wakestorm db`: migrate, verify, shell; where no database is named, on an embedded one that is gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import server.cli
from harness.bench.postgres import OWNER, ROLES, ephemeral_cluster, resolve_binaries, run_blocking
from harness.bench.postgres_cluster import Cluster, prepare_roles
from harness.bench.template import ensure_template
from harness.errors import BenchUnavailable, UsageError


def migrate_command(
    url: str | None, revision: str, *, as_sql: bool, may_go_down: bool = False, backup: Path | None = None
) -> int:
    """Raises UsageError without a URL, BenchUnavailable or ServeError where the database or pg_dump refuses."""
    if as_sql:
        return server.cli.print_schema_sql(revision)
    url = _named(url)
    if backup is not None:
        _back_up(url, backup)
    _make_roles(Cluster.from_url(url))
    return server.cli.migrate_database(url, revision, may_go_down=may_go_down)


def _back_up(url: str, file: Path) -> None:
    """Raises before anything is migrated where there is no backup; half of one is not left behind."""
    program = _client_program("pg_dump")
    if program is None:
        raise BenchUnavailable(
            "pg_dump is not installed: no backup was made, and nothing was migrated",
            hint="install PostgreSQL's client programs, or migrate without --backup",
        )
    if file.exists():
        raise UsageError(f"{file} exists already: nothing was migrated", hint="name a new file for the backup")
    cluster = Cluster.from_url(url)
    place = cluster.dsn(cluster.maintenance_database, cluster.superuser)
    bare = replace(cluster, superuser_password=None).dsn(cluster.maintenance_database, cluster.superuser)
    environ = os.environ | (
        {"PGPASSWORD": cluster.superuser_password or ""} if bare != place else {}
    )  # not for `ps` to see
    form = "plain" if file.suffix == ".sql" else "custom"
    command = [program, f"--dbname={bare}", f"--format={form}", f"--file={file}"]
    ended = subprocess.run(command, check=False, env=environ, capture_output=True, text=True)
    if ended.returncode != 0:
        file.unlink(missing_ok=True)
        words = " ".join(ended.stderr.split()) or f"exit code {ended.returncode}"
        raise BenchUnavailable(
            f"the backup failed, and nothing was migrated: {words}", hint=f"it was made by {program}"
        )
    print(f"backup: {file} ({file.stat().st_size} bytes)", file=sys.stderr)


def _client_program(name: str) -> str | None:
    """One of PostgreSQL's client programs: beside the server that would be used, else on PATH."""
    try:
        beside = resolve_binaries(os.environ).bin_dir / name
    except BenchUnavailable:
        return shutil.which(name)
    return str(beside) if beside.exists() else shutil.which(name)


def demo_command(url: str | None, *, duplicates: bool = False) -> int:
    """Raises UsageError without a URL, BenchUnavailable or ServeError where the database refuses."""
    url = _named(url, instead="; wakestorm db shell --demo needs none")
    _make_roles(Cluster.from_url(url))
    return server.cli.load_duplicates(url) if duplicates else server.cli.load_demo(url)


def monitor_command(url: str | None, *, once: bool) -> int:
    """One round of the monitor; raises UsageError without a URL or without --once."""
    if not once:
        raise UsageError("wakestorm serve runs the monitor every 5 minutes", hint="for a single round add --once")
    return server.cli.monitor_once(_named(url))


def verify_command(url: str | None) -> int:
    """Prints one line for each question; exit code 1 when one has another answer than it should."""
    with _database(url) as place:
        return server.cli.verify_database(place)


def stamp_command(url: str | None, revision: str) -> int:
    """Raises UsageError without a URL, ServeError for a revision that nobody knows."""
    return server.cli.stamp_database(_named(url), revision)


def orphans_command(url: str | None, pin: str, *, delete: bool) -> int:
    """Raises UsageError without a URL, for both cures at once, or for a pin that is no UUID."""
    if pin and delete:
        raise UsageError("--pin and --delete are two cures", hint="give one of them, or none to list the orphans")
    if pin:
        try:
            UUID(pin)
        except ValueError:
            raise UsageError(f"--pin {pin!r} is no UUID", hint="SELECT id, name FROM camera_pins shows them") from None
    return server.cli.mend_orphans(_named(url), pin, delete=delete)


def _named(url: str | None, *, instead: str = "") -> str:
    if url is None:
        raise UsageError("no database is named", hint=f"give --database-url, or set DATABASE_URL{instead}")
    return url


def shell_command(url: str | None, *, demo: bool = False) -> int:
    """psql's own exit code; with `demo` the test data is loaded first."""
    program = _client_program("psql")
    if program is None:
        raise BenchUnavailable("psql is not installed", hint="install PostgreSQL's client programs")
    with _database(url) as place:
        if demo:
            _make_roles(Cluster.from_url(place))
            server.cli.load_demo(place)
            sys.stdout.flush()
        return subprocess.run([program, place], check=False).returncode


@contextmanager
def _database(url: str | None) -> Iterator[str]:
    """The database of that URL, else a fresh one."""
    if url is not None:
        yield url
        return
    with ephemeral_cluster({}) as cluster:
        run_blocking(_cloned(cluster))
        yield cluster.dsn("wakestorm", OWNER)


async def _cloned(cluster: Cluster) -> None:
    await cluster.create_database("wakestorm", await ensure_template(cluster))


def _make_roles(cluster: Cluster) -> None:
    """The roles that the migrations grant to, where this one may make them."""

    async def prepare() -> None:
        async with cluster.admin() as connection:
            may = await connection.fetchval(
                "SELECT rolsuper OR (rolcreaterole AND rolcreatedb) FROM pg_roles WHERE rolname = current_user"
            )
            found = await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)", list(ROLES))
        if may and found < len(ROLES):
            await prepare_roles(cluster)

    run_blocking(prepare())
