"""The process that owns a cluster: it makes it, starts it, and takes it away when its parent is gone.

Run as a program of its own with nothing but the standard library. The first line of stdin is the order (JSON);
stdin then stays open as long as the cluster is wanted. One line of JSON on stdout says where it runs, or what went
wrong. The end of stdin (closed by `stop`, or by the kernel after kill -9 of the parent) ends the cluster.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SOCKET_PATH_MAX_BYTES = 107
READY_WITHIN_S = 60.0
PARENT_CHECK_S = 1.0
DEFAULT_PORT = 5432
PORT_TRIES = 5


class CannotStart(Exception):
    """The cluster could not be made or started; the text is for the person at the keyboard."""


class Stopped(Exception):
    """Somebody asked for the end."""


def _stop_on_signal(_signal: int, _frame: object) -> None:
    raise Stopped


def _identity(order: dict[str, Any]) -> dict[str, Any]:
    if order["uid"] is None:
        return {}
    return {"user": order["uid"], "group": order["gid"], "extra_groups": []}


def _environment(folder: Path) -> dict[str, str]:
    """A clean one: variables like PGDATA or LC_ALL of the caller must not reach PostgreSQL."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": str(folder), "TMPDIR": str(folder)}


def make_folder(order: dict[str, Any]) -> Path:
    """A fresh private folder with `run` for the socket and `log`; the cluster's user owns it."""
    folder = Path(tempfile.mkdtemp(prefix="wakestorm-pg-", dir=order["base"]))
    longest = len(os.fsencode(folder / "run" / ".s.PGSQL.65535"))
    if longest > SOCKET_PATH_MAX_BYTES:
        folder.rmdir()
        raise CannotStart(f"the path of the socket would have {longest} bytes; set TMPDIR to a shorter folder")
    (folder / "run").mkdir(mode=0o700)
    (folder / "log").touch(mode=0o600)
    if order["uid"] is not None:
        for place in (folder, folder / "run", folder / "log"):
            os.chown(place, order["uid"], order["gid"])
    return folder


def make_cluster(order: dict[str, Any], folder: Path) -> None:
    """Runs initdb and writes the settings."""
    password = folder / "password"
    password.write_text(order["password"] + "\n")
    if order["uid"] is not None:
        os.chown(password, order["uid"], order["gid"])
    command = [*order["prefix"], order["initdb"], "-D", str(folder / "data"), "-U", order["superuser"]]
    command += ["--encoding=UTF8", "--locale=C", "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256"]
    command += [f"--pwfile={password}"]
    done = subprocess.run(
        command, cwd="/", env=_environment(folder), capture_output=True, text=True, check=False, **_identity(order)
    )
    if done.returncode != 0:
        raise CannotStart(f"initdb failed:\n{(done.stdout + done.stderr)[-1500:]}")
    password.unlink()
    with (folder / "data" / "postgresql.conf").open("a") as settings:
        for name, value in order["settings"].items():
            settings.write(f"{name} = '{value}'\n")
        settings.write(f"unix_socket_directories = '{folder / 'run'}'\n")


def free_port() -> int:
    """A TCP port that was free a moment ago; the caller tries again if somebody was faster."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_server(
    order: dict[str, Any], folder: Path, wanted_port: int | None = None
) -> tuple[subprocess.Popen[bytes], int]:
    """Starts PostgreSQL and waits until it takes connections; (process, port)."""
    for _ in range(PORT_TRIES):
        port = wanted_port or (free_port() if order["listen_tcp"] else DEFAULT_PORT)
        address = "127.0.0.1" if order["listen_tcp"] else ""
        command = [*order["prefix"], order["postgres"], "-D", str(folder / "data")]
        command += ["-c", f"port={port}", "-c", f"listen_addresses={address}"]
        with (folder / "log").open("ab") as log:
            server = subprocess.Popen(
                command, cwd="/", env=_environment(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                **_identity(order),
            )  # fmt: skip
        try:
            if _wait_ready(server, folder):
                return server, port
        except BaseException:
            stop_server(server)
            raise
    raise CannotStart(f"PostgreSQL did not start:\n{_log_tail(folder)}")


def _wait_ready(server: subprocess.Popen[bytes], folder: Path) -> bool:
    """True when it takes connections, False when it ended because its port was taken."""
    status = folder / "data" / "postmaster.pid"
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until:
        if server.poll() is not None:
            tail = _log_tail(folder)
            if "Address already in use" in tail or "could not bind" in tail:
                return False
            raise CannotStart(f"PostgreSQL ended with {server.returncode}:\n{tail}")
        with contextlib.suppress(OSError):
            lines = status.read_text().splitlines()
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return True
        time.sleep(0.002)
    raise CannotStart(f"PostgreSQL was not ready within {READY_WITHIN_S:.0f} s:\n{_log_tail(folder)}")


def _log_tail(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return (folder / "log").read_text(errors="replace")[-1500:]
    return ""


def stop_server(server: subprocess.Popen[bytes], *, is_kept: bool = True) -> None:
    """Fast, else immediate, else kill; returns when the process is gone. A cluster that goes is not tidied up first."""
    fast = ((signal.SIGINT, 8.0),) if is_kept else ()
    for number, wait_s in (*fast, (signal.SIGQUIT, 4.0), (signal.SIGKILL, 4.0)):
        with contextlib.suppress(ProcessLookupError):
            server.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(wait_s)
            return


def wait_for_word(parent: int) -> bytes:
    """What the parent says next; nothing when stdin ends or the parent is another one (a fork may keep the pipe)."""
    while os.getppid() == parent:
        readable, _, _ = select.select([sys.stdin], [], [], PARENT_CHECK_S)
        if readable:
            return os.read(sys.stdin.fileno(), 4096)
    return b""


def main() -> int:
    """Serves one cluster from order to end."""
    parent = os.getppid()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop_on_signal)
    folder: Path | None = None
    server: subprocess.Popen[bytes] | None = None
    try:
        line = sys.stdin.readline()
        if not line:
            return 0
        order = json.loads(line)
        folder = make_folder(order)
        make_cluster(order, folder)
        server, port = start_server(order, folder)
        print(json.dumps({"folder": str(folder), "port": port, "pid": server.pid}), flush=True)
        while wait_for_word(parent):  # the only one there is: start again
            stop_server(server)
            (folder / "data" / "postmaster.pid").unlink(missing_ok=True)  # of the dead one, who may seem alive
            server, port = start_server(order, folder, port)
            print(json.dumps({"pid": server.pid}), flush=True)
    except CannotStart as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    except OSError as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        return 1
    except Stopped:
        pass
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if server is not None:
            stop_server(server, is_kept=False)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
