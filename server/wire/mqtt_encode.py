"""MQTT 3.1.1 packets to bytes. Anything the standard has no packet for raises LocalProtocolError: our bug."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from server.wire.errors import LocalProtocolError
from server.wire.mqtt_filters import is_valid_filter, is_valid_topic
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
)

PACKET_ID_MAX: Final = 65_535
"""Packet ids are 16 bits, and 0 is not one (2.3.1)."""

_BODY_SIZE_BYTES_MAX: Final = 268_435_455
_STRING_SIZE_BYTES_MAX: Final = 65_535
_PROTOCOL_LEVEL: Final = 4
_PROTOCOL: Final = b"\x00\x04MQTT"


def encode(packet: Packet) -> bytes:
    """The packet's bytes; LocalProtocolError when the standard has no such packet."""
    return _ENCODERS[type(packet)](packet)


def _frame(first: int, body: bytes) -> bytes:
    length = len(body)
    if length < 128:
        return bytes((first, length)) + body
    if length > _BODY_SIZE_BYTES_MAX:
        raise LocalProtocolError(f"packet of {length} bytes; MQTT ends at {_BODY_SIZE_BYTES_MAX}")
    head = bytearray((first,))
    while length >= 128:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + body


def _string(text: str) -> bytes:
    if "\0" in text:
        raise LocalProtocolError("a string may not contain U+0000")
    try:
        return _binary(text.encode())
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"a string must be UTF-8: {error}") from error


def _binary(data: bytes) -> bytes:
    if len(data) > _STRING_SIZE_BYTES_MAX:
        raise LocalProtocolError(f"a string of {len(data)} bytes; MQTT ends at {_STRING_SIZE_BYTES_MAX}")
    return len(data).to_bytes(2, "big") + data


def _packet_id(packet_id: int | None) -> bytes:
    if packet_id is None or not 0 < packet_id <= PACKET_ID_MAX:
        raise LocalProtocolError(f"packet id {packet_id}; must be 1 to {PACKET_ID_MAX}")
    return packet_id.to_bytes(2, "big")


def _checked_qos(qos: int) -> int:
    if qos not in (0, 1, 2):
        raise LocalProtocolError(f"QoS {qos}; must be 0, 1 or 2")
    return qos


def _encode_connect(packet: Connect) -> bytes:
    if not packet.client_id and not packet.clean_session:
        raise LocalProtocolError("an empty client id needs a clean session")
    if packet.password is not None and packet.username is None:
        raise LocalProtocolError("a password needs a user name")
    if not 0 <= packet.keep_alive_s <= 65_535:
        raise LocalProtocolError(f"keep alive of {packet.keep_alive_s} s; must be 0 to 65535")
    flags = 0x02 if packet.clean_session else 0
    tail = _string(packet.client_id)
    if packet.will is not None:
        if not is_valid_topic(packet.will.topic):
            raise LocalProtocolError(f"will topic {packet.will.topic!r} is no topic name")
        flags |= 0x04 | _checked_qos(packet.will.qos) << 3 | (0x20 if packet.will.retain else 0)
        tail += _string(packet.will.topic) + _binary(packet.will.payload)
    if packet.username is not None:
        flags |= 0x80
        tail += _string(packet.username)
    if packet.password is not None:
        flags |= 0x40
        tail += _binary(packet.password)
    head = _PROTOCOL + bytes((_PROTOCOL_LEVEL, flags)) + packet.keep_alive_s.to_bytes(2, "big")
    return _frame(0x10, head + tail)


def _encode_connack(packet: Connack) -> bytes:
    if packet.return_code not in CONNACK_REASONS or (packet.session_present and packet.return_code):
        raise LocalProtocolError(f"no such CONNACK: {packet}")
    return bytes((0x20, 2, packet.session_present, packet.return_code))


def _encode_publish(packet: Publish) -> bytes:
    qos = _checked_qos(packet.qos)
    if not is_valid_topic(packet.topic):
        raise LocalProtocolError(f"{packet.topic!r} is no topic name")
    first = 0x30 | qos << 1
    if packet.retain:
        first |= 1
    if packet.dup:
        first |= 8
    if qos:
        return _frame(first, _string(packet.topic) + _packet_id(packet.packet_id) + packet.payload)
    if packet.dup or packet.packet_id is not None:
        raise LocalProtocolError("QoS 0 has neither DUP nor a packet id")
    return _frame(first, _string(packet.topic) + packet.payload)


def publish_head(topic: str, payload_size_bytes: int) -> bytes:
    """The bytes of a QoS 1 PUBLISH before its packet id (two bytes) and payload; one head serves many messages."""
    if not is_valid_topic(topic):
        raise LocalProtocolError(f"{topic!r} is no topic name")
    name = _string(topic)
    length = len(name) + 2 + payload_size_bytes
    if length > _BODY_SIZE_BYTES_MAX:
        raise LocalProtocolError(f"packet of {length} bytes; MQTT ends at {_BODY_SIZE_BYTES_MAX}")
    head = bytearray(b"\x32")
    while length >= 128:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + name


def _encode_subscribe(packet: Subscribe) -> bytes:
    if not packet.filters:
        raise LocalProtocolError("SUBSCRIBE without a filter")
    body = _packet_id(packet.packet_id)
    for topic_filter, qos in packet.filters:
        if not is_valid_filter(topic_filter):
            raise LocalProtocolError(f"{topic_filter!r} is no topic filter")
        body += _string(topic_filter) + bytes((_checked_qos(qos),))
    return _frame(0x82, body)


def _encode_suback(packet: Suback) -> bytes:
    if not packet.return_codes or any(code not in (0, 1, 2, SUBACK_FAILURE) for code in packet.return_codes):
        raise LocalProtocolError(f"no such SUBACK: {packet}")
    return _frame(0x90, _packet_id(packet.packet_id) + bytes(packet.return_codes))


def _encode_unsubscribe(packet: Unsubscribe) -> bytes:
    if not packet.filters or not all(is_valid_filter(topic_filter) for topic_filter in packet.filters):
        raise LocalProtocolError(f"no such UNSUBSCRIBE: {packet}")
    return _frame(0xA2, _packet_id(packet.packet_id) + b"".join(map(_string, packet.filters)))


def _encode_id_only(first: int) -> Callable[[Puback | Pubrec | Pubrel | Pubcomp | Unsuback], bytes]:
    head = bytes((first, 2))
    return lambda packet: head + _packet_id(packet.packet_id)


_ENCODERS: Final[dict[type[Packet], Callable[..., bytes]]] = {
    Connect: _encode_connect,
    Connack: _encode_connack,
    Publish: _encode_publish,
    Puback: _encode_id_only(0x40),
    Pubrec: _encode_id_only(0x50),
    Pubrel: _encode_id_only(0x62),
    Pubcomp: _encode_id_only(0x70),
    Subscribe: _encode_subscribe,
    Suback: _encode_suback,
    Unsubscribe: _encode_unsubscribe,
    Unsuback: _encode_id_only(0xB0),
    Pingreq: lambda packet: b"\xc0\x00",
    Pingresp: lambda packet: b"\xd0\x00",
    Disconnect: lambda packet: b"\xe0\x00",
}
