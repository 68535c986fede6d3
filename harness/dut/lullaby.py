"""A broker and server for one purpose: a board that connects here is told to sleep, as a server tells one that has
nothing to do. So a bench gets a board to rest that it can neither switch off nor hold in reset.
"""

from __future__ import annotations

import asyncio
import contextlib
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


async def lull(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dialect: Dialect, next_wake: datetime
) -> None:
    """Answers one connection until it ends: every HELLO with `next_wake`, everything else with its acknowledgement."""
    decoder = Decoder()
    with contextlib.suppress(OSError, MalformedPacket):
        while data := await reader.read(READ_BYTES):
            for packet in decoder.feed(data):
                if isinstance(packet, Disconnect):
                    break
                for answer in _answers(packet, dialect, next_wake):
                    writer.write(encode(answer))
            await writer.drain()
    writer.close()


def _answers(packet: Packet, dialect: Dialect, next_wake: datetime) -> list[Packet]:
    match packet:
        case Connect():
            return [Connack()]
        case Subscribe(packet_id=number, filters=filters):
            return [Suback(packet_id=number, return_codes=tuple(qos for _, qos in filters))]
        case Pingreq():
            return [Pingresp()]
        case Publish(topic=topic, packet_id=number):
            acked: list[Packet] = [] if number is None else [Puback(number)]
            return acked + _told(topic, dialect, next_wake)
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
