"""A link on the project's own codec and asyncio transports: fast, and runs on a virtual loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final, cast

from server.wire.mqtt_codec import (
    CONNACK_REASONS,
    SUBACK_FAILURE,
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
    publish_head,
)
from simulator.link import LinkError, LinkSettings, OnLost, OnMessage

_SUBSCRIBE_PACKET_ID: Final = 65_535
_TORN_PACKET_ID: Final = 65_534
DISCONNECT_WAIT_S_MAX: Final = 1.0
"""Longest that `disconnect` waits for the broker to close; a device that goes to sleep has no more patience."""

_LINGER_NONE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with 0 s: closing sends RST instead of FIN."""


class RawLink:
    """See `Link`. Publishes may overlap; each waits for its own PUBACK."""

    def __init__(self, settings: LinkSettings, on_message: OnMessage, on_lost: OnLost) -> None:
        self._settings = settings
        self._on_message = on_message
        self._on_lost = on_lost
        self._wire: _Wire | None = None
        self._leaving: _Wire | None = None

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection that the broker has accepted."""
        return self._wire is not None and self._wire.is_accepted

    async def connect(self) -> None:
        """CONNECT and SUBSCRIBE; returns after the SUBACK. Raises LinkError."""
        if self._wire is not None:
            raise LinkError("already connected")
        settings = self._settings
        loop = asyncio.get_running_loop()
        wire = self._wire = _Wire(self, settings)
        try:
            async with asyncio.timeout(settings.ack_timeout_s):
                source = None if settings.source_host is None else (settings.source_host, 0)
                await loop.create_connection(
                    lambda: wire, settings.host, settings.port, ssl=settings.tls, local_addr=source
                )
                await wire.ready
        except TimeoutError as error:
            self._end("timeout")
            raise LinkError(f"no answer from the broker within {settings.ack_timeout_s:g} s") from error
        except OSError as error:
            self._end("no connection")
            raise LinkError(str(error)) from error
        except BaseException:
            self._end("connect failed")
            raise

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1) -> None:
        """Send a message; with QoS 1 returns after the PUBACK. Raises LinkError when that can't be known."""
        wire = self._wire
        if wire is None or not wire.is_accepted:
            raise LinkError("not connected")
        if qos == 0:
            wire.send(Publish(topic=topic, payload=payload))
            return
        packet_id, acked = wire.expect_puback()
        try:
            wire.send(Publish(topic=topic, payload=payload, qos=qos, packet_id=packet_id))
            async with asyncio.timeout(self._settings.ack_timeout_s):
                await acked
        except TimeoutError as error:
            raise LinkError(f"no PUBACK within {self._settings.ack_timeout_s:g} s") from error
        finally:
            wire.forget(packet_id)

    def post(self, topic: str, payloads: Sequence[bytes], on_acked: Callable[[], None]) -> None:
        """See `FleetLink`: all of them leave in one write."""
        wire = self._wire
        if wire is None or not wire.is_accepted:
            raise LinkError("not connected")
        wire.post(topic, payloads, on_acked)

    def publish_part(self, topic: str, payload: bytes) -> None:
        """The first half of a PUBLISH and nothing more: the power goes while it is sent. Raises LinkError."""
        packet = encode(Publish(topic=topic, payload=payload, qos=1, packet_id=_TORN_PACKET_ID))
        self.send_packet(packet[: len(packet) // 2])

    def publish_as(self, topic: str, payload: bytes, *, packet_id: int, dup: bool = False) -> None:
        """QoS 1 under an id and with a DUP flag that may be wrong; nobody waits for the PUBACK. Raises LinkError."""
        self.send_packet(encode(Publish(topic=topic, payload=payload, qos=1, packet_id=packet_id, dup=dup)))

    def send_packet(self, data: bytes) -> None:
        """Write any bytes at all, for what a proper client would not send. Raises LinkError when not connected."""
        if self._wire is None or not self._wire.write(data):
            raise LinkError("not connected")

    async def disconnect(self) -> None:
        """Leave cleanly: DISCONNECT. Does nothing when not connected."""
        wire, self._wire = self._wire, None
        if wire is None:
            return
        wire.leave()
        try:
            async with asyncio.timeout(DISCONNECT_WAIT_S_MAX):
                await wire.gone.wait()
        except TimeoutError:
            wire.abort("the broker did not close")

    def leave(self, on_left: Callable[[], None]) -> None:
        """See `FleetLink`; `cut` ends the wait for a broker that does not close."""
        wire, self._wire = self._wire, None
        if wire is None:
            on_left()
            return
        self._leaving = wire
        wire.on_gone = on_left
        wire.leave()

    def cut(self) -> None:
        """Drop the connection with RST: nothing more is sent, publishes under way raise LinkError."""
        self._end("cut")
        if self._leaving is not None:
            self._leaving.abort("cut")

    def received(self, wire: _Wire, topic: str, payload: bytes) -> None:
        """A message of the present connection."""
        if wire is self._wire:
            self._on_message(topic, payload)

    def lost(self, wire: _Wire, reason: str) -> None:
        """The connection ended; told on only if it was not the owner who ended it."""
        if wire is self._wire:
            was_accepted = wire.was_ready
            self._wire = None
            if was_accepted:
                self._on_lost(reason)

    def _end(self, reason: str) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.abort(reason)


class _Posted:
    """Messages under way together, and who wants to know."""

    __slots__ = ("left", "on_acked")

    def __init__(self, count: int, on_acked: Callable[[], None]) -> None:
        self.left = count
        self.on_acked = on_acked


class _Wire(asyncio.Protocol):
    """One connection. `ready` is done after the SUBACK, `gone` when the transport is closed."""

    def __init__(self, link: RawLink, settings: LinkSettings) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.gone = asyncio.Event()
        self.on_gone: Callable[[], None] | None = None
        self.is_accepted = False
        self._link = link
        self._settings = settings
        self._decoder = Decoder()
        self._transport: asyncio.Transport | None = None
        self._acks: dict[int, asyncio.Future[None] | _Posted] = {}
        self._last_id = 0
        self._ping_timer: asyncio.TimerHandle | None = None
        self._has_heard = True
        self._ended = ""

    @property
    def was_ready(self) -> bool:
        """Whether `connect` has returned for this connection."""
        return self.ready.done() and self.ready.exception() is None

    def send(self, packet: Packet) -> None:
        self.write(encode(packet))

    def write(self, data: bytes) -> bool:
        """Whether there was a connection to write to."""
        if self._transport is None or self._ended:
            return False
        self._transport.write(data)
        return True

    def post(self, topic: str, payloads: Sequence[bytes], on_acked: Callable[[], None]) -> None:
        """One write for all; `on_acked` after the last PUBACK."""
        posted = _Posted(len(payloads), on_acked)
        parts: list[bytes] = []
        head, head_of = b"", -1
        for payload in payloads:
            if len(payload) != head_of:
                head_of = len(payload)
                head = publish_head(topic, head_of)
            packet_id = self._free_id()
            self._acks[packet_id] = posted
            parts += (head, packet_id.to_bytes(2, "big"), payload)
        self.write(b"".join(parts))

    def expect_puback(self) -> tuple[int, asyncio.Future[None]]:
        """A free packet id and the future of its PUBACK."""
        packet_id = self._free_id()
        acked = self._acks[packet_id] = self._loop.create_future()
        return packet_id, acked

    def _free_id(self) -> int:
        for _ in range(_SUBSCRIBE_PACKET_ID - 1):
            self._last_id = self._last_id % (_SUBSCRIBE_PACKET_ID - 1) + 1
            if self._last_id not in self._acks:
                return self._last_id
        raise LinkError("every packet id is in flight")

    def forget(self, packet_id: int) -> None:
        """The id is free again; a PUBACK that still comes is ignored."""
        self._acks.pop(packet_id, None)

    def leave(self) -> None:
        """DISCONNECT; the broker closes once it has read everything that was sent before."""
        self.send(Disconnect())
        self._end("disconnected")
        if self._transport is None:
            self._is_gone()

    def abort(self, reason: str) -> None:
        """End with RST."""
        self._end(reason)
        if self._transport is not None:
            wire_socket = self._transport.get_extra_info("socket")
            if wire_socket is not None and wire_socket.fileno() >= 0:
                with contextlib.suppress(OSError):
                    wire_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
            self._transport.abort()

    # -- called by the transport -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._ended:
            self._transport.abort()
            return
        settings = self._settings
        self.send(
            Connect(
                client_id=settings.client_id,
                clean_session=settings.clean_session,
                keep_alive_s=settings.keep_alive_s,
                username=settings.username,
                password=None if settings.password is None else settings.password.encode(),
            )
        )

    def data_received(self, data: bytes) -> None:
        self._has_heard = True
        if self.is_accepted and self._decoder.is_between_packets:
            data = self._take_pubacks(data)
            if not data:
                return
        problem = ""
        packets: list[Packet] | tuple[Packet, ...]
        try:
            packets = self._decoder.feed(data)
        except MalformedPacket as error:
            packets, problem = error.before, str(error)
        for packet in packets:
            if self._ended:
                return
            self._receive(packet)
        if problem:
            self._fail(f"the broker sent no MQTT ({problem})")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(str(exc) if exc else "closed by the broker")
        self._is_gone()
        self._link.lost(self, self._ended)

    def _is_gone(self) -> None:
        self.gone.set()
        if self.on_gone is not None:
            self.on_gone()
            self.on_gone = None

    # -- packets ---------------------------------------------------------------------------------

    def _receive(self, packet: Packet) -> None:
        match packet:
            case Publish(qos=qos) if self.is_accepted and qos < 2:
                self._link.received(self, packet.topic, packet.payload)
                if packet.packet_id is not None:
                    self.send(Puback(packet.packet_id))
            case Puback() if self.is_accepted:
                self._acknowledge(packet.packet_id)
            case Connack(return_code=0) if not self.is_accepted:
                self.is_accepted = True
                self._start_pinging()
                if self._settings.filters:
                    self.send(Subscribe(packet_id=_SUBSCRIBE_PACKET_ID, filters=self._settings.filters))
                elif not self.ready.done():
                    self.ready.set_result(None)
            case Connack(return_code=code) if not self.is_accepted:
                self._fail(f"refused CONNECT: {CONNACK_REASONS[code]}")
            case Suback(return_codes=codes):
                if SUBACK_FAILURE in codes:
                    self._fail("refused SUBSCRIBE")
                elif not self.ready.done():
                    self.ready.set_result(None)
            case Pingresp():
                pass
            case _:
                self._fail(f"the broker sent a {type(packet).__name__.upper()} out of place")

    def _take_pubacks(self, data: bytes) -> bytes:
        """Whole PUBACKs at the start, as most of what a sending device is told; returns the rest."""
        at, stop = 0, len(data) - 3
        while at < stop and data[at] == 0x40 and data[at + 1] == 2:
            packet_id = data[at + 2] << 8 | data[at + 3]
            if not packet_id or self._ended:
                break
            at += 4
            self._acknowledge(packet_id)
        return data[at:] if at else data

    def _acknowledge(self, packet_id: int) -> None:
        acked = self._acks.pop(packet_id, None)
        if isinstance(acked, _Posted):
            acked.left -= 1
            if not acked.left:
                acked.on_acked()
        elif acked is not None and not acked.done():
            acked.set_result(None)

    def _start_pinging(self) -> None:
        if self._settings.keep_alive_s:
            self._ping_timer = self._loop.call_later(self._settings.keep_alive_s / 2, self._ping)

    def _ping(self) -> None:
        if not self._has_heard:
            self._fail("no answer to PINGREQ")
            return
        self._has_heard = False
        self.send(Pingreq())
        self._start_pinging()

    def _fail(self, reason: str) -> None:
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    def _end(self, reason: str) -> None:
        if self._ended:
            return
        self._ended = reason or "ended"
        self.is_accepted = False
        if self._ping_timer is not None:
            self._ping_timer.cancel()
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self._ended))
            self.ready.exception()
        for acked in self._acks.values():
            if not isinstance(acked, _Posted) and not acked.done():
                acked.set_exception(LinkError(self._ended))
                acked.exception()
        self._acks.clear()
