"""One core for a process and its backends: in the embedded bench they take turns, and never work at once.

Waking another core for each turn costs a fifth of a soak. It is a wish: where the system refuses it, they stay where
they are.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_is_wanted = False


def share_one_core(number: int) -> None:
    """This process stays on one of the cores it may use, and so do the backends of its connections from now on.

    Processes with other numbers take other cores, as long as there are some.
    """
    global _is_wanted
    with contextlib.suppress(OSError, AttributeError):  # a system without such a thing
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})
        _is_wanted = True


def bring_along(backend_pid: int) -> None:
    """The backend of a connection over a Unix socket comes to the core of this process, if that wants to share."""
    if not _is_wanted:
        return
    with contextlib.suppress(OSError):  # another user's, or gone
        if Path(f"/proc/{backend_pid}/comm").read_text().strip() == "postgres":
            os.sched_setaffinity(backend_pid, os.sched_getaffinity(0))
