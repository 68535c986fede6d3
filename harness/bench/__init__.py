"""A bench is DUTs, broker, server, database and store, wired for one scenario. Read `Bench` first.

`embedded` runs everything on a virtual clock beside a real PostgreSQL; `processes` runs server and broker as processes
on real sockets; `postgres*` and `brokers` start the real parts; `virtual/` holds the loop, the network and the gate.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg

from harness.bench.clock import Changes, ScenarioClock
from harness.history import History
from harness.plan import Plan
from harness.plan_steps import ActOn, HttpExchange

if TYPE_CHECKING:
    from harness.bench.schema import Schema


class HttpAnswer:
    """What an HTTP exchange gave back."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Bench(Protocol):
    """What the runner needs of a bench; it never knows which one it is."""

    kind: str
    plan: Plan
    clock: ScenarioClock
    changes: Changes
    history: History
    duts: Sequence[Any]
    schema: Schema
    owner: asyncpg.Connection
    reader: asyncpg.Connection
    early: list[str]
    """Acknowledgements that left a server before the COMMIT they stand for, as far as the bench can see that."""
    kept: dict[str, str]
    """What answers over HTTP gave, under the names of the scenario."""
    on_commit: list[Callable[[], Awaitable[None]]]
    """Called after every COMMIT of a server, before the next transaction (embedded), or often (processes)."""

    async def start(self) -> None:
        """Everything is up, the devices' rows are there, all devices sleep."""
        ...

    async def stop(self) -> None:
        """Everything is gone, the database too."""
        ...

    def exclusive(self) -> Any:
        """An async context in which no server's transaction is under way."""
        ...

    async def pass_time(self, until_ms: int) -> None:
        """Returns once scenario time has come to `until_ms`; what is due meanwhile happens."""
        ...

    async def finish_sessions(self) -> None:
        """The devices rest; returns once the servers have noticed that all sessions are over."""
        ...

    async def act(self, step: ActOn) -> None:
        """Do something to server, broker or database."""
        ...

    async def heal(self) -> None:
        """Server, broker and database are as they should be."""
        ...

    async def settle(self) -> None:
        """Returns once the servers have worked off what has arrived."""
        ...

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """A raw message from a client of its own."""
        ...

    async def http(self, exchange: HttpExchange) -> HttpAnswer:
        """One HTTP exchange with a server."""
        ...

    def stored_bytes(self, key: str) -> bytes | None:
        """The object of that key, None where there is none."""
        ...

    def server_failures(self) -> Sequence[str]:
        """Bugs that ended a server by itself."""
        ...
