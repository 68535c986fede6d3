"""The virtual clock beside a real PostgreSQL: it never jumps over a query, and replays."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import asyncpg
import pytest

from harness.bench.postgres import OWNER, SERVER, ephemeral_cluster, run_blocking
from harness.bench.virtual.gate import Gate, GatedPool
from harness.bench.virtual.incarnation import running_as
from harness.bench.virtual.loop import VirtualLoop
from harness.bench.virtual.network import MemoryNetwork
from harness.bench.virtual.selector import StallError
from simulator.rng import Rng
from tests.conftest import Database

pytestmark = pytest.mark.postgres

T = TypeVar("T")
CAMERAS, WAKES = 8, 48
COMMAND_TIMEOUT_S = 5.0


def play(
    body: Callable[[VirtualLoop], Coroutine[Any, Any, T]], *, stall_after_s: float = 20.0, audit_s: float = 0.0
) -> T:
    """Runs `body` on a virtual loop and holds it to zero false jumps."""
    loop = VirtualLoop(stall_after_s=stall_after_s, audit_s=audit_s)
    MemoryNetwork(loop, lambda: 1000)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(body(loop))
        assert loop.false_jumps == 0
    return result


async def make_pool(database: Database, **options: Any) -> asyncpg.Pool[asyncpg.Record]:
    return await asyncpg.create_pool(
        database.dsn(options.pop("role", OWNER)),
        min_size=options.pop("min_size", 1),
        max_size=4,
        command_timeout=COMMAND_TIMEOUT_S,
        max_inactive_connection_lifetime=0,
        max_cached_statement_lifetime=0,
        **options,
    )


async def day(loop: VirtualLoop, database: Database) -> list[tuple[int, int, int, int]]:
    """A day of cameras that write through one gate; what happened when."""
    pool, trace = await make_pool(database), list[tuple[int, int, int, int]]()
    gated = GatedPool(pool, Gate())
    async with gated.acquire() as connection:
        await connection.execute("CREATE TABLE wake (id serial, camera int, number int, at_us bigint, body bytea)")

    async def camera(number: int) -> None:
        rng = Rng(number)
        for wake in range(WAKES):
            await asyncio.sleep(1800 - 1 + rng.below(2_000_000) / 1e6)
            async with gated.acquire() as connection, connection.transaction():
                row = await connection.fetchval(
                    "INSERT INTO wake (camera, number, at_us, body) VALUES ($1, $2, $3, $4) RETURNING id",
                    number, wake, loop.now_us, bytes(5000),
                )  # fmt: skip
                seen = await connection.fetch("SELECT id, body FROM wake WHERE camera = $1 ORDER BY id", number)
                assert len(seen) == wake + 1
            trace.append((loop.now_us, number, wake, row))

    await asyncio.gather(*(camera(number) for number in range(CAMERAS)))
    await pool.close()
    return trace


@pytest.mark.slow
def test_a_day_passes_without_one_false_jump_or_timeout(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        trace = await day(loop, database)
        assert len(trace) == CAMERAS * WAKES
        assert 23.9 * 3600 < loop.time() < 24.1 * 3600
        assert loop.jumps >= CAMERAS * WAKES / 2
        assert loop.real_wait_s > 0

    play(body, audit_s=0.001)


@pytest.mark.slow
def test_the_same_day_twice_is_the_same(database: Database) -> None:
    first = play(lambda loop: day(loop, database))

    async def drop() -> None:
        connection = await asyncpg.connect(database.dsn())
        await connection.execute("DROP TABLE wake")
        await connection.close()

    asyncio.run(drop())
    assert play(lambda loop: day(loop, database)) == first


def test_a_slow_query_takes_no_virtual_time_and_no_timeout_fires(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        connection = await asyncpg.connect(database.dsn(), command_timeout=0.001)
        await connection.execute("SELECT pg_sleep(0.3)")
        assert loop.now_us == 0
        assert loop.real_wait_s >= 0.2
        await connection.close()

    play(body)


def test_time_budgets_of_asyncpg_are_virtual_too(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        connection = await asyncpg.connect(database.dsn(), command_timeout=0.001)
        # prepared first, then run: asyncpg gives the second step what the first one left of the timeout
        await connection.fetch("SELECT pg_sleep(0.05), $1::int", 1)
        await connection.executemany("SELECT pg_sleep(0.005), $1::int", [(number,) for number in range(10)])
        assert loop.now_us == 0
        await connection.close()

    play(body)


def test_connecting_takes_no_virtual_time(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        loop.call_later(0.000001, int)
        connection = await asyncpg.connect(database.dsn(), timeout=0.001)
        assert loop.now_us == 0
        await connection.close()

    play(body)


def test_a_query_that_waits_for_a_lock_of_ours_is_a_stall_that_names_it(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        first, second = [await asyncpg.connect(database.dsn()) for _ in range(2)]
        await first.execute("SELECT pg_advisory_lock(1)")
        try:
            await second.execute("SELECT pg_advisory_lock(1)")
        finally:
            for connection in (first, second):
                connection.terminate()

    with pytest.raises(StallError, match=r"owes an answer; last text: SELECT pg_advisory_lock\(1\)"):
        play(body, stall_after_s=0.2)


def test_a_released_meter_lets_time_pass_until_the_timeout_fires(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        first = await asyncpg.connect(database.dsn())
        second = await asyncpg.connect(database.dsn(), command_timeout=COMMAND_TIMEOUT_S)
        await first.execute("SELECT pg_advisory_lock(1)")
        loop.postgres_connections()[1].meter.release()
        with pytest.raises(TimeoutError):
            await second.execute("SELECT pg_advisory_lock(1)")
        assert loop.now_us == 5_000_000
        await first.execute("SELECT 1")
        first.terminate()
        second.terminate()

    play(body)


def test_a_frozen_database_does_not_answer_until_it_is_thawed(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        patient = await asyncpg.connect(database.dsn())
        hasty = await asyncpg.connect(database.dsn(), command_timeout=COMMAND_TIMEOUT_S)
        await patient.execute("CREATE TABLE t (a int)")
        loop.freeze_database()
        loop.call_later(60, loop.thaw_database)
        insert = asyncio.create_task(patient.execute("INSERT INTO t VALUES (1)"))
        late = asyncio.create_task(asyncpg.connect(database.dsn(), timeout=100))
        with pytest.raises(TimeoutError):
            await hasty.execute("INSERT INTO t VALUES (2)")
        assert loop.now_us == 5_000_000
        hasty.terminate()
        with pytest.raises(TimeoutError):
            await asyncpg.connect(database.dsn(), timeout=10)
        assert loop.now_us == 15_000_000
        await insert
        connection = await late
        assert loop.now_us == 60_000_000
        assert [row["a"] for row in await connection.fetch("SELECT a FROM t")] == [1]
        await connection.close()
        await patient.close()

    play(body)


def test_cancelling_a_query_frees_its_connection(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        pool = await make_pool(database)
        async with pool.acquire() as connection:
            # not for ever: PostgreSQL ignores a cancel request that comes before the query
            task = asyncio.create_task(connection.execute("SELECT pg_sleep(2)"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await connection.fetchval("SELECT 1") == 1
        await pool.close()
        assert not loop.postgres_connections()

    play(body)


def test_errors_cursors_and_many_rows(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        connection = await asyncpg.connect(database.dsn(), command_timeout=0.001)
        await connection.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
        await connection.executemany("INSERT INTO t VALUES ($1, $2)", [(a, "x" * 5000) for a in range(2000)])
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.executemany("INSERT INTO t VALUES ($1, $2)", [(a, "y") for a in range(3000, 0, -1)])
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connection.fetch("SELEC $1", 1)
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connection.prepare("nonsense")
        async with connection.transaction():
            cursor = await connection.cursor("SELECT * FROM t ORDER BY a")
            assert len(await cursor.fetch(10)) == 10
            assert len([row async for row in connection.cursor("SELECT a FROM t")]) == 2000
        assert await connection.fetchval("SELECT count(*) FROM t") == 2000
        assert loop.now_us == 0
        await connection.close()

    play(body)


def test_copy_moves_time_only_while_the_client_is_the_slow_one(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        connection = await asyncpg.connect(database.dsn())
        await connection.execute("CREATE TABLE t (a int, b text)")
        await connection.copy_records_to_table("t", records=[(a, "x" * 5000) for a in range(3000)], timeout=1)
        assert loop.now_us == 0

        async def slow_source() -> AsyncIterator[bytes]:
            for number in range(5):
                await asyncio.sleep(100)
                yield f"{number}\tslow\n".encode()

        await connection.copy_to_table("t", source=slow_source(), timeout=1000)
        assert loop.now_us == 500_000_000
        out = io.BytesIO()
        await connection.copy_from_query("SELECT * FROM t", output=out, timeout=1)
        assert len(out.getvalue()) > 3000 * 5000
        assert loop.now_us == 500_000_000
        taken = bytearray()

        async def slow_sink(data: bytes) -> None:
            taken.extend(data)
            await asyncio.sleep(0.001)

        await connection.copy_from_query("SELECT * FROM t", output=slow_sink, timeout=1000)
        assert bytes(taken) == out.getvalue()
        assert loop.now_us > 500_000_000
        await connection.close()

    play(body)


def test_a_backend_that_is_terminated_is_an_error_not_a_stall(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        killer = await asyncpg.connect(database.dsn())
        victim = await asyncpg.connect(database.dsn())
        await killer.fetchval("SELECT pg_terminate_backend($1, 5000)", victim.get_server_pid())
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.AdminShutdownError)):
            await victim.execute("SELECT 1")
        await asyncio.sleep(3600)
        await killer.close()

    play(body)


def test_a_deadlock_between_transactions_is_found_by_postgres(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        connections = [await asyncpg.connect(database.dsn(), command_timeout=0.01) for _ in range(2)]
        await connections[0].execute("CREATE TABLE t AS SELECT a FROM generate_series(0, 1) AS a")
        transactions = [connection.transaction() for connection in connections]
        for number, connection in enumerate(connections):
            await transactions[number].start()
            await connection.execute("UPDATE t SET a = a WHERE a = $1", number)
        crossed = [
            connection.execute("UPDATE t SET a = a WHERE a = $1", 1 - n) for n, connection in enumerate(connections)
        ]
        results = await asyncio.gather(*crossed, return_exceptions=True)
        assert sum(isinstance(result, asyncpg.DeadlockDetectedError) for result in results) == 1
        assert loop.now_us == 0
        for connection in connections:
            connection.terminate()

    play(body)


def test_a_crashed_server_never_touches_its_database_again(database: Database) -> None:
    async def server(pool: asyncpg.Pool[asyncpg.Record]) -> None:
        try:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("INSERT INTO t VALUES (1)")
                await asyncio.sleep(10)
        finally:
            async with pool.acquire() as connection:
                await connection.execute("INSERT INTO t VALUES (2)")

    async def body(loop: VirtualLoop) -> None:
        assert loop.network is not None
        bench = await asyncpg.connect(database.dsn())
        await bench.execute("CREATE TABLE t (a int); GRANT ALL ON t TO ws_server")
        with running_as("server#1", "server"):
            pool = await make_pool(database, role=SERVER, min_size=2)
            task = asyncio.create_task(server(pool))
        await asyncio.sleep(1)
        assert len(loop.postgres_connections("server#1")) == 2
        loop.network.fence("server#1")
        with running_as("server#1", "server"):
            reconnecting = asyncio.create_task(asyncpg.connect(database.dsn(SERVER)))
        await database.cluster.backends_gone(database.name, SERVER)
        await asyncio.sleep(3600)
        assert not task.done() and not reconnecting.done()
        assert await bench.fetch("SELECT a FROM t") == []
        with running_as("server#2", "server"):
            again = await asyncpg.connect(database.dsn(SERVER))
            await again.execute("INSERT INTO t VALUES (3)")
            await again.close()
        assert [row["a"] for row in await bench.fetch("SELECT a FROM t")] == [3]
        await bench.close()

    play(body)


def test_what_is_written_to_a_fenced_connection_is_swallowed(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        assert loop.network is not None
        bench = await asyncpg.connect(database.dsn())
        await bench.execute("CREATE TABLE t (a int)")
        with running_as("server#1", "server"):
            connection = await asyncpg.connect(database.dsn())
        metered = loop.postgres_connections("server#1")[0]
        loop.network.fence("server#1")
        assert metered.transport is not None
        metered.transport.write(b"Q\0\0\0\x20INSERT INTO t VALUES (1)\0\0\0\0")
        await asyncio.sleep(10)
        assert connection.is_closed()
        assert await bench.fetch("SELECT a FROM t") == []
        await bench.close()

    play(body, stall_after_s=1)


def test_commits_are_seen_through_the_gate_before_the_next_transaction(database: Database) -> None:
    async def body(loop: VirtualLoop) -> None:
        pool, gate = await make_pool(database), Gate()
        gated, seen = GatedPool(pool, gate), list[int]()
        observer = await asyncpg.connect(database.dsn())
        await observer.execute("CREATE TABLE t (a int)")

        async def observe() -> None:
            seen.append(await observer.fetchval("SELECT count(*) FROM t"))

        async def write(number: int) -> None:
            async with gated.acquire() as connection, connection.transaction():
                await connection.execute("INSERT INTO t VALUES ($1)", number)

        gate.on_commit.append(observe)
        await asyncio.gather(*(write(number) for number in range(10)))
        assert seen == list(range(1, 11))
        await pool.close()
        await observer.close()

    play(body)


def test_an_admitted_tcp_server_is_metered_too() -> None:
    with ephemeral_cluster({}, listen_tcp=True) as cluster:
        run_blocking(cluster.create_database("here"))

        async def body(loop: VirtualLoop) -> None:
            dsn = cluster.dsn("here", SERVER, tcp=True)
            with pytest.raises(ConnectionRefusedError):
                await asyncpg.connect(dsn)
            assert cluster.tcp_port is not None
            loop.admit_postgres("127.0.0.1", cluster.tcp_port)
            began_us = loop.now_us
            for mode in ("disable", "prefer"):
                connection = await asyncpg.connect(dsn.replace("disable", mode), command_timeout=0.001)
                await connection.execute("SELECT pg_sleep(0.05)")
                await connection.close()
            assert loop.now_us == began_us

        play(body)
