"""A PostgreSQL cluster of one scenario's own: it can be killed, started again, and made to stand still, for real."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg

from harness.bench.postgres import ClusterProcess


class OwnCluster(ClusterProcess):
    """Signals go to the processes of this cluster, and to no other."""

    def kill(self) -> None:
        """kill -9 of all of its processes; the postmaster first, so that it starts no other."""
        for pid in self._pids():
            _signal(pid, signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP to all of them."""
        for pid in self._pids():
            _signal(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT to all of them, the postmaster last."""
        for pid in reversed(self._pids()):
            _signal(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        """The postmaster and its children."""
        if self.server_pid is None:
            return []
        return [self.server_pid, *sorted(_children_of(self.server_pid))]


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _children_of(parent: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(word) for word in task.read_text().split()]
    return found


class Renewable:
    """A connection that others keep while the one behind it is replaced by `renew`."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    def renew(self, connection: asyncpg.Connection) -> None:
        """From now on this one is used."""
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
