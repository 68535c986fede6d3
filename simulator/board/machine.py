"""The board's door to the machine's own time."""

from __future__ import annotations

import time


def cpu_s() -> float:
    """CPU seconds that this process has used."""
    return time.process_time()


def unix_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
