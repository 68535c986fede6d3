"""The inside of the simulated broker: sessions, retained messages, and the way of a message to them. Pure."""

from __future__ import annotations

from server.wire.mqtt_codec import SUBACK_FAILURE, Packet, encode
from server.wire.mqtt_filters import matches, split_shared
from simulator.broker_effects import Access, BrokerLimits, Dropped, Effect, Routed, SendBytes
from simulator.broker_routes import Routes
from simulator.broker_session import Message, Session


class Exchange:
    """Effects gather in `effects`; `taken` hands them out."""

    def __init__(self, limits: BrokerLimits, access: Access | None) -> None:
        self.limits = limits
        self.access = access
        self.sessions: dict[str, Session] = {}
        self.effects: list[Effect] = []
        self._routes = Routes()
        self._retained: dict[str, Message] = {}
        self._queue_max = limits.queue_max

    def taken(self) -> list[Effect]:
        """The effects so far; they are the caller's now."""
        effects, self.effects = self.effects, []
        return effects

    def send(self, connection: int, *packets: Packet) -> None:
        """Write packets to one connection, at once."""
        if packets:
            self.effects.append(SendBytes(connection, b"".join(map(encode, packets))))

    def may(self, client_id: str, action: str, topic: str) -> bool:
        """Whether the access rules let a client do that; without rules everything is allowed."""
        return self.access is None or self.access(client_id, action, topic)

    # -- sessions --------------------------------------------------------------------------------

    def open_session(self, client_id: str, *, is_clean: bool, connection: int) -> tuple[Session, bool]:
        """The session for a CONNECT, and whether it was there before."""
        session = self.sessions.get(client_id)
        if session is not None and (is_clean or session.is_clean):
            self.drop_session(client_id)
            session = None
        is_present = session is not None
        if session is None:
            session = Session(
                client_id=client_id,
                is_clean=is_clean,
                in_flight_max=self.limits.in_flight_max,
                queue_max=self._queue_max,
            )
            self.sessions[client_id] = session
        session.connection = connection
        return session, is_present

    def limit_queues(self, messages: int | None) -> None:
        """Every session queues at most so many messages; what waits already stays. None: the limits' own number."""
        self._queue_max = self.limits.queue_max if messages is None else messages
        for session in self.sessions.values():
            session.queue_max = self._queue_max

    def leave(self, session: Session) -> None:
        """The client is away; a clean session ends with it."""
        session.connection = None
        if session.is_clean:
            self.drop_session(session.client_id)

    def drop_session(self, client_id: str) -> None:
        """Forget a session; what it had from a share group goes to another member."""
        session = self.sessions.pop(client_id)
        for topic_filter in session.subscriptions:
            self._routes.remove(client_id, topic_filter)
        for message in session.undelivered():
            if message.share is not None:
                self._deliver_shared(message.share, message)

    # -- subscriptions ---------------------------------------------------------------------------

    def subscribe(self, session: Session, topic_filter: str, qos: int) -> int:
        """Returns the SUBACK code."""
        if not self.may(session.client_id, "subscribe", topic_filter):
            return SUBACK_FAILURE
        granted = min(qos, self.limits.qos_max)
        session.subscriptions[topic_filter] = granted
        self._routes.add(session.client_id, topic_filter, granted)
        return granted

    def unsubscribe(self, session: Session, topic_filter: str) -> None:
        """Nothing more from this filter; what is on its way still comes."""
        session.subscriptions.pop(topic_filter, None)
        self._routes.remove(session.client_id, topic_filter)

    def deliver_retained(self, session: Session, topic_filter: str, qos: int) -> None:
        """What a new subscription gets at once; share groups get nothing retained."""
        if split_shared(topic_filter)[0] is not None:
            return
        if topic_filter in self._retained:
            found = [self._retained[topic_filter]]
        elif "+" in topic_filter or "#" in topic_filter:
            found = [kept for topic, kept in self._retained.items() if matches(topic_filter, topic)]
        else:
            found = []
        for kept in found:
            message = Message(topic=kept.topic, payload=kept.payload, qos=min(kept.qos, qos), retain=True)
            self._deliver(session, message)

    # -- messages --------------------------------------------------------------------------------

    def route(self, message: Message, *, client_id: str, dup: bool = False) -> None:
        """Accept a message from a client and send it to everyone who subscribed."""
        topic = message.topic
        if not self.may(client_id, "publish", topic):
            self.effects.append(Dropped(topic=topic, client_id=client_id, reason="not allowed to publish"))
            return
        self.effects.append(
            Routed(
                topic=topic,
                payload=message.payload,
                qos=message.qos,
                client_id=client_id,
                retain=message.retain,
                dup=dup,
            )
        )
        if message.retain:
            if message.payload:
                self._retained[topic] = message
            else:
                self._retained.pop(topic, None)
        for name, granted in self._routes.plain(topic).items():
            copy = Message(topic=topic, payload=message.payload, qos=min(message.qos, granted))
            self._deliver(self.sessions[name], copy)
        for share in self._routes.shared(topic):
            self._deliver_shared(share, Message(topic=topic, payload=message.payload, qos=message.qos, share=share))

    def forget_retained(self) -> None:
        """As a restart without persistence does."""
        self._retained.clear()

    def _deliver_shared(self, share: str, message: Message) -> None:
        """To the next member that is there; if nobody is, to the next one whose session waits for it."""
        group = self._routes.group(share)
        names = group.in_turn() if group is not None else []
        if not self.limits.shares_with_absent:
            names.sort(key=lambda name: self.sessions[name].connection is None)
        for name in names:
            assert group is not None
            copy = Message(
                topic=message.topic,
                payload=message.payload,
                qos=min(message.qos, group.members[name]),
                share=share,
            )
            if self._deliver(self.sessions[name], copy, is_last=False):
                group.last = name
                return
        self.effects.append(Dropped(topic=message.topic, client_id=share, reason="no member takes it"))

    def _deliver(self, session: Session, message: Message, *, is_last: bool = True) -> bool:
        if not self.may(session.client_id, "receive", message.topic):
            return False
        packets = session.deliver(message)
        if packets is None:
            if is_last:
                reason = "queue full" if message.qos else "offline"
                self.effects.append(Dropped(topic=message.topic, client_id=session.client_id, reason=reason))
            return False
        if packets and session.connection is not None:
            self.send(session.connection, *packets)
        return True
