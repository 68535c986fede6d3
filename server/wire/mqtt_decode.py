"""Bytes to MQTT 3.1.1 packets, incrementally and strictly. Anything wrong raises MalformedPacket: the peer's fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from server.wire.errors import RemoteProtocolError
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
    Will,
)

PACKET_SIZE_BYTES_MAX: Final = 16_777_216
"""Largest packet that is read (bytes): above every payload of the field; iotcore's own default is 10 MB."""

UNSUPPORTED_LEVEL: Final = "mqtt_level"
"""Reason of a CONNECT for another MQTT version, which a broker answers with return code 1."""


class MalformedPacket(RemoteProtocolError):
    """The peer's bytes are not MQTT 3.1.1; `before` holds the good packets of the same feed."""

    def __init__(self, reason: str, detail: str, before: tuple[Packet, ...] = ()) -> None:
        super().__init__(reason, detail)
        self.before = before


class Decoder:
    """Bytes in, whole packets out. Raises MalformedPacket at the first violation, and then for ever."""

    def __init__(self, *, packet_size_bytes_max: int = PACKET_SIZE_BYTES_MAX) -> None:
        self._limit_bytes = packet_size_bytes_max
        self._rest = bytearray()
        self._needed_bytes = 0
        self._error: MalformedPacket | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> list[Packet]:
        """Every packet that these bytes complete, in order."""
        if self._error is not None:
            raise MalformedPacket(self._error.reason, self._error.detail)
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed_bytes:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        elif not isinstance(data, bytes):
            data = bytes(data)
        packets: list[Packet] = []
        try:
            at = self._read_all(data, packets)
        except MalformedPacket as error:
            self._error = error
            error.before = tuple(packets)
            raise
        if at < len(data):
            self._rest += data[at:]
        return packets

    @property
    def is_between_packets(self) -> bool:
        """Whether no unfinished packet is held: a peer that closes now has cut nothing."""
        return not self._rest

    def _read_all(self, data: bytes, packets: list[Packet]) -> int:
        """Append each whole packet; returns where the unfinished rest starts."""
        at = 0
        end = len(data)
        while end - at >= 2:
            length = data[at + 1]
            start = at + 2
            if length >= 128:
                length &= 0x7F
                shift = 7
                while start < end:
                    byte = data[start]
                    start += 1
                    length |= (byte & 0x7F) << shift
                    shift += 7
                    if byte < 128:
                        break
                    if shift == 28:
                        raise MalformedPacket("mqtt_length", "remaining length has more than four bytes")
                else:
                    self._needed_bytes = end - at + 1
                    return at
            stop = start + length
            if stop - at > self._limit_bytes:
                raise MalformedPacket("mqtt_too_large", f"packet of {stop - at} bytes, limit {self._limit_bytes}")
            if stop > end:
                _check_type(data[at])
                self._needed_bytes = stop - at
                return at
            packets.append(_decode(data[at], data, start, stop))
            at = stop
        self._needed_bytes = 2
        return at


def _check_type(first: int) -> None:
    if first & 0xF0 != 0x30 and first not in _DECODERS:
        raise MalformedPacket("mqtt_type", f"no packet starts with 0x{first:02x}")


def _decode(first: int, data: bytes, start: int, stop: int) -> Packet:
    if first & 0xF0 == 0x30:
        return _decode_publish(first, data, start, stop)
    _check_type(first)
    return _DECODERS[first](data[start:stop])


def _decode_publish(first: int, data: bytes, start: int, stop: int) -> Publish:
    qos = first >> 1 & 3
    if qos == 3 or (first & 8 and not qos):
        raise MalformedPacket("mqtt_flags", f"PUBLISH with flags 0x{first & 15:x}")
    body = start + 2
    after_topic = body + (data[start] << 8 | data[start + 1]) if body <= stop else stop + 1
    payload_start = after_topic + 2 if qos else after_topic
    if payload_start > stop:
        raise MalformedPacket("mqtt_cut_short", "PUBLISH ends inside its header")
    topic = _text(data[body:after_topic])
    if not is_valid_topic(topic):
        raise MalformedPacket("mqtt_topic", f"PUBLISH to {topic[:80]!r}")
    packet_id = None
    if qos:
        packet_id = data[after_topic] << 8 | data[after_topic + 1]
        if not packet_id:
            raise MalformedPacket("mqtt_packet_id", "PUBLISH with packet id 0")
    return Publish(
        topic=topic,
        payload=data[payload_start:stop],
        qos=qos,
        retain=first & 1 == 1,
        dup=first & 8 == 8,
        packet_id=packet_id,
    )


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedPacket("mqtt_utf8", f"a string is not UTF-8: {error}") from error
    if "\0" in text:
        raise MalformedPacket("mqtt_utf8", "a string contains U+0000")
    return text


class _Body:
    """Reads one packet's body from front to back."""

    def __init__(self, name: str, data: bytes) -> None:
        self._name = name
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) < count:
            raise MalformedPacket("mqtt_cut_short", f"{self._name} ends inside a field")
        self._at += count
        return piece

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def packet_id(self) -> int:
        packet_id = self.number()
        if not packet_id:
            raise MalformedPacket("mqtt_packet_id", f"{self._name} with packet id 0")
        return packet_id

    def binary(self) -> bytes:
        return self.take(self.number())

    def string(self) -> str:
        return _text(self.binary())

    @property
    def has_more(self) -> bool:
        return self._at < len(self._data)

    def end(self) -> None:
        if self.has_more:
            raise MalformedPacket("mqtt_too_long", f"{self._name} has {len(self._data) - self._at} bytes too many")


def _decode_connect(data: bytes) -> Connect:
    body = _Body("CONNECT", data)
    name = body.binary()
    level = body.byte()
    if name not in (b"MQTT", b"MQIsdp"):
        raise MalformedPacket("mqtt_protocol_name", f"CONNECT for {name[:16]!r}")
    if name != b"MQTT" or level != 4:
        raise MalformedPacket(UNSUPPORTED_LEVEL, f"CONNECT for {name.decode()} level {level}; only MQTT 3.1.1 here")
    flags = body.byte()
    will_qos = flags >> 3 & 3
    has_will = bool(flags & 0x04)
    if flags & 1 or will_qos == 3 or (not has_will and flags & 0x38) or (flags & 0x40 and not flags & 0x80):
        raise MalformedPacket("mqtt_flags", f"CONNECT with flags 0x{flags:02x}")
    keep_alive_s = body.number()
    client_id = body.string()
    will = None
    if has_will:
        topic = body.string()
        if not is_valid_topic(topic):
            raise MalformedPacket("mqtt_topic", f"will to {topic[:80]!r}")
        will = Will(topic=topic, payload=body.binary(), qos=will_qos, retain=bool(flags & 0x20))
    username = body.string() if flags & 0x80 else None
    password = body.binary() if flags & 0x40 else None
    body.end()
    return Connect(
        client_id=client_id,
        clean_session=bool(flags & 0x02),
        keep_alive_s=keep_alive_s,
        username=username,
        password=password,
        will=will,
    )


def _decode_connack(data: bytes) -> Connack:
    body = _Body("CONNACK", data)
    flags, code = body.byte(), body.byte()
    body.end()
    if flags > 1 or code not in CONNACK_REASONS or (flags and code):
        raise MalformedPacket("mqtt_flags", f"CONNACK with flags {flags} and code {code}")
    return Connack(session_present=bool(flags), return_code=code)


def _decode_subscribe(data: bytes) -> Subscribe:
    body = _Body("SUBSCRIBE", data)
    packet_id = body.packet_id()
    filters: list[tuple[str, int]] = []
    while body.has_more or not filters:
        topic_filter, qos = body.string(), body.byte()
        if qos > 2 or not is_valid_filter(topic_filter):
            raise MalformedPacket("mqtt_filter", f"SUBSCRIBE to {topic_filter[:80]!r} with QoS {qos}")
        filters.append((topic_filter, qos))
    return Subscribe(packet_id=packet_id, filters=tuple(filters))


def _decode_suback(data: bytes) -> Suback:
    body = _Body("SUBACK", data)
    packet_id = body.packet_id()
    codes = tuple(data[2:])
    if not codes or any(code not in (0, 1, 2, SUBACK_FAILURE) for code in codes):
        raise MalformedPacket("mqtt_flags", f"SUBACK with codes {list(codes[:8])}")
    return Suback(packet_id=packet_id, return_codes=codes)


def _decode_unsubscribe(data: bytes) -> Unsubscribe:
    body = _Body("UNSUBSCRIBE", data)
    packet_id = body.packet_id()
    filters: list[str] = []
    while body.has_more or not filters:
        topic_filter = body.string()
        if not is_valid_filter(topic_filter):
            raise MalformedPacket("mqtt_filter", f"UNSUBSCRIBE from {topic_filter[:80]!r}")
        filters.append(topic_filter)
    return Unsubscribe(packet_id=packet_id, filters=tuple(filters))


_PacketWithId = Puback | Pubrec | Pubrel | Pubcomp | Unsuback


def _decode_id_only(kind: type[_PacketWithId]) -> Callable[[bytes], _PacketWithId]:
    def decode(data: bytes) -> _PacketWithId:
        body = _Body(kind.__name__.upper(), data)
        packet_id = body.packet_id()
        body.end()
        return kind(packet_id)

    return decode


_PacketWithoutBody = Pingreq | Pingresp | Disconnect


def _decode_empty(kind: type[_PacketWithoutBody]) -> Callable[[bytes], _PacketWithoutBody]:
    def decode(data: bytes) -> _PacketWithoutBody:
        _Body(kind.__name__.upper(), data).end()
        return kind()

    return decode


_DECODERS: Final[dict[int, Callable[[bytes], Packet]]] = {
    0x10: _decode_connect,
    0x20: _decode_connack,
    0x40: _decode_id_only(Puback),
    0x50: _decode_id_only(Pubrec),
    0x62: _decode_id_only(Pubrel),
    0x70: _decode_id_only(Pubcomp),
    0x82: _decode_subscribe,
    0x90: _decode_suback,
    0xA2: _decode_unsubscribe,
    0xB0: _decode_id_only(Unsuback),
    0xC0: _decode_empty(Pingreq),
    0xD0: _decode_empty(Pingresp),
    0xE0: _decode_empty(Disconnect),
}
