"""One awake camera of a fleet: drives a `Device` over a link, with one timer and no task for a message.

The device is the same state machine that scenarios use. Its timer is moved lazily: a deadline that moves away is looked
at when the old one has come.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from server.wire.codec import decode_reply
from server.wire.errors import RemoteProtocolError
from server.wire.messages import Done
from server.wire.topics import Channel
from simulator.device import Device
from simulator.device_states import State
from simulator.effects import (
    Captured,
    Connect,
    Disconnect,
    Effect,
    ImageReleased,
    Log,
    Publish,
    PublishChunks,
    SleepUntil,
)
from simulator.fleet_timers import Deadline
from simulator.link import FleetLink, LinkError

if TYPE_CHECKING:
    from simulator.fleet import Fleet

CONNECTING = frozenset({State.CONNECTING, State.JOINING})
WAITS: Final = {
    State.CONNECTING: "Wi-Fi",
    State.JOINING: "CONNACK and SUBACK",
    State.AWAITING_ANSWER: "an answer to HELLO",
    State.SENDING: "the PUBACK of what it sends",
    State.AWAITING_ACK: "the final ACK",
    State.LINGERING: "its time to sleep",
    State.HUNG: "its watchdog",
}


class FleetCamera:
    """From its wake to its sleep. `fleet` hears of captures, confirmed images, trouble and the end."""

    __slots__ = (
        "_armed_ms",
        "_fleet",
        "_incarnation",
        "_link",
        "_sent_to",
        "_strike",
        "_timer",
        "captured",
        "device",
        "index",
        "is_asleep",
        "released",
        "was_online",
        "woken_at_ms",
    )

    def __init__(self, fleet: Fleet, index: int, device: Device) -> None:
        self._fleet = fleet
        self.index = index
        self.device = device
        self.released = 0
        self.captured = 0
        self.woken_at_ms = fleet.now_ms()
        self.is_asleep = False
        self.was_online = False
        self._incarnation = 0
        self._strike = fleet.strike_of(index, device.wake_number + 1)
        self._sent_to = 0
        self._timer: Deadline | None = None
        self._armed_ms = 0
        self._link: FleetLink = fleet.new_link(index, self._message, self._lost)

    @property
    def is_connecting(self) -> bool:
        """Not online yet."""
        return self.device.state in CONNECTING

    @property
    def waits_for(self) -> str:
        """What it needs to go on, in words."""
        return WAITS.get(self.device.state, self.device.state.value)

    def wake(self) -> None:
        """Begin."""
        self._perform(self.device.wake(self.woken_at_ms, "timer"))

    def drop(self) -> None:
        """The fleet ends at once: nothing more is heard of it."""
        self._incarnation += 1
        self._disarm()
        self._link.cut()

    # -- effects -------------------------------------------------------------------------------------

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case PublishChunks():
                    self._sent_to = effect.first_index + effect.count
                    payloads = self._fleet.encoder.chunks(self.device.identity.device_id, effect)
                    self._post(self._fleet.encoder.data_topic(self.device.identity.device_id), payloads, effect.number)
                case Publish():
                    topic, payload = self._fleet.encoder.message(self.device.identity.device_id, effect.message)
                    self._post(topic, [payload], effect.number)
                case Connect():
                    self._fleet.start(self._connect(self._incarnation))
                case Captured():
                    self.captured += 1
                    self._fleet.captured(self.index, effect)
                case ImageReleased(sha256=sha256):
                    self.released += 1
                    self._fleet.released(self, sha256)
                case Disconnect(abrupt=abrupt):
                    self._incarnation += 1
                    if abrupt:
                        self._link.cut()
                    else:
                        self._fleet.leave(self._link)
                case SleepUntil():
                    self.is_asleep = True
                case Log(level=level, text=text):
                    if level != "info":
                        self._fleet.trouble(text)
                case _:
                    pass
        if self.is_asleep:
            self._disarm()
            self._fleet.slept(self)
        else:
            self._arm()

    def _post(self, topic: str, payloads: list[bytes], number: int) -> None:
        try:
            self._link.post(topic, payloads, partial(self._acked, self._incarnation, number))
        except LinkError as error:
            self._fleet.trouble(f"not sent: {error}")  # `_lost` or its own patience tells the device
        self._fleet.messages_sent += len(payloads)

    def _acked(self, incarnation: int, number: int) -> None:
        if incarnation != self._incarnation:
            return
        strike = self._strike
        if strike is not None and strike.kind != "lost_ack" and self._sent_to > strike.after_chunk:
            self._suffer(strike.kind)
        else:
            self._perform(self.device.sent(number, self._fleet.now_ms()))

    def _suffer(self, kind: str) -> None:
        """The fault of this wake strikes, once."""
        self._strike = None
        self._fleet.trouble(f"fault: {kind}")
        if kind == "power_loss":
            self._perform(self.device.power_loss(self._fleet.now_ms()))
        elif kind == "cut":
            self._incarnation += 1
            self._link.cut()
            self._perform(self.device.link_lost(self._fleet.now_ms()))

    # -- the link ------------------------------------------------------------------------------------

    async def _connect(self, incarnation: int) -> None:
        if self.device.state is State.CONNECTING:
            self._perform(self.device.wifi_up(self._fleet.now_ms()))
        try:
            await self._link.connect()
        except LinkError as error:
            if incarnation == self._incarnation:
                self._fleet.trouble(f"connect: {error}")
                self._perform(self.device.link_lost(self._fleet.now_ms()))
            return
        if incarnation == self._incarnation:
            if not self.was_online:
                self.was_online = True
                self._fleet.went_online()
            self._perform(self.device.link_up(self._fleet.now_ms()))
        else:
            self._link.cut()

    def _message(self, topic: str, payload: bytes) -> None:
        if self.is_asleep:
            return
        fleet = self._fleet
        now_ms = fleet.now_ms()
        try:
            channel = Channel(topic.split("/", 2)[2])
            moment = datetime.fromtimestamp(now_ms / 1000, UTC)
            message = decode_reply(channel, payload, moment, fleet.encoder.dialect)
        except RemoteProtocolError as error:
            fleet.trouble(f"not understood: {error.reason}")
            return
        if self._strike is not None and self._strike.kind == "lost_ack" and isinstance(message, Done):
            self._suffer("lost_ack")
            return
        self._perform(self.device.receive(message, now_ms))

    def _lost(self, reason: str) -> None:
        if not self.is_asleep:
            self._perform(self.device.link_lost(self._fleet.now_ms()))

    # -- its timer -----------------------------------------------------------------------------------

    def _arm(self) -> None:
        deadline_ms = self.device.deadline_ms
        if deadline_ms is None or (self._timer is not None and self._armed_ms <= deadline_ms):
            return
        self._disarm()
        self._armed_ms = deadline_ms
        self._timer = self._fleet.call_at(deadline_ms, self._due)

    def _due(self) -> None:
        self._timer = None
        now_ms = self._fleet.now_ms()
        deadline_ms = self.device.deadline_ms
        if deadline_ms is not None and deadline_ms <= now_ms:
            self._perform(self.device.tick(now_ms))
        elif not self.is_asleep:
            self._arm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
