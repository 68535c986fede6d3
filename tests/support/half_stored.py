"""A process that dies in the middle of a file that it stores; the target of a process that a test starts."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import IO, cast

from server.objects import ObjectStore
from server.offload import InlineOffload


class _Deadly:
    """A file that kills its reader (-9) after two blocks."""

    def __init__(self) -> None:
        self._reads = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        return 64 << 20 if whence == 2 else 0

    def read(self, size: int = -1) -> bytes:
        self._reads += 1
        if self._reads > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return b"x" * (8 << 20)


def store_half(url: str) -> None:
    """Begins to store `videos/half` in that store, and never returns."""
    file = cast(IO[bytes], _Deadly())
    asyncio.run(ObjectStore(url, InlineOffload()).put_file("videos/half", file))
