"""A broker that does what a test tells it to, packet by packet, on a loopback port; and a client set before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from server.mqtt import Delivery, MqttClient, MqttSettings
from server.wire.mqtt_codec import (
    Connack,
    Connect,
    Decoder,
    Packet,
    Pingreq,
    Publish,
    Suback,
    Subscribe,
    encode,
)

WAIT_S = 20.0
"""Longest that a test waits for anything; only a failing test gets there."""

T = TypeVar("T")
PacketT = TypeVar("PacketT")


class SteppedLoop(asyncio.SelectorEventLoop):
    """A real loop whose clock a test can move on, so that no test waits for a timer."""

    skipped_s = 0.0
    limit: asyncio.Timeout | None = None

    def time(self) -> float:
        return super().time() + self.skipped_s

    def skip(self, seconds: float) -> None:
        self.skipped_s += seconds
        when = None if self.limit is None else self.limit.when()
        if self.limit is not None and when is not None:
            self.limit.reschedule(when + seconds)


def run(body: Callable[[], Awaitable[T]], *, limit_s: float = WAIT_S) -> T:
    """Run a test's coroutine on a fresh SteppedLoop; a task left over would be reported by asyncio."""

    async def limited() -> T:
        async with asyncio.timeout(limit_s) as limit:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, SteppedLoop)
            loop.limit = limit
            return await body()

    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        return runner.run(limited())


def skip(seconds: float) -> None:
    """Move the running SteppedLoop's clock on."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    loop.skip(seconds)


class Peer:
    """The broker's end of one accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._packets: list[Packet] = []

    def send(self, *packets: Packet) -> None:
        self.send_bytes(b"".join(map(encode, packets)))

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    async def receive(self) -> Packet | None:
        """The next packet, None at the end of the stream."""
        while not self._packets:
            try:
                data = await self._reader.read(65_536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._packets += self._decoder.feed(data)
        return self._packets.pop(0)

    async def expect(self, kind: type[PacketT]) -> PacketT:
        """The next packet, which must be of this kind; pings in between are passed over."""
        packet = await self.receive()
        while isinstance(packet, Pingreq) and kind is not Pingreq:
            packet = await self.receive()
        assert isinstance(packet, kind), f"wanted {kind.__name__}, got {packet!r}"
        return packet

    async def accept(self, *, session_present: bool = False) -> Connect:
        """Take CONNECT and SUBSCRIBE, grant everything."""
        connect = await self.expect(Connect)
        self.send(Connack(session_present=session_present))
        await self.grant()
        return connect

    async def grant(self) -> Subscribe:
        subscribe = await self.expect(Subscribe)
        codes = tuple(qos for _, qos in subscribe.filters)
        self.send(Suback(packet_id=subscribe.packet_id, return_codes=codes))
        return subscribe

    async def close(self) -> None:
        self._writer.close()

    def cut(self) -> None:
        self._writer.transport.abort()


class ScriptedBroker:
    """Accepts connections; `next_peer()` gives them out in order."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def __aenter__(self) -> ScriptedBroker:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        for writer in self._writers:
            writer.transport.abort()
        self._server.close()
        await self._server.wait_closed()
        await asyncio.sleep(0)

    async def next_peer(self) -> Peer:
        return await self._peers.get()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._peers.put_nowait(Peer(reader, writer))


class Inbox:
    """Keeps deliveries and states, and lets a test wait for them."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.states: list[str] = []
        self._changed = asyncio.Event()

    def on_delivery(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._changed.set()

    def on_state(self, state: str) -> None:
        self.states.append(state)
        self._changed.set()

    async def wait(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def wait_count(self, count: int) -> list[Delivery]:
        await self.wait(lambda: len(self.deliveries) >= count)
        return self.deliveries

    async def wait_state(self, start: str) -> str:
        await self.wait(lambda: any(state.startswith(start) for state in self.states))
        return next(state for state in self.states if state.startswith(start))


@asynccontextmanager
async def setting(**changes: Any) -> AsyncIterator[tuple[ScriptedBroker, MqttClient, Inbox]]:
    async with ScriptedBroker() as broker:
        inbox = Inbox()
        options: dict[str, Any] = {"keep_alive_s": 30, "reconnect_min_s": 0.001, **changes}
        settings = MqttSettings(host="127.0.0.1", port=broker.port, client_id="server", **options)
        client = MqttClient(settings, [("a/#", 1), ("b", 0)], inbox.on_delivery, on_state=inbox.on_state)
        await client.start()
        try:
            yield broker, client, inbox
        finally:
            stop = asyncio.create_task(client.stop())
            while not stop.done():
                skip(0.5)
                await asyncio.sleep(0)
            await stop


async def ready(broker: ScriptedBroker, client: MqttClient) -> Peer:
    peer = await broker.next_peer()
    await peer.accept()
    await client.wait_ready()
    return peer


def message(packet_id: int, *, dup: bool = False, payload: bytes = b"x") -> Publish:
    return Publish(topic=f"a/{packet_id}", payload=payload, qos=1, packet_id=packet_id, dup=dup)
