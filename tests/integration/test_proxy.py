"""The fault proxy on real sockets of 127.0.0.1: what each end of a connection hears under each fault."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from simulator.fault import fault_named
from simulator.proxy import QUEUE_BYTES_MAX, FaultProxy
from simulator.rng import Rng

PATIENCE_S = 20.0
RESET = "RST"


@dataclass(slots=True)
class Socket:
    """One end, as its owner sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def rest(self) -> bytes | str:
        """Everything up to FIN, or RESET."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return RESET

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def fin(self) -> None:
        self.writer.write_eof()

    def rst(self) -> None:
        wire: Any = self.writer.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Ends:
    """A broker that does nothing, the proxy before it, and connections through it."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[Socket] = asyncio.Queue()
        self.events: list[str] = []
        self.proxy: FaultProxy
        self._writers: list[asyncio.StreamWriter] = []

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.accepted.put_nowait(Socket(reader, writer))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Ends]:
        broker = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.proxy = FaultProxy(broker.sockets[0].getsockname()[:2], Rng(3), self.events.append)
        await self.proxy.start()
        try:
            yield self
        finally:
            await self.proxy.stop()
            for writer in self._writers:
                writer.transport.abort()
            broker.close()
            await broker.wait_closed()

    async def taken(self, size_bytes: int) -> None:
        """The proxy has read so much more than the words of `hello`."""
        while self.proxy.taken_bytes < size_bytes:
            await asyncio.sleep(0)

    async def connected(self) -> tuple[Socket, Socket]:
        """A device's end and the broker's."""
        device = Socket(*await asyncio.open_connection(*self.proxy.address))
        self._writers.append(device.writer)
        return device, await self.accepted.get()

    async def hello(self) -> tuple[Socket, Socket]:
        """The same, after a word in each direction."""
        device, broker = await self.connected()
        await device.say(b"hello")
        assert await broker.reader.readexactly(5) == b"hello"
        await broker.say(b"snap")
        assert await device.reader.readexactly(4) == b"snap"
        return device, broker


Story = Callable[[Ends], Awaitable[None]]


def played(story: Story) -> None:
    async def play() -> None:
        async with asyncio.timeout(PATIENCE_S), Ends().open() as ends:
            await story(ends)

    asyncio.run(play())


def test_without_faults_bytes_fin_and_rst_pass() -> None:
    async def story(ends: Ends) -> None:
        device, broker = await ends.hello()
        device.fin()
        assert await broker.rest() == b""
        await broker.say(b"bye")
        broker.fin()
        assert await device.rest() == b"bye"
        device, broker = await ends.hello()
        device.rst()
        assert await broker.rest() == RESET
        device, broker = await ends.hello()
        broker.rst()
        assert await device.rest() == RESET
        assert "connection 1 over: 5 bytes up, 7 down" in ends.events

    played(story)


def test_large_writes_arrive_whole_and_the_sender_waits_for_a_slow_reader() -> None:
    async def story(ends: Ends) -> None:
        device, broker = await ends.hello()
        data = bytes(range(256)) * (40 * QUEUE_BYTES_MAX // 256)
        writing = asyncio.create_task(device.say(data))
        assert await broker.reader.readexactly(len(data)) == data
        await writing

    played(story)


def test_a_broker_that_is_not_there_is_a_reset() -> None:
    async def story(ends: Ends) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            ends.proxy.to = taken.getsockname()
            device = Socket(*await asyncio.open_connection(*ends.proxy.address))
            assert await device.rest() == RESET
            device.writer.close()

    played(story)


def test_latency_delays_what_is_said_by_its_time_at_least() -> None:
    async def story(ends: Ends) -> None:
        device, broker = await ends.hello()
        ends.proxy.begin(fault_named("latency", delay_ms=40, way="up"))
        loop = asyncio.get_running_loop()
        before_s = loop.time()
        await device.say(b"x")
        assert await broker.reader.readexactly(1) == b"x"
        assert loop.time() - before_s >= 0.04

    played(story)


def test_bandwidth_and_slices_keep_every_byte() -> None:
    async def story(ends: Ends) -> None:
        device, broker = await ends.hello()
        ends.proxy.begin(fault_named("bandwidth", rate_bytes_per_s=20_000))
        ends.proxy.begin(fault_named("slicer", slice_bytes=1))
        loop = asyncio.get_running_loop()
        before_s = loop.time()
        await device.say(b"ab" * 1_000)
        found = [await broker.reader.read(2_000)]
        while sum(map(len, found)) < 2_000:
            found.append(await broker.reader.read(2_000))
        assert b"".join(found) == b"ab" * 1_000
        assert loop.time() - before_s >= 0.1

    played(story)


def test_cut_after_so_many_bytes_resets_both_ends() -> None:
    async def story(ends: Ends) -> None:
        device, broker = await ends.hello()
        ends.proxy.begin(fault_named("cut_after", after_bytes=3), once=True)
        await device.say(b"abc")
        assert await broker.reader.readexactly(3) == b"abc"
        await device.say(b"d")
        assert (await device.rest(), await broker.rest()) == (RESET, RESET)
        await ends.hello()

    played(story)


def test_truncate_closes_both_ends_in_good_order() -> None:
    async def story(ends: Ends) -> None:
        device, broker = await ends.hello()
        ends.proxy.begin(fault_named("truncate", after_bytes=3), once=True)
        await device.say(b"abcdef")
        assert (await device.rest(), await broker.rest()) == (b"", b"abc")

    played(story)


@pytest.mark.parametrize("unaware", ["broker", "device"])
def test_half_open_tells_one_end_only(unaware: str) -> None:
    async def story(ends: Ends) -> None:
        device, broker = await ends.hello()
        ends.proxy.begin(fault_named("half_open", unaware=unaware), once=True)
        told, other = (device, broker) if unaware == "broker" else (broker, device)
        assert await told.rest() == RESET
        await other.say(b"is anybody there")
        assert not other.reader.at_eof()
        assert ends.proxy.open_connections == 1
        await ends.hello()
        other.fin()
        assert await other.rest() == b""

    played(story)


def test_reset_while_it_lasts() -> None:
    async def story(ends: Ends) -> None:
        device, broker = await ends.hello()
        number = ends.proxy.begin(fault_named("rst"))
        assert (await device.rest(), await broker.rest()) == (RESET, RESET)
        device = Socket(*await asyncio.open_connection(*ends.proxy.address))
        device.writer.write(b"again")
        assert await device.rest() == RESET
        device.writer.close()
        ends.proxy.end(number)
        while not ends.accepted.empty():
            ends.accepted.get_nowait()
        await ends.hello()

    played(story)


def test_a_slow_close_is_heard_late() -> None:
    async def story(ends: Ends) -> None:
        device, broker = await ends.hello()
        ends.proxy.begin(fault_named("slow_close", delay_ms=40))
        loop = asyncio.get_running_loop()
        before_s = loop.time()
        device.rst()
        assert await broker.rest() == RESET
        assert loop.time() - before_s >= 0.04

    played(story)


def test_a_blackhole_takes_everything_and_its_end_resets() -> None:
    async def story(ends: Ends) -> None:
        device, broker = await ends.hello()
        gone, left = await ends.hello()
        number = ends.proxy.begin(fault_named("blackhole"))
        await device.say(b"into nothing")
        gone.rst()
        _, whole = await ends.connected()
        while ends.proxy.open_connections < 3:
            await asyncio.sleep(0)
        await broker.say(b"nothing either")
        await ends.taken(2 * 9 + 12 + 14)
        ends.proxy.end(number)
        assert (await broker.rest(), await left.rest()) == (RESET, RESET)
        assert await device.rest() == RESET
        assert not whole.reader.at_eof(), "it lost nothing"

    played(story)


def test_one_way_is_lost_and_the_other_works() -> None:
    async def story(ends: Ends) -> None:
        device, broker = await ends.hello()
        number = ends.proxy.begin(fault_named("one_way_loss", way="up"))
        await device.say(b"not heard")
        await broker.say(b"heard")
        assert await device.reader.readexactly(5) == b"heard"
        await ends.taken(9 + 9 + 5)
        ends.proxy.end(number)
        assert await broker.rest() == RESET

    played(story)


def test_one_byte_is_damaged() -> None:
    async def story(ends: Ends) -> None:
        device, broker = await ends.hello()
        ends.proxy.begin(fault_named("corrupt_bytes", after_bytes=2, flip=3), once=True)
        await device.say(b"abcdef")
        found = await broker.reader.readexactly(6)
        assert (found[:2], found[3:]) == (b"ab", b"def")
        assert (found[2] ^ ord("c")).bit_count() == 3

    played(story)
