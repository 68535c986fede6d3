"""What the conformance suite speaks to: a broker under test, and a bare client that sees every packet."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from server.wire.mqtt_codec import Connack, Connect, Disconnect, Puback, Publish, Suback, Subscribe, Will
from simulator.broker import Broker
from simulator.broker_host import BrokerHost
from tests.support.scripted_broker import Peer


def numbers(messages: list[Publish]) -> list[int]:
    """The payloads as numbers."""
    return [int(message.payload) for message in messages]


@dataclass(frozen=True)
class BrokerUnderTest:
    """`running` gives its address; the simulated one lives in the test's own loop."""

    kind: str
    host: str = "127.0.0.1"
    port: int = 0
    prefix: str = ""
    simulated: BrokerHost | None = None

    def named(self, test_name: str) -> BrokerUnderTest:
        """The same broker, with a prefix for client ids and topics."""
        return replace(self, prefix=re.sub(r"\W+", "-", test_name).strip("-"))

    def name(self, what: str) -> str:
        """A client id of this test alone."""
        return f"{self.prefix}-{what}"

    def topic(self, rest: str) -> str:
        """A topic or filter of this test alone."""
        return f"{self.prefix}/{rest}"

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[BrokerUnderTest]:
        """The broker with an address to connect to; options are those of the simulated Broker."""
        if self.kind != "simulated":
            yield self
            return
        host = BrokerHost(Broker(**options))
        server = await asyncio.get_running_loop().create_server(host.protocol, "127.0.0.1", 0)
        try:
            yield replace(self, port=server.sockets[0].getsockname()[1], simulated=host)
        finally:
            host.stop()
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0)


class BareClient(Peer):
    """The client's end of a connection, packet by packet; acknowledges nothing by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.early: list[Publish] = []
        self.session_present = False

    async def subscribe(self, *filters: tuple[str, int]) -> Suback:
        """Waits for the SUBACK; messages that come before it are kept in `early`."""
        self.send(Subscribe(packet_id=60_000, filters=filters))
        while True:
            packet = await self.receive()
            if isinstance(packet, Suback):
                return packet
            assert isinstance(packet, Publish), packet
            self.early.append(packet)

    async def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False, count: int = 1) -> None:
        """QoS 1, `count` times with the number appended if more than one; returns after all PUBACKs."""
        for index in range(count):
            body = payload if count == 1 else payload + str(index).encode()
            self.send(Publish(topic=topic, payload=body, qos=1, retain=retain, packet_id=index + 1))
        for _ in range(count):
            await self.expect(Puback)

    async def messages(self, count: int) -> list[Publish]:
        """The next `count` messages."""
        got, self.early = self.early[:count], self.early[count:]
        while len(got) < count:
            got.append(await self.expect(Publish))
        return got

    async def messages_until(self, topic: str) -> list[Publish]:
        """Every message before the one with this topic, which must be the last to come."""
        got: list[Publish] = []
        while True:
            (message,) = await self.messages(1)
            if message.topic == topic:
                return got
            got.append(message)

    def ack(self, *messages: Publish) -> None:
        self.send(*(Puback(message.packet_id or 0) for message in messages))


@asynccontextmanager
async def bare_client(
    broker: BrokerUnderTest, client_id: str, *, clean: bool = True, will: Will | None = None, keep_alive_s: int = 60
) -> AsyncIterator[BareClient]:
    """Connected and accepted; disconnects at the end unless it was closed or cut before."""
    reader, writer = await asyncio.open_connection(broker.host, broker.port)
    client = BareClient(reader, writer)
    try:
        client.send(Connect(client_id=client_id, clean_session=clean, will=will, keep_alive_s=keep_alive_s))
        client.session_present = (await client.expect(Connack)).session_present
        yield client
        if not writer.is_closing():
            client.send(Disconnect())
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def sub_and_pub(broker: BrokerUnderTest) -> AsyncIterator[tuple[BareClient, BareClient]]:
    """Two clients with clean sessions."""
    async with bare_client(broker, broker.name("sub")) as sub, bare_client(broker, broker.name("pub")) as pub:
        yield sub, pub
