"""An asyncio loop on virtual time that talks to a real PostgreSQL and to machines in memory.

The clock counts integer microseconds from 0 and jumps to the next timer when nothing else can happen; while
PostgreSQL works, virtual time stands still. Nothing completes off the loop. Code of a buried incarnation (a crashed
server) never runs again.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

from harness.bench.virtual import asyncpg_clock
from harness.bench.virtual.closed_world import ClosedWorldLoop, refuse
from harness.bench.virtual.incarnation import current_incarnation
from harness.bench.virtual.meter import MeteredProtocol, PgMeter
from harness.bench.virtual.selector import VirtualSelector
from harness.bench.virtual.timer import VirtualTimer
from harness.errors import InternalError

if TYPE_CHECKING:
    from harness.bench.virtual.network import MemoryNetwork

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
HALF_MICROSECOND_S: Final = 5e-7
TASKS_SHOWN_MAX: Final = 20
CLOSE_TRIES_MAX: Final = 50


class StrangerError(InternalError):
    """Another thread tried to schedule on the virtual loop: its result could not be replayed."""


class VirtualLoop(ClosedWorldLoop):
    """The loop. `stall_after_s` is real time; each jump waits `audit_s` for late answers; `began_us`: its first now."""

    _scheduled: list[VirtualTimer]
    _ready: deque[asyncio.Handle]
    _clock_resolution: float

    def __init__(self, *, stall_after_s: float = 20.0, audit_s: float = 0.0, began_us: int = 0) -> None:
        self._now_us = began_us
        self._timer_number = 0
        self._connection_number = 0
        self._outstanding = 0
        self._real_reasons: Counter[str] = Counter()
        self._metered: dict[MeteredProtocol, None] = {}
        self._tags: WeakKeyDictionary[asyncio.Task[Any], str] = WeakKeyDictionary()
        self._buried: set[str] = set()
        self._graveyard: list[object] = []
        self._intruder: str | None = None
        self._owner_thread = threading.get_ident()
        self._postgres_hosts: set[tuple[str, int]] = set()
        self._is_database_frozen = False
        self.at_the_door: Callable[[str | None], None] | None = None
        self.on_postgres: Callable[[MeteredProtocol], None] | None = None
        self._is_over = False
        self._stray_replies = 0
        self.network: MemoryNetwork | None = None
        self.selector = VirtualSelector(
            outstanding=self._count_outstanding,
            jump=self._jump,
            dump=self.dump,
            stall_after_s=stall_after_s,
            audit_s=audit_s,
        )
        asyncpg_clock.install()
        super().__init__(self.selector)
        self._clock_resolution = HALF_MICROSECOND_S

    # --- time -----------------------------------------------------------------------------------------------------

    @property
    def now_us(self) -> int:
        """Virtual microseconds since the loop was made."""
        return self._now_us

    @property
    def jumps(self) -> int:
        """How often the clock has jumped."""
        return self.selector.jumps

    @property
    def polls(self) -> int:
        """How often real sockets were looked at."""
        return self.selector.polls

    @property
    def real_wait_s(self) -> float:
        """Real seconds spent waiting for PostgreSQL."""
        return self.selector.real_wait_s

    @property
    def false_jumps(self) -> int:
        """Answers that nobody counted on, and jumps that `audit_s` found too early; must stay 0."""
        strays = sum(connection.meter.stray_replies for connection in self._metered)
        return self.selector.false_jumps + self._stray_replies + strays

    def time(self) -> float:
        return self._now_us / 1e6

    def _jump(self) -> bool:
        if not self._scheduled:
            return False
        self._now_us = max(self._now_us, self._scheduled[0].order[0])
        return True

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at_us(round(when * 1e6), callback, *args, context=context)

    def call_at_us(
        self, at_us: int, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """`call_at` in whole microseconds; timers of one microsecond run in the order they were made."""
        self._check_open()
        at_us = max(self._now_us, at_us)
        self._timer_number += 1
        timer = VirtualTimer(at_us / 1e6, callback, args, self, context)
        timer.order = (at_us, self._timer_number)
        if self._is_buried(context):
            self._graveyard.append((callback, args))
            timer.cancel()
            return timer
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def call_after_us(
        self, delay_us: int, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """`call_later` in whole microseconds."""
        return self.call_at_us(self._now_us + delay_us, callback, *args, context=context)

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if (self._buried or self._is_over) and self._is_buried(context):
            self._graveyard.append((callback, args))
            handle = asyncio.Handle(callback, args, self, context)
            handle.cancel()
            return handle
        if self._debug or self._closed:  # type: ignore[attr-defined]
            return super().call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    # --- nothing completes off the loop ---------------------------------------------------------------------------

    def run_forever(self) -> None:
        self._owner_thread = threading.get_ident()
        super().run_forever()

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if threading.get_ident() != self._owner_thread:
            self._intruder = f"thread {threading.current_thread().name} called {callback!r}"
            self._write_to_self()  # type: ignore[attr-defined]
            raise StrangerError(f"nothing may complete off the virtual loop: {self._intruder}")
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Runs the function at once, here: the order in which threads end could not be replayed."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    @contextmanager
    def real_io(self, why: str) -> Iterator[None]:
        """Virtual time stands still inside: for work that happens in real time (a process that is killed)."""
        self._real_reasons[why] += 1
        self._outstanding += 1
        try:
            yield
        finally:
            self._outstanding -= 1
            self._real_reasons[why] -= 1

    def _account(self, change: int) -> None:
        self._outstanding += change

    def _count_outstanding(self) -> int:
        if self._intruder is not None:
            intruder, self._intruder = self._intruder, None
            raise StrangerError(f"nothing may complete off the virtual loop: {intruder}")
        return self._outstanding

    def _check_open(self) -> None:
        if self.is_closed():
            raise RuntimeError("Event loop is closed")

    def dump(self) -> str:
        """Who is outstanding and who waits, for the person who has to find out why nothing moves."""
        lines = [f"virtual time {self.time():.6f} s, {len(self._scheduled)} timers"]
        lines += [f"real work: {why}" for why, count in self._real_reasons.items() if count]
        for connection in self._metered:
            if connection.meter.is_outstanding:
                owner, text = connection.tag or "the bench", connection.meter.text
                lines.append(f"{connection.meter.name} of {owner} owes an answer; last text: {text}")
        waiting = sorted(
            (task for task in asyncio.all_tasks(self) if self._tags.get(task) not in self._buried),
            key=lambda task: task.get_name(),
        )
        for task in waiting[:TASKS_SHOWN_MAX]:
            stack = task.get_stack(limit=1)
            place = f"{stack[0].f_code.co_filename}:{stack[0].f_lineno}" if stack else "not started"
            lines.append(f"{task.get_name()} waits at {place}")
        return "\n".join(lines)

    # --- incarnations ---------------------------------------------------------------------------------------------

    def create_task(  # type: ignore[override]
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        task: asyncio.Task[T] = super().create_task(coro, name=name, context=context)
        tag = context.get(current_incarnation) if context is not None else current_incarnation.get()
        if tag is not None:
            self._tags[task] = tag
        if self._is_over or tag in self._buried:
            self._lay_down(task)
        return task

    def is_buried(self, tag: str | None) -> bool:
        """Whether this incarnation has crashed."""
        return tag in self._buried

    def _is_buried(self, context: contextvars.Context | None) -> bool:
        if not self._buried or self._is_over:
            return self._is_over
        tag = context.get(current_incarnation) if context is not None else current_incarnation.get()
        return tag in self._buried

    def bury(self, tag: str) -> None:
        """No task, timer or callback of this incarnation runs again, not even its clean-up; do not await its tasks."""
        self._buried.add(tag)
        for handle in (*self._scheduled, *self._ready):
            context: contextvars.Context = handle._context  # type: ignore[attr-defined]
            if not handle.cancelled() and context.get(current_incarnation) == tag:
                self._graveyard.append((handle._callback, handle._args))  # type: ignore[attr-defined]
                handle.cancel()
        for task in list(self._tags):
            if self._tags[task] == tag and not task.done():
                self._lay_down(task)

    def _lay_down(self, task: asyncio.Task[Any]) -> None:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        asyncio.tasks._unregister_task(task)  # else asyncio.Runner waits for it at the end
        self._graveyard.append(task)

    def close(self) -> None:
        """Closes the loop; only now the coroutines of buried tasks end, against a world that is gone."""
        if self.is_closed():
            return
        self.selector.is_virtual = False
        self.set_exception_handler(_ignore)
        left_open = list(self._metered)
        for connection in left_open:
            connection.fence()
        if not self.is_running():
            self.call_soon(self.stop)
            self.run_forever()  # one turn, in which the sockets are closed
        self._is_over = True
        for connection in left_open:
            connection.tell_the_end()
        super().close()
        self._end_buried()

    def forget_buried(self) -> None:
        """Let go of what crashed incarnations left, as `close` does: in a long run they would add up."""
        self._is_over = True  # nothing that they still do on their way out happens
        self._end_buried()
        self._is_over = False

    def forget_cancelled(self) -> None:
        """Let go of timers that were cancelled before their time."""
        self._scheduled = [timer for timer in self._scheduled if not timer.cancelled()]
        heapq.heapify(self._scheduled)
        self._timer_cancelled_count = 0

    def _end_buried(self) -> None:
        for task in self._graveyard:
            if isinstance(task, asyncio.Task) and not task.done():
                for _ in range(CLOSE_TRIES_MAX):
                    with suppress(BaseException):
                        task.get_coro().close()
                        break
        self._graveyard.clear()

    # --- PostgreSQL -----------------------------------------------------------------------------------------------

    def admit_postgres(self, host: str, port: int) -> None:
        """Connections to this TCP address are real and metered; Unix sockets always are."""
        self._postgres_hosts.add((host, port))

    def postgres_connections(self, tag: str | None = None) -> list[MeteredProtocol]:
        """The open connections to PostgreSQL, oldest first; with a tag only those of that incarnation."""
        return [connection for connection in self._metered if tag is None or connection.tag == tag]

    def freeze_database(self) -> None:
        """A fault: PostgreSQL does not answer, on no connection, while virtual time goes on."""
        self._is_database_frozen = True
        for connection in self._metered:
            connection.freeze()

    def thaw_database(self) -> None:
        """Ends `freeze_database`; what was held back goes through."""
        self._is_database_frozen = False
        for connection in list(self._metered):
            connection.thaw()

    def _metered_factory(self, factory: Callable[[], Any], place: str) -> Callable[[], MeteredProtocol]:
        def make() -> MeteredProtocol:
            self._connection_number += 1
            meter = PgMeter(f"connection {self._connection_number} to PostgreSQL at {place}", self._account)
            connection = MeteredProtocol(factory(), meter, current_incarnation.get(), self._forget)
            self._metered[connection] = None
            if self._is_database_frozen:
                connection.freeze()
            if self.on_postgres is not None:
                self.on_postgres(connection)
            return connection

        return make

    def _forget(self, connection: MeteredProtocol) -> None:
        self._stray_replies += connection.meter.stray_replies
        self._metered.pop(connection, None)

    async def _hang_if_buried(self) -> None:
        if self.is_buried(current_incarnation.get()):
            await self.create_future()

    async def create_unix_connection(
        self, protocol_factory: Callable[[], Any], path: str | None = None, **options: Any
    ) -> tuple[asyncio.Transport, Any]:
        await self._hang_if_buried()
        if self.at_the_door is not None:
            self.at_the_door(current_incarnation.get())  # may raise OSError: PostgreSQL is not there
        with self.real_io(f"connecting to {path}"):
            _, outer = await super().create_unix_connection(
                self._metered_factory(protocol_factory, str(path)), path, **options
            )
        assert outer.transport is not None
        return outer.transport, outer.inner

    async def create_connection(
        self, protocol_factory: Callable[[], Any], host: str | None = None, port: int | None = None, **options: Any
    ) -> tuple[asyncio.Transport, Any]:
        """A connection in memory, or a metered one to an admitted PostgreSQL; nothing else can be reached."""
        await self._hang_if_buried()
        if host is not None and port is not None and (host, port) in self._postgres_hosts:
            if self.at_the_door is not None:
                self.at_the_door(current_incarnation.get())
            with self.real_io(f"connecting to {host}:{port}"):
                _, outer = await super().create_connection(
                    self._metered_factory(protocol_factory, f"{host}:{port}"), host, port, **options
                )
            assert outer.transport is not None
            return outer.transport, outer.inner
        if host is None or port is None or options.get("ssl") or options.get("sock"):
            refuse("a connection by socket or with TLS")
        if self.network is None:
            raise ConnectionRefusedError(f"{host}:{port} is no machine of this bench")
        return await self.network.connect(protocol_factory, host, port)

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], Any], host: str | None = None, port: int | None = None, **options: Any
    ) -> asyncio.AbstractServer:
        if self.network is None or host is None or port is None or options.get("ssl") or options.get("sock"):
            refuse("a real listening socket")
        return self.network.listen(host, port, protocol_factory)

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """Asks the resolver here and now; only for admitted PostgreSQL servers, never in a thread."""
        return socket.getaddrinfo(host, port, **options)


def _ignore(_loop: asyncio.AbstractEventLoop, _context: dict[str, Any]) -> None:
    """What the dead leave behind when the loop is closed is nobody's error."""
