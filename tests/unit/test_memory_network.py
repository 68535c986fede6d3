"""TCP in memory: order, latency, back-pressure, and every way a connection ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.virtual.incarnation import current_host, current_incarnation, running_as
from harness.bench.virtual.loop import VirtualLoop
from harness.bench.virtual.network import MemoryNetwork
from harness.bench.virtual.transport import GIVE_UP_US, HIGH_WATER_BYTES, WINDOW_BYTES, MemoryTransport

T = TypeVar("T")
LATENCY_US = 10_000


@dataclass
class End(asyncio.Protocol):
    """Writes down what happens to it."""

    received: bytearray = field(default_factory=bytearray)
    log: list[tuple[str, int]] = field(default_factory=list)
    error: Exception | None = None
    keeps_open: bool = False
    tags: set[str | None] = field(default_factory=set)

    def note(self, what: str) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.log.append((what, loop.now_us))
        self.tags.add(current_incarnation.get())

    @property
    def events(self) -> list[str]:
        return [what for what, _ in self.log]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, MemoryTransport)
        self.transport = transport
        self.note("made")

    def data_received(self, data: bytes) -> None:
        assert data
        self.received += data
        self.note("data")

    def eof_received(self) -> bool:
        self.note("eof")
        return self.keeps_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.note("lost")

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")


@dataclass
class World:
    """A network with a broker that takes connections."""

    loop: VirtualLoop
    network: MemoryNetwork
    accepted: list[End] = field(default_factory=list)
    keeps_open: bool = False

    def accept(self) -> End:
        self.accepted.append(End(keeps_open=self.keeps_open))
        return self.accepted[-1]

    async def pair(self, host: str = "cam") -> tuple[End, End]:
        """(client, broker) of one new connection."""
        with running_as(current_incarnation.get(), host):
            _, client = await self.loop.create_connection(End, "broker", 1883)
        assert isinstance(client, End)
        return client, self.accepted[-1]


def play(
    body: Callable[[World], Coroutine[Any, Any, T]], latency_us: Callable[[], int] = lambda: LATENCY_US, **options: Any
) -> T:
    """Runs `body` in a fresh world."""
    loop = VirtualLoop()

    async def main() -> T:
        world = World(loop, MemoryNetwork(loop, latency_us, **options))
        with running_as("broker#1", "broker"):
            await loop.create_server(world.accept, "broker", 1883)
        return await body(world)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main())


def test_a_connection_takes_one_round_trip_and_a_segment_one_way() -> None:
    async def body(world: World) -> None:
        client, broker = await world.pair()
        assert client.log == [("made", 2 * LATENCY_US)]
        assert broker.log == [("made", LATENCY_US)]
        client.transport.write(b"hello")
        await asyncio.sleep(1)
        assert broker.log[-1] == ("data", 3 * LATENCY_US)
        assert client.transport.get_extra_info("peername") == ("broker", 1883)
        assert broker.transport.get_extra_info("peername")[0] == "cam"

    play(body)


@given(
    writes=st.lists(st.binary(min_size=1, max_size=300), max_size=30),
    latencies=st.lists(st.integers(0, 50_000), min_size=1, max_size=20),
    segment_bytes=st.integers(1, 400),
)
def test_bytes_arrive_whole_and_in_order(writes: list[bytes], latencies: list[int], segment_bytes: int) -> None:
    drawn = 0

    def draw() -> int:
        nonlocal drawn
        drawn += 1
        return latencies[drawn % len(latencies)]

    async def body(world: World) -> None:
        client, broker = await world.pair()
        for number, data in enumerate(writes):
            (client if number % 2 else broker).transport.write(data)
        client.transport.close()
        await asyncio.sleep(100)
        assert bytes(broker.received) == b"".join(writes[1::2])
        assert broker.events[-2:] == ["eof", "lost"]
        assert b"".join(writes[::2]).startswith(bytes(client.received))

    play(body, draw, segment_bytes=segment_bytes)


def test_a_reader_that_pauses_stops_the_writer_and_lets_it_go_on() -> None:
    async def body(world: World) -> None:
        client, broker = await world.pair()
        broker.transport.pause_reading()
        total_bytes = WINDOW_BYTES + HIGH_WATER_BYTES + 1
        client.transport.write(b"x" * total_bytes)
        await asyncio.sleep(1)
        assert not broker.received
        assert client.events == ["made", "pause"]
        assert client.transport.get_write_buffer_size() == HIGH_WATER_BYTES + 1
        broker.transport.resume_reading()
        await asyncio.sleep(1)
        assert len(broker.received) == total_bytes
        assert client.events == ["made", "pause", "resume"]
        assert client.transport.get_write_buffer_size() == 0

    play(body)


def test_limits_of_the_write_buffer_can_be_set() -> None:
    async def body(world: World) -> None:
        client, broker = await world.pair()
        client.transport.set_write_buffer_limits(high=10)
        assert client.transport.get_write_buffer_limits() == (2, 10)
        broker.transport.pause_reading()
        client.transport.write(b"x" * WINDOW_BYTES)
        assert client.events == ["made"]
        client.transport.write(b"x" * 11)
        assert client.events == ["made", "pause"]

    play(body)


def test_pausing_inside_data_received_keeps_the_rest_back() -> None:
    async def body(world: World) -> None:
        client, broker = await world.pair()
        client.transport.write(b"a")
        client.transport.write(b"b")
        await asyncio.sleep(LATENCY_US / 1e6 / 2)
        broker.transport.pause_reading()
        await asyncio.sleep(1)
        assert not broker.received
        assert not broker.transport.is_reading()
        broker.transport.resume_reading()
        await asyncio.sleep(1)
        assert broker.received == b"ab"

    play(body)


def test_bandwidth_makes_bytes_take_their_time() -> None:
    async def body(world: World) -> None:
        client, broker = await world.pair()
        client.transport.write(b"x" * 500)
        client.transport.write(b"x" * 500)
        await asyncio.sleep(10)
        assert [at_us for what, at_us in broker.log if what == "data"] == [
            2 * LATENCY_US + 500_000 + LATENCY_US,
            2 * LATENCY_US + 1_000_000 + LATENCY_US,
        ]

    play(body, bandwidth_bytes_per_s=1000)


def test_close_sends_what_is_buffered_and_ends_both_sides_quietly() -> None:
    async def body(world: World) -> None:
        client, broker = await world.pair()
        client.transport.write(b"bye" * 40_000)
        client.transport.close()
        client.transport.write(b"never")
        await asyncio.sleep(1)
        assert bytes(broker.received) == b"bye" * 40_000
        assert (client.error, broker.error) == (None, None)
        assert client.events[-1] == "lost"
        assert broker.events[-2:] == ["eof", "lost"]
        assert not world.network.connections()

    play(body)


def test_half_close_leaves_the_other_direction_open() -> None:
    async def body(world: World) -> None:
        world.keeps_open = True
        client, broker = await world.pair()
        client.transport.write_eof()
        with pytest.raises(RuntimeError):
            client.transport.write(b"x")
        await asyncio.sleep(1)
        assert broker.events[-1] == "eof"
        broker.transport.write(b"answer")
        await asyncio.sleep(1)
        assert client.received == b"answer"

    play(body)


def test_abort_resets_the_other_end() -> None:
    async def body(world: World) -> None:
        client, broker = await world.pair()
        client.transport.abort()
        await asyncio.sleep(1)
        assert client.error is None
        assert isinstance(broker.error, ConnectionResetError)
        assert (client.events[-1], broker.events[-1]) == ("lost", "lost")

    play(body)


def test_writing_to_an_end_that_is_gone_is_answered_by_a_reset() -> None:
    async def body(world: World) -> None:
        world.keeps_open = True
        client, broker = await world.pair()
        client.transport.close()
        await asyncio.sleep(1)
        broker.transport.write(b"anyone?")
        await asyncio.sleep(1)
        assert isinstance(broker.error, ConnectionResetError)

    play(body)


def test_a_cut_loses_what_travels_and_resets_both_ends() -> None:
    async def body(world: World) -> None:
        client, broker = await world.pair()
        client.transport.write(b"lost")
        client.transport.cut()
        await asyncio.sleep(1)
        assert not broker.received
        assert isinstance(client.error, ConnectionResetError)
        assert isinstance(broker.error, ConnectionResetError)
        assert client.events.count("lost") == broker.events.count("lost") == 1

    play(body)


def test_cutting_a_host_spares_the_others() -> None:
    async def body(world: World) -> None:
        cut, _ = await world.pair("cam")
        spared, _ = await world.pair("yard")
        assert world.network.cut("cam") == 1
        await asyncio.sleep(1)
        assert cut.events[-1] == "lost"
        assert spared.events == ["made"]

    play(body)


def test_a_half_open_end_is_noticed_only_by_timeout() -> None:
    async def body(world: World) -> None:
        client, broker = await world.pair()
        client.transport.half_open()
        began_us = world.loop.now_us
        broker.transport.write(b"anyone?")
        await asyncio.sleep(GIVE_UP_US / 1e6 - 1)
        assert broker.events == ["made"]
        assert client.events == ["made"]
        await asyncio.sleep(2)
        assert isinstance(broker.error, TimeoutError)
        assert broker.log[-1] == ("lost", began_us + GIVE_UP_US)
        assert client.events == ["made"]

    play(body)


def test_a_half_open_end_that_is_silent_is_never_noticed() -> None:
    async def body(world: World) -> None:
        client, broker = await world.pair()
        client.transport.half_open()
        await asyncio.sleep(30 * 86_400)
        assert broker.events == ["made"]
        broker.transport.close()
        await asyncio.sleep(1)
        assert broker.events == ["made", "lost"]

    play(body)


@pytest.mark.parametrize("other", [None, "broker"])
def test_a_partition_delays_and_loses_nothing(other: str | None) -> None:
    async def body(world: World) -> None:
        client, broker = await world.pair()
        client.transport.write(b"1")
        world.network.partition("cam", other)
        client.transport.write(b"2")
        client.transport.write(b"3")
        await asyncio.sleep(60)
        assert broker.received == b"1"
        world.network.heal("cam", other)
        healed_us = world.loop.now_us
        client.transport.write(b"4")
        await asyncio.sleep(1)
        assert broker.received == b"1234"
        assert broker.log[-1] == ("data", healed_us + LATENCY_US)

    play(body)


def test_closing_behind_a_partition_ends_here_and_arrives_there_when_healed() -> None:
    async def body(world: World) -> None:
        client, broker = await world.pair()
        world.network.partition("cam")
        client.transport.write(b"last words")
        client.transport.close()
        await asyncio.sleep(1)
        assert client.events == ["made", "lost"]
        assert broker.events == ["made"]
        world.network.heal("cam")
        await asyncio.sleep(1)
        assert broker.received == b"last words"
        assert broker.events[-2:] == ["eof", "lost"]

    play(body)


def test_connecting_behind_a_partition_waits_for_the_next_retry_or_times_out() -> None:
    async def body(world: World) -> None:
        world.network.partition("broker")
        world.loop.call_later(2.5, world.network.heal, "broker")
        await world.pair()
        assert world.loop.now_us == 3_000_000 + 2 * LATENCY_US
        world.network.partition("broker")
        with pytest.raises(TimeoutError):
            await world.pair()
        assert world.loop.now_us == 3_000_000 + 2 * LATENCY_US + 127_000_000

    play(body)


def test_a_port_nobody_listens_on_refuses_and_a_taken_one_is_an_error() -> None:
    async def body(world: World) -> None:
        with pytest.raises(ConnectionRefusedError):
            await world.loop.create_connection(End, "broker", 8883)
        with pytest.raises(OSError, match="in use"):
            await world.loop.create_server(End, "broker", 1883)
        server = await world.loop.create_server(End, "other", 1)
        assert server.is_serving()
        server.close()
        with pytest.raises(ConnectionRefusedError):
            await world.loop.create_connection(End, "other", 1)

    play(body)


def test_a_connect_that_is_given_up_resets_what_was_accepted() -> None:
    async def body(world: World) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5 * LATENCY_US / 1e6):
                await world.pair()
        await asyncio.sleep(1)
        assert isinstance(world.accepted[0].error, ConnectionResetError)

    play(body)


def test_what_an_accepted_end_does_belongs_to_the_listener() -> None:
    async def body(world: World) -> None:
        with running_as("cam#1", "cam"):
            _, client = await world.loop.create_connection(End, "broker", 1883)
            client.transport.write(b"x")
        await asyncio.sleep(1)
        world.accepted[0].transport.write(b"y")
        world.accepted[0].transport.close()
        await asyncio.sleep(1)
        assert world.accepted[0].tags == {"broker#1"}
        assert client.tags == {"cam#1"}

    play(body)


def test_a_fenced_incarnation_is_reset_silenced_and_refused() -> None:
    async def body(world: World) -> None:
        with running_as("server#1", "server"):
            client, broker = await world.pair()
            await world.loop.create_server(End, "server", 80)
            hung = asyncio.create_task(world.pair("server"))
        world.network.fence("server#1")
        client.transport.write(b"from the grave")
        await asyncio.sleep(1)
        assert client.events == ["made"]
        assert not broker.received
        assert isinstance(broker.error, ConnectionResetError)
        assert not hung.done()
        with pytest.raises(ConnectionRefusedError):
            await world.loop.create_connection(End, "server", 80)
        with running_as("server#2", "server"):
            again, _ = await world.pair("server")
        assert again.events == ["made"]
        assert world.network.connections(tag="server#1") == []

    play(body)


def test_a_hosts_own_latency_goes_before_the_networks() -> None:
    async def body(world: World) -> None:
        world.network.set_latency("cam", lambda: 1)
        await world.pair("cam")
        assert world.loop.now_us == 2
        world.network.set_latency("cam", None)
        await world.pair("cam")
        assert world.loop.now_us == 2 + 2 * LATENCY_US

    play(body)


def test_a_host_that_reads_now_and_then_takes_in_together_what_came_meanwhile() -> None:
    """In order, and never before it arrived; the other direction is as ever."""

    async def body(world: World) -> None:
        first, at_first = await world.pair("first")
        second, at_second = await world.pair("second")
        world.network.read_every("broker", 25_000)
        begin_us = world.loop.now_us
        assert begin_us == 4 * LATENCY_US
        first.transport.write(b"a")
        await asyncio.sleep(0.005)
        second.transport.write(b"b")
        await asyncio.sleep(0.02)
        first.transport.write(b"c")
        await asyncio.sleep(1)
        assert [at for what, at in at_first.log if what == "data"] == [50_000, 75_000]
        assert [at for what, at in at_second.log if what == "data"] == [75_000]
        assert bytes(at_first.received) == b"ac"
        asked_us = world.loop.now_us
        at_first.transport.write(b"d")
        await asyncio.sleep(1)
        assert first.log[-1] == ("data", asked_us + LATENCY_US)

    play(body)


def test_streams_work_on_it() -> None:
    async def body(world: World) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                writer.write(line.upper())
                await writer.drain()
            writer.close()

        with running_as("echo#1", "echo"):
            await asyncio.start_server(echo, "echo", 7)
        reader, writer = await asyncio.open_connection("echo", 7)
        writer.write(b"hello\n" * 50_000)
        writer.write_eof()
        assert await reader.read() == b"HELLO\n" * 50_000
        writer.close()
        await writer.wait_closed()

    play(body)


def test_hosts_are_known_by_context() -> None:
    with running_as("a", "h"):
        assert (current_incarnation.get(), current_host.get()) == ("a", "h")
    assert (current_incarnation.get(), current_host.get()) == (None, "bench")
