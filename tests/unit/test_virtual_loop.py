"""The virtual clock: when it jumps, in which order timers run, and what it refuses."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.virtual.incarnation import current_incarnation, running_as
from harness.bench.virtual.loop import StrangerError, VirtualLoop
from harness.bench.virtual.selector import DeadlockError, StallError

T = TypeVar("T")
DAY_US = 86_400_000_000


def run(body: Callable[[VirtualLoop], Coroutine[Any, Any, T]], loop: VirtualLoop | None = None) -> T:
    """Runs a coroutine on a fresh virtual loop."""
    loop = loop or VirtualLoop(stall_after_s=0.05)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(body(loop))


def test_sleeping_costs_no_real_time_and_ends_to_the_microsecond() -> None:
    async def body(loop: VirtualLoop) -> tuple[int, int]:
        await asyncio.sleep(30 * 86_400)
        return loop.now_us, loop.jumps

    assert run(body) == (30 * DAY_US, 1)


@given(st.lists(st.integers(0, 50), max_size=30))
def test_timers_run_by_microsecond_then_in_the_order_they_were_made(delays_us: list[int]) -> None:
    async def body(loop: VirtualLoop) -> list[tuple[int, int]]:
        ran: list[tuple[int, int]] = []
        for number, delay_us in enumerate(delays_us):
            loop.call_after_us(delay_us, ran.append, (delay_us, number))
        await asyncio.sleep(1)
        return ran

    assert run(body) == sorted((delay_us, number) for number, delay_us in enumerate(delays_us))


@given(st.integers(0, 10**14), st.integers(1, 10**9))
def test_a_timer_runs_exactly_at_its_microsecond_however_late_it_is(start_us: int, delay_us: int) -> None:
    async def body(loop: VirtualLoop) -> None:
        await asyncio.sleep(start_us / 1e6)
        began_us = loop.now_us
        fired: list[int] = []
        loop.call_after_us(delay_us, lambda: fired.append(loop.now_us))
        loop.call_after_us(delay_us - 1, lambda: fired.append(loop.now_us))
        loop.call_after_us(delay_us + 1, lambda: fired.append(loop.now_us))
        await asyncio.sleep(delay_us / 1e6 + 1)
        assert fired == [began_us + delay_us - 1, began_us + delay_us, began_us + delay_us + 1]

    run(body)


def test_cancelled_timers_do_not_move_the_clock() -> None:
    async def body(loop: VirtualLoop) -> int:
        for _ in range(500):
            loop.call_later(1, int).cancel()
        await asyncio.sleep(2)
        return loop.jumps

    assert run(body) == 1


def test_timeouts_are_virtual() -> None:
    async def body(loop: VirtualLoop) -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(3600)
        return loop.now_us

    assert run(body) == 5_000_000


def test_waiting_for_nothing_is_a_deadlock_that_names_who_waits() -> None:
    async def forever(loop: VirtualLoop) -> None:
        await loop.create_future()

    async def body(loop: VirtualLoop) -> None:
        await asyncio.create_task(forever(loop), name="camera[7]")

    with pytest.raises(DeadlockError, match=r"camera\[7\] waits at .*test_virtual_loop"):
        run(body)


def test_real_work_that_does_not_end_is_a_stall_that_names_it() -> None:
    async def body(loop: VirtualLoop) -> None:
        with loop.real_io("killing the server"):
            await asyncio.sleep(1)

    with pytest.raises(StallError, match="real work: killing the server"):
        run(body)


def test_the_clock_stands_still_while_real_work_goes_on() -> None:
    async def body(loop: VirtualLoop) -> None:
        fired: list[int] = []
        loop.call_later(1, fired.append, 1)
        with loop.real_io("work"):
            for _ in range(2000):
                await asyncio.sleep(0)
            assert loop.now_us == 0
            assert not fired
        await asyncio.sleep(1)
        assert fired

    run(body, VirtualLoop())


def test_a_spin_of_ready_callbacks_looks_at_sockets_now_and_then() -> None:
    async def body(loop: VirtualLoop) -> int:
        before = loop.polls
        for _ in range(1000):
            await asyncio.sleep(0)
        return loop.polls - before

    assert 1 <= run(body) <= 10


def test_executors_run_inline() -> None:
    async def body(loop: VirtualLoop) -> None:
        assert await loop.run_in_executor(None, threading.get_ident) == threading.get_ident()
        assert await asyncio.to_thread(threading.get_ident) == threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)

    run(body)


def test_a_strange_thread_is_told_off_and_so_is_the_loop() -> None:
    told: list[BaseException] = []

    def stranger(loop: VirtualLoop) -> None:
        try:
            loop.call_soon_threadsafe(int)
        except StrangerError as error:
            told.append(error)

    async def body(loop: VirtualLoop) -> None:
        loop.call_soon_threadsafe(int)  # the own thread may
        thread = threading.Thread(target=stranger, args=(loop,), name="stranger")
        thread.start()
        thread.join()
        await asyncio.sleep(1)

    with pytest.raises(StrangerError, match="thread stranger called"):
        run(body)
    assert len(told) == 1


REFUSED: dict[str, Callable[[VirtualLoop], Coroutine[Any, Any, object]]] = {
    "subprocess": lambda loop: asyncio.create_subprocess_exec("true"),
    "shell": lambda loop: asyncio.create_subprocess_shell("true"),
    "datagram": lambda loop: loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0)),
    "server": lambda loop: loop.create_server(asyncio.Protocol, "127.0.0.1", 0),
    "tls": lambda loop: loop.create_connection(asyncio.Protocol, "broker", 8883, ssl=True),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_what_would_go_on_in_real_time_is_refused(what: str) -> None:
    async def body(loop: VirtualLoop) -> None:
        with pytest.raises(NotImplementedError, match="not possible on the virtual loop"):
            await REFUSED[what](loop)

    run(body)


def test_watching_a_file_descriptor_is_refused() -> None:
    async def body(loop: VirtualLoop) -> None:
        for watch in (loop.add_reader, loop.add_writer):
            with pytest.raises(NotImplementedError):
                watch(0, int)

    run(body)


def test_unknown_machines_refuse_connections() -> None:
    async def body(loop: VirtualLoop) -> None:
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(asyncio.Protocol, "127.0.0.1", 1883)

    run(body)


def test_a_buried_incarnation_never_runs_again_not_even_its_clean_up() -> None:
    log: list[str] = []

    async def server(loop: VirtualLoop) -> None:
        loop.call_later(10, log.append, "timer")
        try:
            await asyncio.sleep(10)
            log.append("went on")
        finally:
            log.append("cleaned up")

    async def body(loop: VirtualLoop) -> None:
        with running_as("server#1", "server"):
            dead = asyncio.create_task(server(loop))
            loop.call_soon(log.append, "soon, before")
        with running_as("server#2", "server"):
            alive = asyncio.create_task(server(loop))
        await asyncio.sleep(1)
        with running_as("server#1", "server"):
            loop.call_soon(log.append, "soon, at the crash")
        loop.bury("server#1")
        dead.cancel()
        with running_as("server#1", "server"):
            loop.call_soon(log.append, "soon, after")
            loop.call_later(1, log.append, "later, after")
            asyncio.create_task(server(loop))  # noqa: RUF006
        await alive
        assert not dead.done()
        assert log == ["soon, before", "timer", "went on", "cleaned up"]

    run(body)


def test_the_bench_goes_on_with_what_a_buried_incarnation_had_set() -> None:
    async def body(loop: VirtualLoop) -> str:
        answer: asyncio.Future[str] = loop.create_future()

        async def server() -> None:
            answer.set_result("done")
            await asyncio.sleep(1000)

        with running_as("server#1", "server"):
            asyncio.create_task(server())  # noqa: RUF006
        await asyncio.sleep(1)
        loop.bury("server#1")
        return await answer

    assert run(body) == "done"


@pytest.fixture
def tag() -> Iterator[contextvars.ContextVar[str | None]]:
    token = current_incarnation.set(None)
    yield current_incarnation
    current_incarnation.reset(token)


def test_tasks_inherit_the_incarnation_they_are_started_in(tag: contextvars.ContextVar[str | None]) -> None:
    seen: list[str | None] = []

    async def child() -> None:
        seen.append(tag.get())

    async def parent() -> None:
        await asyncio.create_task(child())

    async def body(loop: VirtualLoop) -> None:
        with running_as("server#1", "server"):
            task = asyncio.create_task(parent())
        await task
        await child()

    run(body)
    assert seen == ["server#1", None]
