"""CPU time of processes, from /proc: themselves, and the children that they had and have."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """Seconds of CPU of a process and of everything below it; 0 where it is gone."""
    total_s = 0.0
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total_s = sum(int(field) for field in fields[11:15]) / _TICKS_PER_S
        total_s += sum(cpu_of(child) for child in _children_of(pid))
    return total_s


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(word) for word in task.read_text().split()]
    return found
