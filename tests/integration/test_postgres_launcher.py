"""The embedded PostgreSQL: starts as anyone, collides with nobody, leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from harness.bench.postgres import (
    OWNER,
    READER,
    ROLES,
    SERVER,
    Cluster,
    ClusterProcess,
    ephemeral_cluster,
    resolve_binaries,
    run_blocking,
)
from harness.bench.postgres_binaries import ChildIdentity, nobody_identity, reachable_by_others
from harness.errors import BenchUnavailable
from tests.conftest import Database

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parent.parent.parent
GONE_WITHIN_S = 20.0
NOBODYS_PYTHON = Path("/usr/bin/python3")
is_root = os.geteuid() == 0

PARENT_PROGRAM = """
import json, os, sys
from harness.bench.postgres import ClusterProcess
process = ClusterProcess()
process.start()
is_child = "fork" in sys.argv and os.fork() == 0  # the child holds the watchdog's pipe open
if not is_child:
    print(json.dumps([str(process.folder), process.server_pid, process.watchdog_pid]), flush=True)
sys.stdin.read()
os._exit(0)
"""

NOBODYS_PROGRAM = """
import encodings.idna, json, os, sys
from harness.bench.postgres import ClusterProcess, resolve_binaries, run_blocking
from harness.bench.postgres_binaries import nobody_identity
binaries, identity = nobody_identity(resolve_binaries({}))
sys.executable = "/usr/bin/python3"
os.setgroups([])
os.setgid(identity.gid)
os.setuid(identity.uid)
os.environ.pop("HOME", None)
with ClusterProcess(binaries=binaries) as process:
    run_blocking(process.cluster.create_database("made"))
    exists = run_blocking(process.cluster.database_exists("made"))
    owner = os.stat(process.folder / "data" / "PG_VERSION").st_uid
    server = os.stat(f"/proc/{process.server_pid}").st_uid
    folder = str(process.folder)
print(json.dumps([exists, owner, server, os.path.exists(folder)]))
"""


def on(dsn: str, work: Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[object]]) -> object:
    """Runs `work` with one connection."""

    async def body() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(body())


def wait_gone(pid: int) -> None:
    """Returns when the process is gone; it need not be a child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], GONE_WITHIN_S)[0], f"process {pid} still runs"
    finally:
        os.close(handle)


def python_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_roles_have_no_power_beyond_their_task(cluster: Cluster) -> None:
    async def look() -> None:
        async with cluster.admin() as connection:
            rows = await connection.fetch("SELECT * FROM pg_roles WHERE rolname = ANY($1::text[])", list(ROLES))
            assert {row["rolname"] for row in rows} == set(ROLES)
            for row in rows:
                assert row["rolcanlogin"]
                powers = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolbypassrls", "rolreplication")
                assert not any(row[power] for power in powers), row["rolname"]
            reader = next(row for row in rows if row["rolname"] == READER)
            assert not reader["rolinherit"]
            assert 0 < reader["rolconnlimit"] <= 100
            assert not await connection.fetchval(
                "SELECT count(*) FROM pg_auth_members WHERE member = $1::regrole", READER
            )

    asyncio.run(look())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "2s"),
        ("lock_timeout", "1s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("temp_file_limit", "64MB"),
    ],
)
def test_reader_is_limited_by_its_role(database: Database, setting: str, value: str) -> None:
    assert on(database.dsn(READER), lambda connection: connection.fetchval(f"SHOW {setting}")) == value


def test_reader_cannot_write_even_when_it_asks_for_a_writable_transaction(database: Database) -> None:
    async def write(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("CREATE TABLE mine (a int)")
        await connection.execute("SET default_transaction_read_only = off")
        for statement in ("CREATE TABLE mine (a int)", "CREATE TEMP TABLE mine (a int)", "SET ROLE ws_owner"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)

    on(database.dsn(READER), write)


def test_server_may_make_temporary_tables_and_nobody_else_may_connect(database: Database) -> None:
    on(database.dsn(SERVER), lambda connection: connection.execute("CREATE TEMP TABLE mine (a int)"))
    stranger = f"stranger_{os.getpid()}"

    async def admit() -> None:
        async with database.cluster.admin() as connection:
            await connection.execute(f"CREATE ROLE {stranger} LOGIN")
            try:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await asyncpg.connect(database.dsn(stranger))
            finally:
                await connection.execute(f"DROP ROLE {stranger}")

    asyncio.run(admit())


def test_a_clone_has_what_its_template_has_and_the_template_refuses_connections(cluster: Cluster) -> None:
    template, clone = f"template_{os.getpid()}", f"clone_{os.getpid()}"

    async def body() -> None:
        await cluster.create_database(template)
        try:
            connection = await asyncpg.connect(cluster.dsn(template, OWNER))
            await connection.execute("CREATE TABLE t AS SELECT 7 AS a; GRANT SELECT ON t TO ws_server")
            await connection.close()
            await cluster.mark_template(template)
            with pytest.raises(asyncpg.PostgresError, match="not currently accepting connections"):
                await asyncpg.connect(cluster.dsn(template, OWNER))
            await cluster.create_database(clone, template)
            connection = await asyncpg.connect(cluster.dsn(clone, SERVER))
            assert await connection.fetchval("SELECT a FROM t") == 7
            assert await connection.fetchval("SHOW timezone") == "UTC"
            # dropped although somebody is connected
            await cluster.drop_database(clone)
            assert not await cluster.database_exists(clone)
            connection.terminate()
        finally:
            await cluster.drop_database(template)
            await cluster.drop_database(clone)
        assert not await cluster.database_exists(template)

    asyncio.run(body())


def test_a_template_is_built_once_however_many_ask(cluster: Cluster) -> None:
    name = f"asked_{os.getpid()}"
    built: list[str] = []

    async def build(dsn: str) -> None:
        built.append(dsn)

    async def body() -> None:
        try:
            await asyncio.gather(*(cluster.ensure_template(name, build) for _ in range(5)))
            assert len(built) == 1
            assert await cluster.database_exists(name)
            assert not await cluster.database_exists(f"{name}_making")
        finally:
            await cluster.drop_database(name)

    asyncio.run(body())


def test_a_template_whose_making_failed_is_made_again(cluster: Cluster) -> None:
    name = f"failed_{os.getpid()}"

    async def fail(dsn: str) -> None:
        raise ValueError(dsn)

    async def build(dsn: str) -> None:
        return None

    async def body() -> None:
        try:
            with pytest.raises(ValueError, match="_making"):
                await cluster.ensure_template(name, fail)
            assert not await cluster.database_exists(name)
            await cluster.ensure_template(name, build)
            assert await cluster.database_exists(name)
        finally:
            await cluster.drop_database(name)

    asyncio.run(body())


def test_backends_gone_waits_for_a_killed_client(database: Database) -> None:
    async def body() -> None:
        connection = await asyncpg.connect(database.dsn(SERVER))
        with pytest.raises(BenchUnavailable, match="did not end"):
            await database.cluster.backends_gone(database.name, SERVER, within_s=0.02)
        await database.cluster.backends_gone(database.name, READER)
        connection.terminate()
        await database.cluster.backends_gone(database.name, SERVER)

    asyncio.run(body())


def test_stop_leaves_nothing_and_may_be_repeated() -> None:
    process = ClusterProcess({})
    process.start()
    folder, server_pid = process.folder, process.server_pid
    assert folder is not None and folder.is_dir() and server_pid is not None
    process.stop()
    process.stop()
    wait_gone(server_pid)
    assert not folder.exists()
    with pytest.raises(BenchUnavailable):
        _ = process.cluster


@pytest.mark.parametrize("mode", ["alone", "fork"])
def test_kill_9_of_the_parent_leaves_nothing(mode: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT_PROGRAM, mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=python_environment(),
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        folder, server_pid, watchdog_pid = json.loads(parent.stdout.readline())
        assert Path(folder).is_dir()
        os.kill(server_pid, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_gone(watchdog_pid)
        wait_gone(server_pid)
        assert not Path(folder).exists()


def test_clusters_side_by_side_do_not_collide() -> None:
    processes = [ClusterProcess({}, listen_tcp=True) for _ in range(3)]
    try:
        with ThreadPoolExecutor(3) as threads:
            clusters = list(threads.map(ClusterProcess.start, processes))
        assert len({cluster.host for cluster in clusters}) == 3
        assert len({cluster.tcp_port for cluster in clusters}) == 3
        for cluster in clusters:
            assert not run_blocking(cluster.database_exists("here"))
            run_blocking(cluster.create_database("here"))
            assert on(cluster.dsn("here", SERVER, tcp=True), lambda c: c.fetchval("SELECT 1")) == 1
    finally:
        for process in processes:
            process.stop()


def test_tcp_asks_for_a_password() -> None:
    with ephemeral_cluster({}, listen_tcp=True) as cluster:
        for role in ("postgres", SERVER):
            with pytest.raises(asyncpg.PostgresError, match="password"):
                asyncio.run(
                    asyncpg.connect(
                        host="127.0.0.1",
                        port=cluster.tcp_port,
                        user=role,
                        password="guess",
                        database="postgres",
                        ssl=False,
                    )
                )


def test_an_existing_server_is_used_by_url() -> None:
    with ephemeral_cluster({}, listen_tcp=True) as own:
        url = own.dsn("postgres", "postgres", tcp=True)
        with ephemeral_cluster({"DATABASE_URL": url}) as given:
            assert not given.is_ours
            run_blocking(given.create_database("theirs"))
            assert on(given.dsn("theirs", SERVER), lambda c: c.fetchval("SELECT current_user")) == SERVER
        assert run_blocking(own.database_exists("theirs"))

        async def weak() -> None:
            async with own.admin() as connection:
                await connection.execute("CREATE ROLE weak LOGIN")

        run_blocking(weak())
        weak_url = f"postgresql://weak@/postgres?host={own.host}&port={own.port}"
        with (
            pytest.raises(BenchUnavailable, match="may not create databases") as error,
            ephemeral_cluster({"DATABASE_URL": weak_url}),
        ):
            pass
        assert "CREATEDB CREATEROLE" in (error.value.hint or "")


@pytest.mark.skipif(not is_root, reason="only root can become nobody")
def test_root_without_user_namespaces_starts_as_nobody() -> None:
    binaries, identity = nobody_identity(resolve_binaries({}))
    assert all(reachable_by_others(tree) for tree in binaries.trees)
    with ClusterProcess(binaries=binaries, identity=identity) as process:
        assert process.folder is not None and process.server_pid is not None
        assert (process.folder / "data" / "PG_VERSION").stat().st_uid == pwd.getpwnam("nobody").pw_uid
        assert Path(f"/proc/{process.server_pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
        run_blocking(process.cluster.create_database("made"))
        folder = process.folder
    assert not folder.exists()


@pytest.mark.skipif(not is_root, reason="only root can become nobody")
@pytest.mark.skipif(not NOBODYS_PYTHON.exists(), reason="needs a Python that everyone may run")
def test_an_ordinary_user_starts_it_plainly() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOBODYS_PROGRAM],
        capture_output=True,
        env=python_environment(),
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    nobody = pwd.getpwnam("nobody").pw_uid
    assert json.loads(done.stdout) == [True, nobody, nobody, False]


@pytest.mark.skipif(not is_root, reason="only root drops rights")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_root_makes_no_system_user_and_opens_no_folder() -> None:
    users = Path("/etc/passwd").read_bytes()
    places = [*ROOT.parents, *resolve_binaries({}).bin_dir.parents]
    rights = [place.stat().st_mode for place in places]
    with ClusterProcess({}) as process:
        run_blocking(process.cluster.create_database("made"))
    assert Path("/etc/passwd").read_bytes() == users
    assert [place.stat().st_mode for place in places] == rights


def test_what_postgres_says_reaches_the_user(tmp_path: Path) -> None:
    for name, text in (("postgres", "echo postgres 18.1"), ("initdb", "echo no room on this disk >&2; exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    process = ClusterProcess({"WAKESTORM_POSTGRES_BIN": str(tmp_path)}, identity=ChildIdentity())
    with pytest.raises(BenchUnavailable, match="no room on this disk"):
        process.start()
