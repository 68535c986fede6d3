"""The door to the machine's own time and chance: how long a suite took, what its folder and its databases are called.

Nothing of this may reach a history; a scenario has its own time and its own seed.
"""

from __future__ import annotations

import os
import platform
import secrets
import time
from datetime import UTC, datetime
from importlib import metadata


def monotonic_s() -> float:
    """Real seconds since some moment; only differences mean anything."""
    return time.monotonic()


def own_cpu_s() -> float:
    """CPU seconds of this process; only differences mean anything."""
    return time.process_time()


def unix_ms() -> int:
    """The present in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def cpu_s() -> tuple[float, float]:
    """CPU seconds of this process, and of its children that have ended and were waited for."""
    spent = os.times()
    return spent.user + spent.system, spent.children_user + spent.children_system


def run_name() -> str:
    """The name of a run's folder: the present in UTC, without the colons that some file systems refuse."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def token() -> str:
    """Eight random hex digits: keeps the databases of two runs on one PostgreSQL apart."""
    return secrets.token_hex(4)


def version() -> str:
    """The installed version of wakestorm; `0+source` when it runs from a source tree that was never installed."""
    try:
        return metadata.version("wakestorm")
    except metadata.PackageNotFoundError:
        return "0+source"


def python_version() -> str:
    """Such as `3.11.9`."""
    return platform.python_version()


def architecture() -> str:
    """Such as `x86_64`."""
    return platform.machine()
