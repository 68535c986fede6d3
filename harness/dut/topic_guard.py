"""A board's login reaches its own topics alone, whatever its broker allows: asked by the gate, packet by packet. Pure.

Boards of a run share one login, and iotcore has no access rules. So the gate holds the table of `server.wire.access`: a
connection is known by its device's id, like at mosquitto with that table; a message on another's topic is acknowledged
and goes no further, a filter on one is answered with a failure, a will is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from server.wire.access import Role, may
from server.wire.mqtt_codec import SUBACK_FAILURE, Connect, Packet, Puback, Publish, Suback, Subscribe


class NotAllowed(Exception):
    """The connection ends here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What goes on to the broker, what the board is answered instead, and what there is to say of it."""

    onward: Packet | None = None
    answer: Packet | None = None
    note: str = ""


class TopicGuard:
    """For one connection of the device with this id."""

    def __init__(self, device_id: str) -> None:
        self._id = device_id
        self._denied: dict[int, tuple[bool, ...]] = {}

    def up(self, packet: Packet) -> Judged:
        """What the board sent. Raises NotAllowed for a QoS 2 message on another's topic, which has no short answer."""
        match packet:
            case Connect():
                return self._connect(packet)
            case Publish(topic=topic) if not may(Role.DEVICE, self._id, "publish", topic):
                note = f"{self._id} may not publish to {topic[:100]}"
                if packet.qos > 1:
                    raise NotAllowed(note)
                return Judged(answer=None if packet.packet_id is None else Puback(packet.packet_id), note=note)
            case Subscribe():
                return self._subscribe(packet)
            case _:
                return Judged(onward=packet)

    def _connect(self, packet: Connect) -> Judged:
        """Under the device's id, so that nobody takes over another's session."""
        own = replace(packet, client_id=self._id)
        if packet.will is None or may(Role.DEVICE, self._id, "publish", packet.will.topic):
            return Judged(onward=own)
        note = f"{self._id} may not have a will on {packet.will.topic[:100]}"
        return Judged(onward=replace(own, will=None), note=note)

    def _subscribe(self, packet: Subscribe) -> Judged:
        denied = tuple(not may(Role.DEVICE, self._id, "subscribe", wanted) for wanted, _ in packet.filters)
        if not any(denied):
            return Judged(onward=packet)
        refused = [wanted[:100] for (wanted, _), is_denied in zip(packet.filters, denied, strict=True) if is_denied]
        note = f"{self._id} may not subscribe to {', '.join(refused)}"
        if all(denied):
            failures = (SUBACK_FAILURE,) * len(denied)
            return Judged(answer=Suback(packet_id=packet.packet_id, return_codes=failures), note=note)
        self._denied[packet.packet_id] = denied
        allowed = tuple(each for each, is_denied in zip(packet.filters, denied, strict=True) if not is_denied)
        return Judged(onward=replace(packet, filters=allowed), note=note)

    def down(self, packet: Packet) -> Packet:
        """What the broker sent, as the board expects it: a SUBACK for all that it asked for."""
        if not isinstance(packet, Suback) or packet.packet_id not in self._denied:
            return packet
        codes = iter(packet.return_codes)
        denied = self._denied.pop(packet.packet_id)
        return replace(
            packet, return_codes=tuple(SUBACK_FAILURE if no else next(codes, SUBACK_FAILURE) for no in denied)
        )
