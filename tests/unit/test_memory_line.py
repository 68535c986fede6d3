"""A faulty line in memory: what each end of a connection hears, to the microsecond."""

from __future__ import annotations

import asyncio
from typing import Any

from harness.bench.virtual.line import MemoryLine
from harness.bench.virtual.transport import WINDOW_BYTES
from simulator.fault import fault_named
from tests.unit.test_memory_network import LATENCY_US, End, World, play


async def over_line(world: World) -> tuple[End, End, MemoryLine]:
    """(camera, broker, line) of a new connection over a line that faults can strike."""
    line = world.network.line_of("cam", 7)
    client, broker = await world.pair()
    return client, broker, line


def begun(line: MemoryLine, name: str, *, once: bool = False, **settings: Any) -> int:
    return line.begin(fault_named(name, **settings), once=once)


def test_a_line_without_faults_changes_nothing() -> None:
    async def body(world: World) -> None:
        client, broker, _ = await over_line(world)
        client.transport.write(b"hello")
        client.transport.close()
        await asyncio.sleep(1)
        assert broker.log[1:] == [("data", 3 * LATENCY_US), ("eof", 3 * LATENCY_US), ("lost", 3 * LATENCY_US)]

    play(body)


def test_what_is_slow_comes_at_its_time() -> None:
    async def body(world: World) -> None:
        client, broker, line = await over_line(world)
        begun(line, "latency", delay_ms=500)
        begun(line, "bandwidth", rate_bytes_per_s=100)
        client.transport.write(b"x" * 50)
        client.transport.close()
        await asyncio.sleep(5)
        at_us = 2 * LATENCY_US + 500_000 + 500_000 + LATENCY_US
        assert broker.log[1] == ("data", at_us)
        assert broker.log[2] == ("eof", at_us)

    play(body)


def test_a_blackhole_takes_more_than_a_window_and_resets_at_its_end() -> None:
    async def body(world: World) -> None:
        client, broker, line = await over_line(world)
        number = begun(line, "blackhole")
        client.transport.write(b"x" * (3 * WINDOW_BYTES))
        await asyncio.sleep(1)
        assert client.transport.get_write_buffer_size() == 0, "TCP takes it for read"
        client.transport.close()
        await asyncio.sleep(1)
        assert broker.events == ["made"]
        line.end(number)
        await asyncio.sleep(1)
        assert broker.events == ["made", "lost"]
        assert isinstance(broker.error, ConnectionResetError)

    play(body)


def test_cut_and_truncate_end_both_ends_in_their_ways() -> None:
    async def body(world: World) -> None:
        client, broker, line = await over_line(world)
        begun(line, "cut_after", once=True, after_bytes=4)
        client.transport.write(b"abcdef")
        await asyncio.sleep(1)
        assert isinstance(client.error, ConnectionResetError) and isinstance(broker.error, ConnectionResetError)
        client, broker = await world.pair()
        begun(line, "truncate", once=True, after_bytes=4)
        client.transport.write(b"abcdef")
        await asyncio.sleep(1)
        assert (bytes(broker.received), broker.error, client.error) == (b"abcd", None, None)
        assert client.events[-2:] == ["eof", "lost"] and broker.events[-2:] == ["eof", "lost"]

    play(body)


def test_half_open_leaves_one_end_in_the_dark() -> None:
    async def body(world: World) -> None:
        client, broker, line = await over_line(world)
        begun(line, "half_open", once=True)
        await asyncio.sleep(1)
        assert isinstance(client.error, ConnectionResetError)
        broker.transport.write(b"is anybody there")
        await asyncio.sleep(60)
        assert broker.events == ["made"]
        await asyncio.sleep(1_000)
        assert isinstance(broker.error, TimeoutError), "its own retransmissions end it"
        client, broker = await world.pair()
        client.transport.write(b"x")
        await asyncio.sleep(1)
        assert broker.received == b"x"

    play(body)


def test_fin_and_rst_come_late_over_a_slow_close() -> None:
    async def body(world: World) -> None:
        client, broker, line = await over_line(world)
        begun(line, "slow_close", delay_ms=60_000)
        client.transport.abort()
        await asyncio.sleep(59)
        assert broker.events == ["made"]
        await asyncio.sleep(2)
        assert broker.log[-1] == ("lost", 60_000_000 + 3 * LATENCY_US)
        assert isinstance(broker.error, ConnectionResetError)

    play(body)
