"""The connections of a bench: asyncpg's, which remember across connections what PostgreSQL's own types are.

asyncpg asks each new connection's catalogue for array types: three such questions are half of what a short scenario
costs. Types that PostgreSQL brings along are the same in every database of a server, so one answer serves them all.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import asyncpg

from harness.bench.one_core import bring_along

FIRST_NORMAL_OBJECT_ID: Final = 16_384
"""Below it are PostgreSQL's own objects (access/transam.h)."""

_known: Final[dict[tuple[int, frozenset[int]], Any]] = {}


class _Answered(NamedTuple):
    """Stands for the statement that asked: it has a name, so the caller's own statement is still prepared."""

    name: str = "answered from memory"


class BenchConnection(asyncpg.Connection):
    """A connection that asks for the shape of a built-in type once in a process, and whose backend comes along."""

    def __init__(self, protocol: Any, transport: Any, loop: Any, addr: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, loop, addr, *rest)
        if isinstance(addr, str):  # a Unix socket: its process is one of this machine
            bring_along(self.get_server_pid())

    async def _introspect_types(self, typeoids: Any, timeout: float | None) -> Any:
        wanted = frozenset(typeoids)
        if max(wanted) >= FIRST_NORMAL_OBJECT_ID:
            return await super()._introspect_types(typeoids, timeout)  # type: ignore[misc]
        key = (self.get_server_version().major, wanted)
        if key in _known:
            return _known[key], _Answered()
        rows, statement = await super()._introspect_types(typeoids, timeout)  # type: ignore[misc]
        _known[key] = rows
        return rows, statement
