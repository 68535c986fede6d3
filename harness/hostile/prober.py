"""An MQTT client that may lie: every packet by hand, names that no library would send."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from contextlib import suppress
from typing import Final, Self, TypeVar

from server.wire.mqtt_codec import (
    Connack,
    Decoder,
    MalformedPacket,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
    encode,
)

ANSWER_WITHIN_S: Final = 10.0
NEVER: Final = 255
"""Instead of a CONNACK's return code: the broker closed without one."""

P = TypeVar("P", bound=Packet)


class ConnectionEnded(Exception):
    """The broker has closed."""


class Prober:
    """One connection. What is published to it is kept in `messages`; QoS 1 and 2 are acknowledged."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._packets: deque[Packet] = deque()
        self.messages: list[Publish] = []
        self.session_present = False

    @classmethod
    async def open(cls, host: str, port: int, tls: ssl.SSLContext | None = None, asked_for: str | None = None) -> Self:
        """Connected, nothing said; `asked_for` is the name that the certificate must have, else `host`.

        Raises OSError, also where TLS is refused.
        """
        return cls(*await asyncio.open_connection(host, port, ssl=tls, server_hostname=asked_for))

    def send(self, *packets: Packet) -> None:
        """Write packets."""
        self._writer.write(b"".join(map(encode, packets)))

    async def connect(
        self,
        client_id: bytes,
        user_name: bytes | None,
        password: bytes | None,
        *,
        clean: bool = True,
        will: Will | None = None,
    ) -> int:
        """CONNECT; the CONNACK's return code, or NEVER."""
        self._writer.write(connect_packet(client_id, user_name, password, clean=clean, will=will))
        try:
            connack = await self.expect(Connack)
        except ConnectionEnded:
            return NEVER
        self.session_present = connack.session_present
        return connack.return_code

    async def subscribe(self, topic_filter: str, qos: int) -> int:
        """The SUBACK's return code."""
        self.send(Subscribe(packet_id=1, filters=((topic_filter, qos),)))
        return (await self.expect(Suback)).return_codes[0]

    async def unsubscribe(self, topic_filter: str) -> None:
        """Returns after the UNSUBACK."""
        self.send(Unsubscribe(packet_id=2, filters=(topic_filter,)))
        await self.expect(Unsuback)

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Returns after the last acknowledgement of that QoS."""
        self.send(Publish(topic=topic, payload=payload, qos=qos, retain=retain, packet_id=3 if qos else None))
        if qos == 1:
            await self.expect(Puback)
        elif qos == 2:
            self.send(Pubrel((await self.expect(Pubrec)).packet_id))

    async def ping(self) -> None:
        """Returns once the broker has dealt with everything sent before. Raises ConnectionEnded."""
        self.send(Pingreq())
        await self.expect(Pingresp)

    async def until(self, payload: bytes) -> list[Publish]:
        """What came before the message with this payload, which is taken too."""
        while (at := next((at for at, known in enumerate(self.messages) if known.payload == payload), None)) is None:
            await self._read()
        got, self.messages = self.messages[:at], self.messages[at + 1 :]
        return got

    async def message(self) -> Publish:
        """The next message that was published to it."""
        while not self.messages:
            await self._read()
        return self.messages.pop(0)

    async def expect(self, kind: type[P]) -> P:
        """The next packet of a kind; messages are kept, others passed over. Raises ConnectionEnded."""
        while True:
            while self._packets:
                packet = self._packets.popleft()
                if isinstance(packet, kind):
                    return packet
            await self._read()

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                data = await self._reader.read(65_536)
        except OSError as error:
            raise ConnectionEnded(str(error)) from error
        if not data:
            raise ConnectionEnded("closed")
        try:
            packets = self._decoder.feed(data)
        except MalformedPacket as error:
            raise ConnectionEnded(str(error)) from error
        for packet in packets:
            match packet:
                case Publish(qos=1, packet_id=int(packet_id)):
                    self.send(Puback(packet_id))
                    self.messages.append(packet)
                case Publish(qos=2, packet_id=int(packet_id)):
                    self.send(Pubrec(packet_id))
                    self.messages.append(packet)
                case Publish():
                    self.messages.append(packet)
                case _:
                    self._packets.append(packet)

    def cut(self) -> None:
        """End it without DISCONNECT: the broker publishes the will."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """End it; what was written still leaves."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


def connect_packet(
    client_id: bytes, user_name: bytes | None, password: bytes | None, *, clean: bool, will: Will | None
) -> bytes:
    """CONNECT of MQTT 3.1.1 with any bytes for names."""
    flags = 2 * clean
    fields = [client_id]
    if will is not None:
        flags |= 4 | will.qos << 3 | will.retain << 5
        fields += [will.topic.encode(), will.payload]
    if user_name is not None:
        flags |= 128
        fields.append(user_name)
    if password is not None:
        flags |= 64
        fields.append(password)
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + (60).to_bytes(2, "big")
    body += b"".join(len(field).to_bytes(2, "big") + field for field in fields)
    return b"\x10" + _length(len(body)) + body


def _length(value: int) -> bytes:
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        out.append(digit | (128 if value else 0))
        if not value:
            return bytes(out)
