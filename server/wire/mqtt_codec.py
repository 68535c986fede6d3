"""MQTT 3.1.1 to bytes and back: `encode(packet)` and an incremental `Decoder`. No I/O, no clock.

Theory. A packet is a first byte (type in the high half, flags in the low), a length in 1 to 4 bytes of 7 bits each,
and a body. The decoder keeps at most one unfinished packet and gives out whole ones, so that what comes out never
depends on how the bytes were cut. It is strict: what the standard calls a protocol violation raises
`MalformedPacket`, with the good packets that stood before it, and the decoder stays broken, since nothing
after a bad length can be trusted. The encoder raises `LocalProtocolError`: what we send wrongly is our bug.

The same file serves the server's client, the simulated broker, the raw link and the fault proxy.
"""

from __future__ import annotations

from server.wire.mqtt_decode import PACKET_SIZE_BYTES_MAX, UNSUPPORTED_LEVEL, Decoder, MalformedPacket
from server.wire.mqtt_encode import PACKET_ID_MAX, encode, publish_head
from server.wire.mqtt_packets import (
    CONNACK_REASONS,
    SUBACK_FAILURE,
    Connack,
    Connect,
    Disconnect,
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

__all__ = [
    "CONNACK_REASONS",
    "PACKET_ID_MAX",
    "PACKET_SIZE_BYTES_MAX",
    "SUBACK_FAILURE",
    "UNSUPPORTED_LEVEL",
    "Connack",
    "Connect",
    "Decoder",
    "Disconnect",
    "MalformedPacket",
    "Packet",
    "Pingreq",
    "Pingresp",
    "Puback",
    "Pubcomp",
    "Publish",
    "Pubrec",
    "Pubrel",
    "Suback",
    "Subscribe",
    "Unsuback",
    "Unsubscribe",
    "Will",
    "encode",
    "publish_head",
]
