"""A broker and server for one purpose: a board that connects here is told to sleep, as a server tells one that has
nothing to do. So a bench gets a board to rest that it can neither switch off nor hold in reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from server.wire.codec import encode_reply
from server.wire.dialects import Dialect
from server.wire.errors import RemoteProtocolError
from server.wire.messages import Sleep
from server.wire.mqtt_codec import (
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
from server.wire.topics import Channel, parse_uplink, topic_of

READ_BYTES: Final = 4_096


REFUSED: Final = Connack(return_code=5)
"""What mosquitto says to a login that is missing or wrong, before it ends the connection."""


@dataclass(frozen=True, slots=True)
class Song:
    """What boards are told, and who may hear it: whoever has this login, as at the bench's broker; None: everybody."""

    dialect: Dialect
    next_wake: datetime
    login: tuple[str, str] | None
    note: Callable[[str], None]

    def is_for(self, hello: Connect) -> bool:
        """Whether the broker would take that login; takes as long for a wrong one as for the right one."""
        if self.login is None:
            return True
        user, password = (word.encode() for word in self.login)
        is_user = hmac.compare_digest((hello.username or "").encode(), user)
        return hmac.compare_digest(hello.password or b"", password) and is_user


async def lull(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, song: Song) -> None:
    """Answers one connection until it ends: every HELLO with `next_wake`, everything else with its acknowledgement."""
    with contextlib.suppress(OSError, MalformedPacket):
        await _sing(reader, writer, song)
    writer.close()


async def _sing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, song: Song) -> None:
    decoder = Decoder()
    is_known = False
    while data := await reader.read(READ_BYTES):
        for packet in decoder.feed(data):
            if isinstance(packet, Disconnect) or isinstance(packet, Connect) == is_known:
                return  # as a broker does where the first packet is no CONNECT, or a later one is
            if isinstance(packet, Connect) and not song.is_for(packet):
                song.note(f"refused {packet.client_id[:100]!r}: its login is not the one of this run")
                writer.write(encode(REFUSED))
                await writer.drain()
                return
            is_known = True
            for answer in _answers(packet, song):
                writer.write(encode(answer))
        await writer.drain()


def _answers(packet: Packet, song: Song) -> list[Packet]:
    match packet:
        case Connect():
            return [Connack()]
        case Subscribe(packet_id=number, filters=filters):
            return [Suback(packet_id=number, return_codes=tuple(qos for _, qos in filters))]
        case Pingreq():
            return [Pingresp()]
        case Publish(topic=topic, packet_id=number):
            acked: list[Packet] = [] if number is None else [Puback(number)]
            return acked + _told(topic, song.dialect, song.next_wake)
    return []


def _told(topic: str, dialect: Dialect, next_wake: datetime) -> list[Packet]:
    try:
        address = parse_uplink(topic)
    except RemoteProtocolError:
        return []
    if address.channel is not Channel.STATUS:
        return []
    device_id = topic.split("/")[1]
    channel, payload = encode_reply(Sleep(next_wake=next_wake), device_id, dialect)
    return [Publish(topic=topic_of(address.family, device_id, channel), payload=payload)]
