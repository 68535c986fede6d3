"""Starts a PostgreSQL for this run and leaves nothing behind, also after kill -9.

Read `postgres_binaries` (which programs, as whom), then `postgres_watchdog` (the process that owns the cluster),
then `postgres_cluster` (roles and databases). DATABASE_URL names an existing server instead.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from harness.bench.postgres_binaries import (
    ChildIdentity,
    PostgresBinaries,
    choose_identity,
    reachable_by_others,
    resolve_binaries,
)
from harness.bench.postgres_cluster import OWNER, READER, ROLES, SERVER, WEB, Cluster, prepare_roles
from harness.errors import BenchUnavailable

__all__ = [
    "OWNER",
    "READER",
    "ROLES",
    "SERVER",
    "WEB",
    "Cluster",
    "ClusterProcess",
    "PostgresBinaries",
    "ephemeral_cluster",
    "prepare_roles",
    "resolve_binaries",
]

T = TypeVar("T")

URL_VARIABLE: Final = "DATABASE_URL"
SHARED_MEMORY: Final = Path("/dev/shm")
SHARED_MEMORY_NEEDED_BYTES: Final = 1_000_000_000
START_WITHIN_S: Final = 90.0
STOP_WITHIN_S: Final = 20.0
WATCHDOG: Final = Path(__file__).with_name("postgres_watchdog.py")

SETTINGS: Final[dict[str, str]] = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "jit": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_parallel_workers_per_gather": "0",
    "checkpoint_timeout": "1h",
    "dynamic_shared_memory_type": "mmap",  # in the data folder, so that nothing outlives it
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
}
SETTINGS_FROM_18: Final[dict[str, str]] = {"io_method": "sync"}  # no I/O workers: three processes less


class ClusterProcess:
    """One PostgreSQL of our own, in a private folder, owned by a watchdog process; start and stop block."""

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        listen_tcp: bool = False,
        binaries: PostgresBinaries | None = None,
        identity: ChildIdentity | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._environ = dict(os.environ if environ is None else environ)
        self._listen_tcp = listen_tcp
        self._binaries = binaries
        self._identity = identity
        self._settings = SETTINGS | dict(settings or {})
        self._watchdog: subprocess.Popen[str] | None = None
        self._cluster: Cluster | None = None
        self.folder: Path | None = None
        self.server_pid: int | None = None

    @property
    def cluster(self) -> Cluster:
        """The address; only while it runs."""
        if self._cluster is None:
            raise BenchUnavailable("the embedded PostgreSQL is not running")
        return self._cluster

    @property
    def watchdog_pid(self) -> int | None:
        """The process that cleans up."""
        return self._watchdog.pid if self._watchdog else None

    def start(self) -> Cluster:
        """Makes a cluster, starts it, makes the roles; BenchUnavailable with PostgreSQL's own words if that fails."""
        if self._watchdog is not None:
            return self.cluster
        binaries = self._binaries or resolve_binaries(self._environ)
        identity = self._identity
        if identity is None:
            binaries, identity = choose_identity(binaries)
        secret = secrets.token_hex(16)
        order = {
            "base": str(_base_folder(identity)),
            "initdb": str(binaries.initdb),
            "postgres": str(binaries.postgres),
            "prefix": list(identity.prefix),
            "uid": identity.uid,
            "gid": identity.gid,
            "superuser": "postgres",
            "password": secret,
            "listen_tcp": self._listen_tcp,
            "settings": self._settings | (SETTINGS_FROM_18 if binaries.version >= 18 else {}),
        }
        answer = self._order(order)
        self.folder, self.server_pid = Path(answer["folder"]), answer["pid"]
        cluster = Cluster(
            host=str(self.folder / "run"),
            port=answer["port"],
            superuser="postgres",
            superuser_password=secret if self._listen_tcp else None,
            secret=secret if self._listen_tcp else None,
            tcp_port=answer["port"] if self._listen_tcp else None,
        )
        try:
            run_blocking(prepare_roles(cluster))
        except BaseException:
            self.stop()
            raise
        self._cluster = cluster
        return cluster

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(WATCHDOG)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # a Ctrl-C in the terminal must not reach PostgreSQL
        )
        self._watchdog = watchdog
        assert watchdog.stdin is not None and watchdog.stdout is not None
        alarm = threading.Timer(START_WITHIN_S, watchdog.terminate)
        alarm.start()
        try:
            watchdog.stdin.write(json.dumps(order) + "\n")
            watchdog.stdin.flush()
            line = watchdog.stdout.readline()
        except BaseException:
            self.stop()
            raise
        finally:
            alarm.cancel()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the watchdog process ended at once"}
        if "error" in answer:
            self.stop()
            raise BenchUnavailable(f"the embedded PostgreSQL did not start: {answer['error']}")
        return answer

    def start_again(self) -> None:
        """After its processes were killed: starts it on what they left; BenchUnavailable if that fails."""
        watchdog = self._watchdog
        assert watchdog is not None and watchdog.stdin is not None and watchdog.stdout is not None
        watchdog.stdin.write("start again\n")
        watchdog.stdin.flush()
        answer: dict[str, Any] = json.loads(watchdog.stdout.readline() or '{"error": "the watchdog process ended"}')
        if "error" in answer:
            raise BenchUnavailable(f"the embedded PostgreSQL did not start again: {answer['error']}")
        self.server_pid = answer["pid"]

    def stop(self) -> None:
        """Stops PostgreSQL and removes its folder; may be called again."""
        watchdog, self._watchdog, self._cluster = self._watchdog, None, None
        if watchdog is None:
            return
        assert watchdog.stdin is not None and watchdog.stdout is not None
        with suppress(BrokenPipeError):
            watchdog.stdin.close()
        try:
            watchdog.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            watchdog.kill()
            watchdog.wait()
        watchdog.stdout.close()
        if self.folder is not None and self.folder.exists():
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@contextmanager
def ephemeral_cluster(environ: Mapping[str, str] | None = None, *, listen_tcp: bool = False) -> Iterator[Cluster]:
    """A server for the length of a `with`: the one of DATABASE_URL, else an embedded one that is gone afterwards."""
    environ = os.environ if environ is None else environ
    url = environ.get(URL_VARIABLE)
    if url:
        cluster = Cluster.from_url(url)
        run_blocking(prepare_roles(cluster))
        yield cluster
        return
    with ClusterProcess(environ, listen_tcp=listen_tcp) as process:
        yield process.cluster


def run_blocking(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end on a loop of its own in a thread, also where another loop is running."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=body, name="wakestorm-blocking")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _base_folder(identity: ChildIdentity) -> Path:
    """Shared memory where there is room, else the temporary folder; one that the child's user can reach."""
    candidates = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    with suppress(OSError):
        if shutil.disk_usage(SHARED_MEMORY).free >= SHARED_MEMORY_NEEDED_BYTES:
            candidates.insert(0, SHARED_MEMORY)
    for folder in candidates:
        if os.access(folder, os.W_OK | os.X_OK) and (identity.uid is None or reachable_by_others(folder)):
            return folder
    raise BenchUnavailable("no folder for the embedded PostgreSQL", hint="set TMPDIR to one that can be written to")
