"""What a broker keeps for one client: subscriptions, what waits, what is in flight. Pure; `broker` drives it.

Every method returns the packets to send now. A message waits until the window has room, is in flight from its PUBLISH
to its last acknowledgement, and survives the connection. Ids are given in order and reused when free.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from server.wire.mqtt_codec import Packet, Publish, Pubrel

PACKET_ID_LAST: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An accepted PUBLISH on its way to one session, with the QoS of the delivery.

    `share` is the `$share` filter that it came by, if any: it may then go to another member.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    share: str | None = None


@dataclass(slots=True)
class _InFlight:
    message: Message
    is_released: bool = False
    """QoS 2 only: PUBREC came, so PUBREL is what is repeated."""


@dataclass(slots=True)
class Session:
    """State of one client id. `connection` is None while the client is away."""

    client_id: str
    is_clean: bool
    in_flight_max: int
    queue_max: int
    username: str | None = None
    connection: int | None = None
    subscriptions: dict[str, int] = field(default_factory=dict)
    incoming_qos2: dict[int, Message] = field(default_factory=dict)
    _in_flight: dict[int, _InFlight] = field(default_factory=dict)
    _queue: deque[Message] = field(default_factory=deque)
    _last_id: int = 0

    @property
    def queued(self) -> int:
        """Messages that wait for room in the window or for the client."""
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        """Messages sent and not acknowledged."""
        return len(self._in_flight)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is on its way to or from this client."""
        return not self._queue and not self._in_flight and not self.incoming_qos2

    def deliver(self, message: Message) -> list[Packet] | None:
        """Send or queue a message; None when it had to be dropped (queue full, or QoS 0 and nobody there)."""
        if message.qos == 0:
            if self.connection is None:
                return None
            return [Publish(topic=message.topic, payload=message.payload, retain=message.retain)]
        if self.connection is not None and not self._queue and len(self._in_flight) < self.in_flight_max:
            return [self._launch(message)]
        if len(self._queue) >= self.queue_max:
            return None
        self._queue.append(message)
        return []

    def resume(self, *, dup: bool) -> list[Packet]:
        """The client is back: everything in flight again, in the old order and with the old ids, then the queue."""
        return [*self.in_flight_again(dup=dup), *self._fill()]

    def in_flight_again(self, *, dup: bool) -> list[Packet]:
        """Everything in flight once more; PUBREL has no DUP."""
        return [
            Pubrel(packet_id) if sent.is_released else _publish(sent.message, packet_id, dup=dup)
            for packet_id, sent in self._in_flight.items()
        ]

    def acknowledged(self, packet_id: int, *, qos: int) -> list[Packet]:
        """PUBACK (QoS 1) or PUBCOMP (QoS 2); an id that is not in flight is ignored, as brokers do."""
        sent = self._in_flight.get(packet_id)
        if sent is None or sent.message.qos != qos:
            return []
        del self._in_flight[packet_id]
        return self._fill()

    def received_by_client(self, packet_id: int) -> list[Packet]:
        """PUBREC: from now on the release is repeated, not the message."""
        sent = self._in_flight.get(packet_id)
        if sent is not None and sent.message.qos == 2:
            sent.is_released = True
        return [Pubrel(packet_id)]

    def undelivered(self) -> list[Message]:
        """Everything that is in flight or waits, oldest first (for another member of a share group)."""
        return [*(sent.message for sent in self._in_flight.values() if not sent.is_released), *self._queue]

    def _fill(self) -> list[Packet]:
        packets: list[Packet] = []
        while self._queue and self.connection is not None and len(self._in_flight) < self.in_flight_max:
            packets.append(self._launch(self._queue.popleft()))
        return packets

    def _launch(self, message: Message) -> Packet:
        packet_id = self._last_id
        while True:
            packet_id = packet_id % PACKET_ID_LAST + 1
            if packet_id not in self._in_flight:
                break
        self._last_id = packet_id
        self._in_flight[packet_id] = _InFlight(message)
        return _publish(message, packet_id, dup=False)


def _publish(message: Message, packet_id: int, *, dup: bool) -> Publish:
    return Publish(
        topic=message.topic,
        payload=message.payload,
        qos=message.qos,
        retain=message.retain,
        dup=dup,
        packet_id=packet_id,
    )
