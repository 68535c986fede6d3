"""asyncpg's time budgets on the loop's clock.

asyncpg measures what is left of a `timeout` or `command_timeout` with `time.monotonic`. Beside frozen virtual time a
slow machine would use that up; so asyncpg gets the time of the loop it runs on (on other loops that is the same).
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg.connection
import asyncpg.protocol.protocol


class LoopTime:
    """Stands for the module `time` inside asyncpg."""

    def monotonic(self) -> float:
        """Seconds of the running loop; of the machine where none runs."""
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return time.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def install() -> None:
    """Gives asyncpg the loop's clock, for this process; may be called again."""
    for module in (asyncpg.protocol.protocol, asyncpg.connection):
        if not isinstance(vars(module)["time"], LoopTime):
            vars(module)["time"] = LoopTime()
