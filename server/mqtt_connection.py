"""One connection of the server's MQTT client, from CONNECT to its loss; `mqtt` makes a new one each time.

Theory. A connection is an epoch. Every PUBLISH that arrives gets a place in one FIFO; `Delivery.done()` marks it, and
PUBACKs leave for the longest run of done deliveries at the head, so they leave in the order of arrival (rumqttd drops
messages otherwise) and only on the connection that delivered. When the connection is gone its FIFO is void: the
broker delivers again, under ids that mean something else, and a late `done()` must not touch them.
Packets are gathered and written once per turn of the loop, in the order in which they were asked for, so that
an answer published before `done()` reaches the broker before the PUBACK.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, cast

from server.wire.mqtt_codec import (
    CONNACK_REASONS,
    SUBACK_FAILURE,
    Connack,
    Connect,
    Decoder,
    Disconnect,
    MalformedPacket,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    encode,
)

SUBSCRIBE_PACKET_ID: Final = 65_535
"""Id of the one SUBSCRIBE of a connection; publishing never uses it."""


class ConnectionRefused(Exception):
    """The broker said no: CONNACK with a return code, or SUBACK with a failure."""


@dataclass(slots=True)
class MqttStats:
    """Counters since the client was made."""

    connects: int = 0
    reconnects: int = 0
    losses: int = 0
    received: int = 0
    received_dup: int = 0
    acked: int = 0
    done_too_late: int = 0
    published: int = 0
    published_again: int = 0
    publish_acked: int = 0
    reading_pauses: int = 0


class Delivery:
    """One PUBLISH from the broker. `done()` lets its PUBACK go; without it the broker delivers again."""

    __slots__ = ("_acknowledge", "dup", "epoch", "is_done", "packet_id", "payload", "qos", "retain", "topic")

    def __init__(
        self,
        *,
        topic: str,
        payload: bytes,
        qos: int = 0,
        dup: bool = False,
        retain: bool = False,
        epoch: int = 0,
        packet_id: int | None = None,
        acknowledge: Callable[[], None] | None = None,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.dup = dup
        self.retain = retain
        self.epoch = epoch
        self.packet_id = packet_id
        self.is_done = False
        self._acknowledge = acknowledge

    def done(self) -> None:
        """The message is durable. A second call, or one after the connection was lost, does nothing."""
        if not self.is_done:
            self.is_done = True
            if self._acknowledge is not None:
                self._acknowledge()

    def __repr__(self) -> str:
        return (
            f"Delivery({self.topic!r}, {len(self.payload)} bytes, qos={self.qos}, dup={self.dup}, "
            f"epoch={self.epoch}, packet_id={self.packet_id}, is_done={self.is_done})"
        )


class Session(Protocol):
    """What a connection tells the client that made it."""

    def accepted(self, session_present: bool) -> None:
        """CONNACK came: what is unacknowledged may be published again now."""

    def delivered(self, delivery: Delivery) -> None:
        """A message came."""

    def publish_acked(self, packet_id: int) -> None:
        """The broker has a QoS 1 message of ours."""


class MqttConnection(asyncio.Protocol):
    """`ready` is done once the SUBACK is in, `lost` once the connection is gone (its result is the reason)."""

    def __init__(
        self,
        session: Session,
        stats: MqttStats,
        *,
        epoch: int,
        connect: Connect,
        filters: tuple[tuple[str, int], ...],
        in_flight_max: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.epoch = epoch
        self._session = session
        self._stats = stats
        self._connect = connect
        self._filters = filters
        self._in_flight_max = in_flight_max
        self._transport: asyncio.Transport | None = None
        self._decoder = Decoder()
        self._in_flight: deque[Delivery] = deque()
        self._out: list[bytes] = []
        self._is_accepted = False
        self._is_open = False
        self._is_reading_paused = False
        self._has_heard = True
        self._ping_timer: asyncio.TimerHandle | None = None
        self._reason = ""  # why it ended; empty while it lives

    # -- asked by the client ---------------------------------------------------------------------

    @property
    def is_accepted(self) -> bool:
        """Whether the broker took the CONNECT and the connection still stands."""
        return self._is_accepted and self._is_open

    @property
    def in_flight(self) -> int:
        """Deliveries that are not acknowledged yet."""
        return len(self._in_flight)

    def send(self, packet: Packet) -> None:
        """Put a packet behind those already asked for; it leaves in this turn of the loop."""
        if not self._is_open:
            return
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(encode(packet))

    def flush(self) -> None:
        """Hand to the transport what was gathered."""
        if self._out and self._is_open and self._transport is not None:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def abort(self, reason: str) -> None:
        """End it at once; nothing that is gathered leaves any more."""
        self._shut(reason)
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """End it on purpose: what was gathered, then DISCONNECT; `lost` is done when the broker has closed.

        Closing first would let the next connection overtake acknowledgements that the broker has not read yet.
        """
        self.send(Disconnect())
        self.flush()
        self._shut("closed")
        if self._transport is not None and self._is_reading_paused:
            self._transport.resume_reading()

    # -- called by the transport -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._is_open = True
        self.send(self._connect)
        self.flush()

    def data_received(self, data: bytes) -> None:
        if not self._is_open:
            return
        self._has_heard = True
        problem: str | None = None
        try:
            packets: list[Packet] | tuple[Packet, ...] = self._decoder.feed(data)
        except MalformedPacket as error:
            packets, problem = error.before, f"the broker sent no MQTT ({error})"
        for packet in packets:
            self._receive(packet)
            if self._reason:
                return
        if problem is not None:
            self.abort(problem)
        elif len(self._in_flight) >= self._in_flight_max and not self._is_reading_paused:
            self._is_reading_paused = True
            self._stats.reading_pauses += 1
            if self._transport is not None:
                self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        where = "" if self._decoder.is_between_packets else " inside a packet"
        self._shut(f"lost: {exc}{where}" if exc else f"closed by the broker{where}")
        if not self.lost.done():
            self.lost.set_result(self._reason)

    # -- packets ---------------------------------------------------------------------------------

    def _receive(self, packet: Packet) -> None:
        if not self._is_accepted:
            self._receive_first(packet)
            return
        match packet:
            case Publish():
                self._receive_publish(packet)
            case Puback(packet_id):
                self._session.publish_acked(packet_id)
            case Pingresp():
                pass
            case Suback():
                self._receive_suback(packet)
            case _:
                self.abort(f"the broker sent a {type(packet).__name__.upper()}, which is not its to send here")

    def _receive_first(self, packet: Packet) -> None:
        if not isinstance(packet, Connack):
            self.abort(f"the broker sent a {type(packet).__name__.upper()} before its CONNACK")
        elif packet.return_code:
            self._refuse(f"CONNECT: {CONNACK_REASONS[packet.return_code]} (return code {packet.return_code})")
        else:
            self._is_accepted = True
            self._start_pinging()
            self._session.accepted(packet.session_present)
            if self._filters:
                self.send(Subscribe(packet_id=SUBSCRIBE_PACKET_ID, filters=self._filters))
            else:
                self.ready.set_result(None)

    def _receive_suback(self, packet: Suback) -> None:
        if packet.packet_id != SUBSCRIBE_PACKET_ID or len(packet.return_codes) != len(self._filters):
            self.abort("the broker sent a SUBACK for another SUBSCRIBE")
            return
        refused = [
            topic_filter
            for (topic_filter, _), code in zip(self._filters, packet.return_codes, strict=True)
            if code == SUBACK_FAILURE
        ]
        if refused:
            self._refuse(f"SUBSCRIBE to {', '.join(refused)}")
        elif not self.ready.done():
            self.ready.set_result(None)

    def _receive_publish(self, packet: Publish) -> None:
        if packet.qos == 2:
            self.abort("the broker sent QoS 2, which was never subscribed to")
            return
        self._stats.received += 1
        self._stats.received_dup += packet.dup
        delivery = Delivery(
            topic=packet.topic,
            payload=packet.payload,
            qos=packet.qos,
            dup=packet.dup,
            retain=packet.retain,
            epoch=self.epoch,
            packet_id=packet.packet_id,
            acknowledge=self._acknowledge if packet.qos else None,
        )
        if packet.qos:
            self._in_flight.append(delivery)
        self._session.delivered(delivery)

    def _acknowledge(self) -> None:
        if not self._is_open:
            self._stats.done_too_late += 1
            return
        while self._in_flight and self._in_flight[0].is_done:
            packet_id = self._in_flight.popleft().packet_id
            assert packet_id is not None
            self._stats.acked += 1
            self.send(Puback(packet_id))
        if self._is_reading_paused and len(self._in_flight) <= self._in_flight_max // 2:
            self._is_reading_paused = False
            self._has_heard = True
            if self._transport is not None:
                self._transport.resume_reading()

    # -- life ------------------------------------------------------------------------------------

    def _start_pinging(self) -> None:
        if self._connect.keep_alive_s:
            self._ping_timer = self._loop.call_later(self._connect.keep_alive_s / 2, self._ping)

    def _ping(self) -> None:
        """Twice per keep alive: ask, and give up if nothing at all came since the last question.

        While reading is paused silence says nothing; pings still go out, so that the broker keeps us.
        """
        if not self._has_heard and not self._is_reading_paused:
            self.abort(f"no answer to PINGREQ within {self._connect.keep_alive_s / 2:g} s")
            return
        self._has_heard = False
        self.send(Pingreq())
        self._start_pinging()

    def _refuse(self, what: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionRefused(what))
            self.ready.exception()
        self.abort(f"refused {what}")

    def _shut(self, reason: str) -> None:
        if self._ping_timer is not None:
            self._ping_timer.cancel()
            self._ping_timer = None
        if not self._reason:
            self._reason = reason or "aborted"
        self._is_open = False
        self._out.clear()
        self._in_flight.clear()
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self._reason))
            self.ready.exception()
