"""The door to what this process costs its machine: memory and processor time. Nothing of it reaches a history."""

from __future__ import annotations

import resource
from pathlib import Path


def rss_bytes() -> int:
    """Resident memory of this process; 0 where there is no /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def cpu_s() -> float:
    """Processor seconds of this process so far, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
