"""What a bench lets a fault do to server, broker, database and object store: the levers of faults in steps. Pure.

A bench implements all four; what it can not do, lint has refused before (`only_embedded`), or BenchUnavailable says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, Protocol


class ServerLevers(Protocol):
    """`which` is a server's number; None is all of them. What is so already stays so."""

    async def crash(self, which: int | None) -> None:
        """As by kill -9."""
        ...

    async def stop(self, which: int | None) -> None:
        """As by SIGTERM."""
        ...

    async def start(self, which: int | None) -> None:
        """A server that is down comes up."""
        ...

    async def pause(self, which: int | None) -> None:
        """As by SIGSTOP."""
        ...

    async def resume(self, which: int | None) -> None:
        """As by SIGCONT."""
        ...

    async def crash_at(self, which: int | None, at: str, *, nth: int) -> None:
        """As by kill -9, when the nth request at that point was carried out and not yet answered."""
        ...

    async def slow_down(self, which: int | None, by_ms: int) -> None:
        """What it is sent and what it sends takes so much longer; 0: as ever."""
        ...


class BrokerLevers(Protocol):
    """There is one broker."""

    async def crash(self) -> None:
        """As by kill -9."""
        ...

    async def stop(self) -> None:
        """As by SIGTERM."""
        ...

    async def start(self) -> None:
        """It comes up."""
        ...

    async def pause(self) -> None:
        """As by SIGSTOP."""
        ...

    async def resume(self) -> None:
        """As by SIGCONT."""
        ...

    async def lose_sessions(self) -> None:
        """It forgets its persistent sessions, and what was queued in them."""
        ...

    async def limit_queues(self, messages: int | None) -> None:
        """Every session queues at most so many; None: as ever."""
        ...

    async def redeliver(self, *, dup: bool) -> None:
        """What servers have not acknowledged is sent to them again, now and at each reconnect, with or without DUP."""
        ...

    async def retain(self, topic: str, payload: bytes) -> None:
        """A retained message; an empty payload takes it away."""
        ...

    async def take_over(self, which: int) -> None:
        """A stranger connects under that server's client id, acknowledges nothing, and is taken over in turn."""
        ...

    async def disconnect_all(self) -> None:
        """Every connection is closed; sessions stay."""
        ...


class DatabaseLevers(Protocol):
    """The database of this scenario alone, as its servers see it."""

    async def crash(self) -> None:
        """Every connection breaks, and nobody answers the next ones."""
        ...

    async def stop(self) -> None:
        """Every connection is ended, and new ones are refused."""
        ...

    async def start(self) -> None:
        """It takes connections."""
        ...

    async def pause(self) -> None:
        """It stands still, connections stay."""
        ...

    async def resume(self) -> None:
        """It goes on, with everything it was asked meanwhile."""
        ...

    async def kill_backends(self) -> None:
        """pg_terminate_backend on every connection of the servers."""
        ...

    async def kill_backend_at(self, at: str, *, nth: int, times: int) -> None:
        """The backend that gets the nth request at that point is terminated instead of answering."""
        ...

    async def lose_answer_at(self, at: str, *, nth: int, times: int) -> None:
        """The nth request at that point is carried out, and its connection reset before the answer."""
        ...

    async def disarm(self) -> None:
        """No request is waited for any more."""
        ...

    async def limit_connections(self, most: int | None) -> None:
        """So many connections are let in; None: as many as there is room for."""
        ...

    async def fail_at(self, at: str, sqlstate: str, *, nth: int, times: int) -> None:
        """The nth request at that point fails with this SQLSTATE instead of being carried out."""
        ...

    async def set_read_only(self, is_read_only: bool) -> None:
        """New sessions of the servers may only read, or may write again; those there are stay as they are."""
        ...

    async def refuse_writes(
        self, sqlstate: str, message: str, *, tables: Sequence[str] | None, times: int | None
    ) -> None:
        """The next `times` (None: all) writes to the tables (None: every table) fail with that SQLSTATE."""
        ...

    async def allow_writes(self) -> None:
        """Ends `refuse_writes`."""
        ...


Operation = Literal["put", "get", "list", "delete"]
OPERATIONS: Final[tuple[Operation, ...]] = ("put", "get", "list", "delete")
"""All that servers ask of the object store."""


class StoreLevers(Protocol):
    """Where the servers of this scenario keep bytes; one store for all of them."""

    async def fail(self, operations: Sequence[Operation], reason: str) -> None:
        """These fail from now on, and change nothing."""
        ...

    async def slow_down(self, by_ms: int) -> None:
        """Every operation begins so much later."""
        ...

    async def heal(self) -> None:
        """As ever."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Levers:
    """All of a bench's levers; `wait_ms` returns after so much scenario time."""

    server: ServerLevers
    broker: BrokerLevers
    database: DatabaseLevers
    store: StoreLevers
    wait_ms: Callable[[int], Awaitable[None]]
    devices: Sequence[str]
    """`ESP32CAM/{MAC}` of every device."""


class Fault(ABC):
    """A fault of server, broker, database or store: frozen data with units, how it strikes, how it heals."""

    __slots__ = ()
    lasts: ClassVar[bool] = True
    """Whether there is a window to end: `for` makes sense."""

    @property
    def only_embedded(self) -> str:
        """Why the processes bench can not do it; empty where it can."""
        return ""

    @abstractmethod
    async def strike(self, levers: Levers) -> None:
        """It begins."""

    @abstractmethod
    async def heal(self, levers: Levers) -> None:
        """It is over; healing twice does no harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAtRequest(Fault):
    """It strikes now, or `at` the `nth` request of a server to its database: `commit`, `request` or words of SQL."""

    at: str = "now"
    nth: int = 1

    @property
    def only_embedded(self) -> str:
        return "" if self.at == "now" else "only the embedded bench sees the single requests of a server"


STORE_ONLY_EMBEDDED: Final = "the processes bench keeps its objects in a real folder, beside what else needs that disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFault(Fault):
    """The object store fails; healed, it works."""

    @property
    def only_embedded(self) -> str:
        return STORE_ONLY_EMBEDDED

    async def heal(self, levers: Levers) -> None:
        await levers.store.heal()
