"""Four MQTT clients behind one small interface, as subjects and as oracles: ours, raw link, paho link, gmqtt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from gmqtt import Client as GmqttClient
from gmqtt.mqtt.constants import MQTTv311

from server.mqtt import Delivery, MqttClient, MqttSettings
from simulator.link import Link, LinkSettings
from simulator.link.paho import PahoLink
from simulator.link.raw import RawLink
from tests.support.conformance import BrokerUnderTest


class Arrivals:
    """What came, in order, and a way to wait for it."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.lost: list[str] = []
        self._changed = asyncio.Event()

    def add(self, topic: str, payload: bytes) -> None:
        self.got.append((topic, bytes(payload)))
        self._changed.set()

    def add_lost(self, reason: str) -> None:
        self.lost.append(reason)
        self._changed.set()

    async def wait(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def payloads(self, count: int) -> list[bytes]:
        """All payloads, once there are `count`."""
        await self.wait(lambda: len(self.got) >= count)
        return [payload for _, payload in self.got]


class Consumer(Protocol):
    """Acknowledges what it gets; QoS 1 both ways; keeps its session."""

    arrivals: Arrivals

    async def connect(self, broker: BrokerUnderTest, client_id: str, topic_filter: str) -> None: ...
    async def publish(self, topic: str, payload: bytes) -> None: ...
    async def disconnect(self) -> None: ...


class Ours:
    """The server's client, done with each delivery at once."""

    def __init__(self) -> None:
        self.arrivals = Arrivals()

    async def connect(self, broker: BrokerUnderTest, client_id: str, topic_filter: str) -> None:
        settings = MqttSettings(host=broker.host, port=broker.port, client_id=client_id, reconnect_min_s=0.01)
        self.client = MqttClient(settings, [(topic_filter, 1)], self._on_delivery)
        await self.client.start()
        await self.client.wait_ready()

    async def publish(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload)
        await self.client.wait_published()

    async def disconnect(self) -> None:
        await self.client.stop()

    def _on_delivery(self, delivery: Delivery) -> None:
        self.arrivals.add(delivery.topic, delivery.payload)
        delivery.done()


class Linked:
    """A device's link."""

    def __init__(self, make: Callable[..., Link]) -> None:
        self.arrivals = Arrivals()
        self._make = make

    async def connect(self, broker: BrokerUnderTest, client_id: str, topic_filter: str) -> None:
        settings = LinkSettings(
            broker.host, broker.port, client_id, ((topic_filter, 1),), clean_session=False, ack_timeout_s=10
        )
        self.link = self._make(settings, self.arrivals.add, self.arrivals.add_lost)
        await self.link.connect()

    async def publish(self, topic: str, payload: bytes) -> None:
        await self.link.publish(topic, payload)

    async def disconnect(self) -> None:
        await self.link.disconnect()


class Gmqtt:
    """gmqtt, told to acknowledge after its handler."""

    def __init__(self) -> None:
        self.arrivals = Arrivals()

    async def connect(self, broker: BrokerUnderTest, client_id: str, topic_filter: str) -> None:
        client = self.client = GmqttClient(client_id, clean_session=False, optimistic_acknowledgement=False)
        subscribed = asyncio.Event()
        client.on_message = self._on_message
        client.on_subscribe = lambda *_: subscribed.set()
        await client.connect(broker.host, broker.port, version=MQTTv311, keepalive=60)
        client.subscribe(topic_filter, qos=1)
        await subscribed.wait()

    async def publish(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload, qos=1)

    async def disconnect(self) -> None:
        await self.client.disconnect()

    async def _on_message(self, client: Any, topic: str, payload: bytes, qos: int, properties: Any) -> int:
        self.arrivals.add(topic, payload)
        return 0


CONSUMERS: dict[str, Callable[[], Consumer]] = {
    "ours": Ours,
    "raw": lambda: Linked(RawLink),
    "paho": lambda: Linked(PahoLink),
    "gmqtt": Gmqtt,
}
