"""The only way off the loop: blocking or heavy calls go through an Offload (design 9.5).

In production `PoolOffload` runs them in threads, and image decoding in one limited worker process; in the embedded
bench `InlineOffload` runs them in place, so that nothing completes unseen.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar, TypeVarTuple

from server.jpeg import flaw_of_decoding

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DECODER_MEMORY_BYTES_MAX = 1 << 30
"""Address space of the decoder process: an 8-megapixel picture takes about 30 MB, the interpreter the rest."""

PR_SET_PDEATHSIG = 1
"""Of Linux's prctl: a signal for this process when the thread that started it ends."""

DECODE_TIMEOUT_S = 10
"""A picture within the limits decodes in milliseconds; more is an attack."""


class WorkFailed(Exception):
    """Isolated work died, hung or took too much memory."""


class Offload(Protocol):
    """Runs what would block the loop."""

    async def call(self, function: Callable[[], T]) -> T:
        """The result of a blocking call."""
        ...

    async def isolated(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """The result of work on bytes that nobody vouches for; raises WorkFailed where it takes too much."""
        ...

    async def decode_flaw(self, data: bytes) -> str | None:
        """Why a JPEG does not decode, or None."""
        ...

    def close(self) -> None:
        """Let go of threads and processes."""
        ...


class InlineOffload:
    """In place, on the loop: for the embedded bench."""

    async def call(self, function: Callable[[], T]) -> T:
        """The result of a blocking call."""
        return function()

    async def isolated(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """The result of the work."""
        return function(*arguments)

    async def decode_flaw(self, data: bytes) -> str | None:
        """Why a JPEG does not decode, or None."""
        return flaw_of_decoding(data)

    def close(self) -> None:
        """Nothing to let go of."""


def _limit_decoder(memory_bytes_max: int) -> None:
    """Little memory, and no life after the server's: a killed server must not leave its decoder behind."""
    with contextlib.suppress(OSError, AttributeError):  # another system than Linux
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:
        os._exit(1)  # it was killed before the mark was set
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes_max, memory_bytes_max))


class PoolOffload:
    """Threads for I/O, one persistent and limited process for decoding."""

    def __init__(
        self,
        threads: int = 4,
        *,
        work_limit_s: float = DECODE_TIMEOUT_S,
        memory_bytes_max: int = DECODER_MEMORY_BYTES_MAX,
    ) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="offload")
        self._work_limit_s = work_limit_s
        self._memory_bytes_max = memory_bytes_max
        self._decoder = self._new_decoder()

    def _new_decoder(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        limits = (self._memory_bytes_max,)
        return ProcessPoolExecutor(1, mp_context=context, initializer=_limit_decoder, initargs=limits)

    async def call(self, function: Callable[[], T]) -> T:
        """The result of a blocking call."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    async def isolated(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """The result of work in the limited process; raises WorkFailed where that dies or hangs over it."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._work_limit_s):
                return await loop.run_in_executor(self._decoder, function, *arguments)
        except (BrokenProcessPool, TimeoutError, MemoryError) as error:
            self._replace_decoder()
            raise WorkFailed(f"{type(error).__name__} in the decoder") from error

    async def decode_flaw(self, data: bytes) -> str | None:
        """Why a JPEG does not decode, or None; a decoder that dies or hangs counts against the picture."""
        try:
            return await self.isolated(flaw_of_decoding, data)
        except WorkFailed as error:
            return f"does not decode: {error}"

    def _replace_decoder(self) -> None:
        self._kill_decoder()
        self._decoder = self._new_decoder()

    def _kill_decoder(self) -> None:
        for process in list((self._decoder._processes or {}).values()):
            with contextlib.suppress(OSError):
                process.kill()
        self._decoder.shutdown(wait=False, cancel_futures=True)

    def abandon(self) -> None:
        """Let go at once, of work under way too."""
        self._kill_decoder()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Let go of threads and processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._decoder.shutdown(wait=False, cancel_futures=True)
