"""A broker and a server in one that keep nothing: every device gets its answers at once. What is left is the device.

Run as a process: prints its port, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Final, cast

from server.wire.codec import decode, encode_reply
from server.wire.dialects import DIALECTS, Dialect
from server.wire.messages import Capture, Done, Hello, Metadata, ServerMessage
from server.wire.mqtt_codec import (
    Connack,
    Connect,
    Decoder,
    Disconnect,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    encode,
)
from server.wire.topics import Family, topic_of

_NEXT_WAKE: Final = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
_DIALECT: Final = DIALECTS["v3.5.0"]


class SinkConnection(asyncio.Protocol):
    """One device. Chunks are counted, not read."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._transport: asyncio.Transport | None = None
        self._left = 0
        self._name = ""
        self._mac = ""
        self._last_id = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        out: list[bytes] = []
        for packet in self._decoder.feed(data):
            match packet:
                case Publish():
                    out.append(encode(Puback(packet.packet_id or 1)))
                    self._published(packet, out)
                case Connect():
                    out.append(encode(Connack()))
                case Subscribe(packet_id=packet_id, filters=filters):
                    out.append(encode(Suback(packet_id=packet_id, return_codes=tuple(qos for _, qos in filters))))
                case Pingreq():
                    out.append(encode(Pingresp()))
                case Disconnect():
                    self._transport.close()
                case _:
                    pass
        if out:
            self._transport.write(b"".join(out))

    def _published(self, packet: Publish, out: list[bytes]) -> None:
        if self._left:
            self._left -= 1
            if not self._left:
                self._say(Done(image_name=self._name, next_wake=_NEXT_WAKE), out)
            return
        address, message = decode(packet.topic, packet.payload)
        self._mac = address.device_id
        match message:
            case Hello():
                self._say(Capture(), out)
            case Metadata(image_name=name, total_chunks=count):
                self._name, self._left = name, count
            case _:
                pass

    def _say(self, message: ServerMessage, out: list[bytes], dialect: Dialect = _DIALECT) -> None:
        channel, payload = encode_reply(message, self._mac, dialect)
        self._last_id = self._last_id % 65_000 + 1
        topic = topic_of(Family.ESP32CAM, self._mac, channel)
        out.append(encode(Publish(topic=topic, payload=payload, qos=1, packet_id=self._last_id)))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), over.set)
    server = await loop.create_server(SinkConnection, "127.0.0.1", 0, backlog=1_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await over.wait()
    server.close()


def main() -> int:
    """Serves until standard input ends."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve())
        return 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
