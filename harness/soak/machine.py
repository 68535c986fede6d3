"""The door to what this process costs its machine: memory and processor time. Nothing of it reaches a history."""

from __future__ import annotations

import resource
from dataclasses import dataclass, field
from pathlib import Path

from harness.machine import monotonic_s


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


@dataclass(slots=True)
class Costs:
    """What a soak has cost so far, with what it had cost before it was resumed."""

    cpu_before_s: float = 0.0
    wall_before_s: float = 0.0
    _began_s: float = field(default_factory=monotonic_s)

    def cpu_s(self) -> float:
        """Processor seconds of the soaking process."""
        return round(self.cpu_before_s + cpu_s(), 2)

    def wall_s(self) -> float:
        """Real seconds."""
        return round(self.wall_before_s + monotonic_s() - self._began_s, 2)
