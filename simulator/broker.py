"""A simulated MQTT 3.1.1 broker, sans-I/O: bytes and the time in, effects out. Deterministic; can be made to fail.

Theory. The driver owns the wires and numbers the connections. It calls `opened`, `received`, `closed` and, at
`deadline_ms`, `tick`, and carries out the effects in order. A session belongs to a client id and outlives its
connections unless it is clean; `broker_session` keeps what is on its way, `broker_exchange` decides who gets what. A
PUBLISH is acknowledged when it is accepted, also when a queue behind it is full: so do real brokers, and so messages
are lost. It is a verified fake: tests/conformance runs the same suite against it, mosquitto and iotcore.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

from server.wire.mqtt_codec import (
    UNSUPPORTED_LEVEL,
    Connack,
    Connect,
    Decoder,
    Disconnect,
    MalformedPacket,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
)
from simulator.broker_effects import (
    Access,
    Admitted,
    Authenticate,
    BrokerLimits,
    CloseConnection,
    Dropped,
    Effect,
    Routed,
    SendBytes,
)
from simulator.broker_exchange import Exchange
from simulator.broker_session import Message, Session

__all__ = [
    "Access",
    "Admitted",
    "Authenticate",
    "Broker",
    "BrokerLimits",
    "CloseConnection",
    "Dropped",
    "Effect",
    "Routed",
    "SendBytes",
    "Session",
]

CONNECT_TIMEOUT_MS: Final = 60_000
"""A connection that has not said CONNECT by then is closed."""

_DEFAULT_LIMITS: Final = BrokerLimits()


@dataclass(slots=True)
class _Connection:
    decoder: Decoder
    deadline_ms: int | None = None
    scheduled_ms: int | None = None
    """The one entry of `_deadlines` that counts for this connection; never later than `deadline_ms`."""
    session: Session | None = None
    keep_alive_ms: int = 0
    will: Will | None = None
    mount_point: str = ""


@dataclass(slots=True)
class _Frozen:
    """What came in while the broker stood still, in order: (connection, None = opened | bytes | True = closed)."""

    inbox: list[tuple[int, bytes | bool | None]] = field(default_factory=list)


class Broker:
    """All methods that take `now_ms` return effects; time only ever grows."""

    def __init__(
        self,
        *,
        limits: BrokerLimits = _DEFAULT_LIMITS,
        access: Access | None = None,
        authenticate: Authenticate | None = None,
        redelivers_with_dup: bool = True,
    ) -> None:
        self.authenticate = authenticate
        self.redelivers_with_dup = redelivers_with_dup
        self._exchange = Exchange(limits, access)
        self._connections: dict[int, _Connection] = {}
        self._deadlines: list[tuple[int, int]] = []
        self._frozen: _Frozen | None = None
        self._names_given = 0

    # -- driven by whoever owns the wires --------------------------------------------------------

    def opened(self, connection: int, now_ms: int) -> list[Effect]:
        """A client has connected; `connection` is a number not used before."""
        if self._frozen is not None:
            self._frozen.inbox.append((connection, None))
            return []
        decoder = Decoder(packet_size_bytes_max=self._exchange.limits.packet_size_bytes_max)
        link = self._connections[connection] = _Connection(decoder, now_ms + CONNECT_TIMEOUT_MS)
        self._schedule(connection, link)
        return []

    def received(self, connection: int, data: bytes, now_ms: int) -> list[Effect]:
        """Bytes came; unknown connections (closed by us a moment ago) are ignored."""
        if self._frozen is not None:
            self._frozen.inbox.append((connection, data))
            return []
        link = self._connections.get(connection)
        if link is None:
            return []
        malformed: MalformedPacket | None = None
        packets: Iterable[Packet]
        try:
            packets = link.decoder.feed(data)
        except MalformedPacket as error:
            packets, malformed = error.before, error
        for packet in packets:
            self._receive(connection, link, packet, now_ms)
            if connection not in self._connections:
                return self._exchange.taken()
        if malformed is not None:
            if malformed.reason == UNSUPPORTED_LEVEL and link.session is None:
                self._exchange.send(connection, Connack(return_code=1))
            self._close(connection, str(malformed))
        return self._exchange.taken()

    def closed(self, connection: int, now_ms: int) -> list[Effect]:
        """The wire is gone without DISCONNECT: publishes the will."""
        if self._frozen is not None:
            self._frozen.inbox.append((connection, True))
            return []
        self._forget(connection)
        return self._exchange.taken()

    def tick(self, now_ms: int) -> list[Effect]:
        """Close what was silent for one and a half times its keep alive (3.1.2.10)."""
        while self._frozen is None and self._deadlines and self._deadlines[0][0] <= now_ms:
            scheduled_ms, connection = heappop(self._deadlines)
            link = self._connections.get(connection)
            if link is None or link.scheduled_ms != scheduled_ms:
                continue
            link.scheduled_ms = None
            if link.deadline_ms is None or link.deadline_ms > now_ms:
                self._schedule(connection, link)
            else:
                self._close(connection, "keep alive" if link.session is not None else "no CONNECT")
        return self._exchange.taken()

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is due at the latest; it may then find that there is nothing to do."""
        if self._frozen is not None:
            return None
        while self._deadlines:
            scheduled_ms, connection = self._deadlines[0]
            link = self._connections.get(connection)
            if link is not None and link.scheduled_ms == scheduled_ms:
                break
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    # -- faults ----------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Stand still: nothing is read, sent or expired until `thaw`; what arrives waits."""
        if self._frozen is None:
            self._frozen = _Frozen()

    def thaw(self, now_ms: int) -> list[Effect]:
        """Go on with everything that arrived meanwhile, in order."""
        frozen, self._frozen = self._frozen, None
        effects: list[Effect] = []
        for connection, what in frozen.inbox if frozen is not None else ():
            if what is None:
                effects += self.opened(connection, now_ms)
            elif isinstance(what, bytes):
                effects += self.received(connection, what, now_ms)
            else:
                effects += self.closed(connection, now_ms)
        return effects

    def lose_sessions(self, client_id: str | None = None) -> list[Effect]:
        """Forget one session, or all of them and what is retained; their connections are closed, without wills."""
        for name in [client_id] if client_id is not None else list(self._exchange.sessions):
            session = self._exchange.sessions.get(name)
            if session is None:
                continue
            if session.connection is not None:
                self._connections[session.connection].will = None
                self._close(session.connection, "session lost")
            if name in self._exchange.sessions:
                self._exchange.drop_session(name)
        if client_id is None:
            self._exchange.forget_retained()
        return self._exchange.taken()

    def disconnect_all(self, reason: str) -> list[Effect]:
        """Close every connection without wills and keep the sessions, as a restart with persistence does."""
        for connection, link in list(self._connections.items()):
            link.will = None
            self._close(connection, reason)
        return self._exchange.taken()

    def limit_queues(self, messages: int | None) -> None:
        """From now on every session queues at most so many messages; None: as many as the limits say."""
        self._exchange.limit_queues(messages)

    def redeliver(self, client_id: str, *, dup: bool) -> list[Effect]:
        """Send everything in flight to a connected client once more, with or without DUP."""
        session = self._exchange.sessions.get(client_id)
        if session is not None and session.connection is not None:
            self._exchange.send(session.connection, *session.in_flight_again(dup=dup))
        return self._exchange.taken()

    # -- for judges ------------------------------------------------------------------------------

    def session(self, client_id: str) -> Session | None:
        """The session of a client id; look, don't touch."""
        return self._exchange.sessions.get(client_id)

    @property
    def client_ids(self) -> list[str]:
        """Clients that are connected now."""
        return [name for name, session in self._exchange.sessions.items() if session.connection is not None]

    @property
    def is_idle(self) -> bool:
        """Whether no message is on its way to anybody."""
        return self._frozen is None and all(session.is_empty for session in self._exchange.sessions.values())

    # -- packets ---------------------------------------------------------------------------------

    def _receive(self, connection: int, link: _Connection, packet: Packet, now_ms: int) -> None:
        session = link.session
        if session is None:
            if isinstance(packet, Connect):
                self._connect(connection, link, packet, now_ms)
            else:
                self._close(connection, f"{type(packet).__name__} before CONNECT")
            return
        link.deadline_ms = now_ms + link.keep_alive_ms if link.keep_alive_ms else None
        send = self._exchange.send
        match packet:
            case Publish():
                self._publish(connection, link, session, packet)
            case Puback(packet_id):
                send(connection, *session.acknowledged(packet_id, qos=1))
            case Pubrec(packet_id):
                send(connection, *session.received_by_client(packet_id))
            case Pubrel(packet_id):
                message = session.incoming_qos2.pop(packet_id, None)
                if message is not None:
                    self._exchange.route(message, client_id=session.client_id)
                send(connection, Pubcomp(packet_id))
            case Pubcomp(packet_id):
                send(connection, *session.acknowledged(packet_id, qos=2))
            case Subscribe():
                self._subscribe(connection, session, packet)
            case Unsubscribe():
                for topic_filter in packet.filters:
                    self._exchange.unsubscribe(session, topic_filter)
                send(connection, Unsuback(packet.packet_id))
            case Pingreq():
                send(connection, Pingresp())
            case Disconnect():
                link.will = None
                self._close(connection, "DISCONNECT")
            case _:
                self._close(connection, f"a client may not send {type(packet).__name__} here")

    def _connect(self, connection: int, link: _Connection, packet: Connect, now_ms: int) -> None:
        send = self._exchange.send
        if not packet.client_id and not packet.clean_session:
            send(connection, Connack(return_code=2))
            self._close(connection, "empty client id without clean session")
            return
        answer = self.authenticate(packet) if self.authenticate is not None else 0
        if isinstance(answer, int) and answer:
            send(connection, Connack(return_code=answer))
            self._close(connection, f"refused with return code {answer}")
            return
        if isinstance(answer, Admitted):
            client_id, link.mount_point = answer.client_id, answer.mount_point
        else:
            client_id = self._client_id_of(packet)
        before = self._exchange.sessions.get(client_id)
        if before is not None and before.connection is not None:
            self._close(before.connection, "taken over")
        session, is_present = self._exchange.open_session(
            client_id, is_clean=packet.clean_session, connection=connection
        )
        link.session = session
        link.will = packet.will
        link.keep_alive_ms = packet.keep_alive_s * 1500
        link.deadline_ms = now_ms + link.keep_alive_ms if link.keep_alive_ms else None
        self._schedule(connection, link)
        send(connection, Connack(session_present=is_present))
        send(connection, *session.resume(dup=self.redelivers_with_dup))

    def _client_id_of(self, packet: Connect) -> str:
        client_id = packet.client_id
        while not client_id or (not packet.client_id and client_id in self._exchange.sessions):
            self._names_given += 1
            client_id = f"auto-{self._names_given}"
        return client_id

    def _publish(self, connection: int, link: _Connection, session: Session, packet: Publish) -> None:
        topic = link.mount_point + packet.topic
        message = Message(topic=topic, payload=packet.payload, qos=packet.qos, retain=packet.retain)
        if packet.qos == 2:
            assert packet.packet_id is not None
            session.incoming_qos2[packet.packet_id] = message
            self._exchange.send(connection, Pubrec(packet.packet_id))
            return
        self._exchange.route(message, client_id=session.client_id, dup=packet.dup)
        if packet.packet_id is not None:
            self._exchange.send(connection, Puback(packet.packet_id))

    def _subscribe(self, connection: int, session: Session, packet: Subscribe) -> None:
        codes = tuple(self._exchange.subscribe(session, *wanted) for wanted in packet.filters)
        self._exchange.send(connection, Suback(packet_id=packet.packet_id, return_codes=codes))
        for (topic_filter, _), code in zip(packet.filters, codes, strict=True):
            if code <= 2:
                self._exchange.deliver_retained(session, topic_filter, code)

    def _schedule(self, connection: int, link: _Connection) -> None:
        if link.deadline_ms is not None and (link.scheduled_ms is None or link.deadline_ms < link.scheduled_ms):
            link.scheduled_ms = link.deadline_ms
            heappush(self._deadlines, (link.deadline_ms, connection))

    def _close(self, connection: int, reason: str) -> None:
        self._exchange.effects.append(CloseConnection(connection, reason))
        self._forget(connection)

    def _forget(self, connection: int) -> None:
        link = self._connections.pop(connection, None)
        if link is None or link.session is None:
            return
        session, will = link.session, link.will
        self._exchange.leave(session)
        if will is not None:
            topic = link.mount_point + will.topic
            message = Message(topic=topic, payload=will.payload, qos=will.qos, retain=will.retain)
            self._exchange.route(message, client_id=session.client_id)
