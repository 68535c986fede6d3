"""The door to what this process costs its machine: memory and processor time. Nothing of it reaches a history."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from harness.machine import monotonic_s


def rss_bytes(pid: int | None = None) -> int:
    """Resident memory of a process, None: of this one; 0 where there is no /proc, or no such process."""
    try:
        return int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


@dataclass(frozen=True, slots=True)
class DatabaseMemory:
    """Of a PostgreSQL's processes. `own_bytes` is without shared memory: buffers that fill up are no growth."""

    all_bytes: int
    own_bytes: int


def memory_of_database(backends: Iterable[int]) -> DatabaseMemory:
    """What these processes of a PostgreSQL on this machine take, shared pages counted once; 0 where nobody can say."""
    found = [_pages(pid) for pid in backends]
    return DatabaseMemory(
        all_bytes=sum(pages.get("Pss", 0) for pages in found),  # a page that ten processes have is a tenth for each
        own_bytes=sum(pages.get("Private_Clean", 0) + pages.get("Private_Dirty", 0) for pages in found),
    )


def _pages(pid: int) -> dict[str, int]:
    """Bytes by kind, from the kernel's sums; nothing for what is no process of PostgreSQL here."""
    try:
        if not Path(f"/proc/{pid}/comm").read_text().startswith("postgres"):
            return {}  # a database on another machine: the number means somebody else here
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {name.rstrip(":"): int(size) * 1024 for name, size, *_ in map(str.split, lines)}


class _Mallinfo2(ctypes.Structure):
    """What glibc (2.33 or later) says of its main arena."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


_HEADER_BYTES: Final = ctypes.sizeof(ctypes.c_size_t)
_THREAD_CACHE_BYTES_MAX: Final = 1_040
"""Largest chunk that glibc's cache of each thread keeps, ..."""

_THREAD_CACHE_CHUNKS_MAX: Final = 16
"""... and more than it keeps of each size (7, until 2.41)."""


@cache
def _libc() -> tuple[Any, Any, Any, Any] | None:
    """mallinfo2, malloc, free and malloc_usable_size; None in another C library."""
    try:
        libc = ctypes.CDLL(None)
        mallinfo2, malloc, free, usable = libc.mallinfo2, libc.malloc, libc.free, libc.malloc_usable_size
    except (OSError, AttributeError):
        return None
    mallinfo2.restype, malloc.restype, usable.restype = _Mallinfo2, ctypes.c_void_p, ctypes.c_size_t
    malloc.argtypes, free.argtypes, usable.argtypes = [ctypes.c_size_t], [ctypes.c_void_p], [ctypes.c_void_p]
    return mallinfo2, malloc, free, usable


def heap_bytes() -> int:
    """Bytes that this process has allocated and not freed, to the byte; 0 where the C library can not say.

    True only under PYTHONMALLOC=malloc: Python's own allocator takes whole arenas, used or not. What waits for the next
    call in the thread's cache counts as allocated for glibc, up to 200 kB more on one day than on another: the cache is
    emptied by asking for as much as it can hold, and that is taken off again.
    """
    libc = _libc()
    if libc is None:
        return 0
    mallinfo2, malloc, free, usable = libc
    sizes = range(_HEADER_BYTES, _THREAD_CACHE_BYTES_MAX, 2 * _HEADER_BYTES)
    taken = [malloc(size) for size in sizes for _ in range(_THREAD_CACHE_CHUNKS_MAX)]
    found = mallinfo2()
    taken_bytes = sum(usable(chunk) + _HEADER_BYTES for chunk in taken)
    for chunk in taken:
        free(chunk)
    in_use: int = found.uordblks + found.hblkhd - taken_bytes
    return in_use


def give_back() -> None:
    """Frees what nobody refers to, and gives free pages back to the machine: what stays then is in use."""
    gc.collect()
    if not gc.get_freeze_count():
        gc.freeze()  # code and tables of the first day live as long as the process: no need to look at them each day
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


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
