"""The simulated broker with numbered clients and no wires, for tests."""

from __future__ import annotations

from typing import Any

from server.wire.mqtt_codec import (
    Connect,
    Decoder,
    Packet,
    Publish,
    Subscribe,
    encode,
)
from simulator.broker import Broker, CloseConnection, Dropped, Effect, Routed, SendBytes


class World:
    """A broker with numbered clients; keeps what each was sent and everything that was routed."""

    def __init__(self, **options: Any) -> None:
        self.broker = Broker(**options)
        self.now_ms = 0
        self.numbers: dict[str, int] = {}
        self.inbox: dict[int, list[Packet]] = {}
        self.decoders: dict[int, Decoder] = {}
        self.closed: dict[int, str] = {}
        self.events: list[Routed | Dropped] = []
        self.next_number = 0

    def apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendBytes(connection, data):
                    assert connection not in self.closed, "sent on a closed connection"
                    self.inbox[connection] += self.decoders[connection].feed(data)
                case CloseConnection(connection, reason):
                    self.closed[connection] = reason
                case _:
                    self.events.append(effect)

    def connect(self, name: str, *, clean: bool = True, **options: Any) -> list[Packet]:
        self.next_number += 1
        number = self.numbers[name] = self.next_number
        self.inbox[number], self.decoders[number] = [], Decoder()
        self.apply(self.broker.opened(number, self.now_ms))
        self.send(name, Connect(client_id=name, clean_session=clean, **options))
        return self.take(name)

    def send(self, name: str, *packets: Packet) -> None:
        self.send_bytes(name, b"".join(map(encode, packets)))

    def send_bytes(self, name: str, data: bytes) -> None:
        self.apply(self.broker.received(self.numbers[name], data, self.now_ms))

    def subscribe(self, name: str, *filters: tuple[str, int]) -> list[Packet]:
        self.send(name, Subscribe(packet_id=1, filters=filters))
        return self.take(name)

    def publish(self, name: str, topic: str, payload: bytes = b"x", *, qos: int = 1, retain: bool = False) -> None:
        packet_id = 100 if qos else None
        self.send(name, Publish(topic=topic, payload=payload, qos=qos, retain=retain, packet_id=packet_id))

    def cut(self, name: str) -> None:
        self.apply(self.broker.closed(self.numbers[name], self.now_ms))

    def take(self, name: str) -> list[Packet]:
        packets, self.inbox[self.numbers[name]] = self.inbox[self.numbers[name]], []
        return packets

    def got(self, name: str) -> list[Publish]:
        return [packet for packet in self.take(name) if isinstance(packet, Publish)]

    def topics(self, name: str) -> list[str]:
        return [packet.topic for packet in self.got(name)]

    def is_closed(self, name: str) -> bool:
        return self.numbers[name] in self.closed
