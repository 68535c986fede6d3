"""A link on paho-mqtt, driven by the running asyncio loop: add_reader, add_writer, loop_read, loop_write, loop_misc.

Never `loop_start`: it needs a thread and three descriptors for each client and stops working at 339 clients. The
socket is connected by the loop and handed to paho, since paho's own connect would block every other camera.
Needs a real loop; on a virtual one use `raw`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache, partial
from typing import Any, Final, Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from server.wire.mqtt_codec import Publish, encode
from simulator.link import LinkError, LinkSettings, OnLost, OnMessage

_MISC_INTERVAL_S: Final = 1.0
"""How often paho looks at its keep alive; it asks for about once a second."""

_LINGER_NONE: Final = struct.pack("ii", 1, 0)
_TORN_PACKET_ID: Final = 65_534
_PUBACK_BODY_BYTES: Final = 2
_ACCEPTED: Final = ReasonCode(PacketTypes.PUBACK)
_NO_PROPERTIES: Final = Properties(PacketTypes.PUBACK)  # type: ignore[no-untyped-call]


@lru_cache(maxsize=64)
def _family_of(host: str) -> int | None:
    """The address family of a host that is written as a number; None for a name."""
    try:
        return socket.AF_INET if ipaddress.ip_address(host).version == 4 else socket.AF_INET6
    except ValueError:
        return None


class _Client(mqtt.Client):
    """paho's client over a socket that is connected already."""

    connected_socket: socket.socket

    def _create_socket_connection(self) -> socket.socket:
        return self.connected_socket

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        """As paho does it, without a new ReasonCode and new Properties for each PUBACK: in MQTT 3.1.1 it has neither,
        and making them was a third of what a message cost."""
        packet = self._in_packet["packet"]
        if cmd != "PUBACK" or len(packet) != _PUBACK_BODY_BYTES:
            return super()._handle_pubackcomp(cmd)
        packet_id = int.from_bytes(packet, "big")
        with self._out_message_mutex:
            if packet_id not in self._out_messages:
                return MQTTErrorCode.MQTT_ERR_SUCCESS
            return self._do_on_publish(packet_id, _ACCEPTED, _NO_PROPERTIES)


class PahoLink:
    """See `Link`."""

    def __init__(self, settings: LinkSettings, on_message: OnMessage, on_lost: OnLost) -> None:
        self._settings = settings
        self._on_message = on_message
        self._on_lost = on_lost
        self._session: _Session | None = None
        self._leaving: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether `connect` has succeeded and the connection stands."""
        return self._session is not None and self._session.is_ready

    async def connect(self) -> None:
        """CONNECT and SUBSCRIBE; returns after the SUBACK. Raises LinkError."""
        if self._session is not None:
            raise LinkError("already connected")
        session = self._session = _Session(self, self._settings)
        try:
            await session.within_timeout(session.open(), "CONNACK and SUBACK")
        except BaseException:
            self.cut()
            raise

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1) -> None:
        """Send a message; with QoS 1 returns after the PUBACK. Raises LinkError when that can't be known."""
        if self._session is None or not self._session.is_ready:
            raise LinkError("not connected")
        await self._session.publish(topic, payload, qos)

    def post(self, topic: str, payloads: Sequence[bytes], on_acked: Callable[[], None]) -> None:
        """See `FleetLink`."""
        if self._session is None or not self._session.is_ready:
            raise LinkError("not connected")
        self._session.post(topic, payloads, on_acked)

    def publish_part(self, topic: str, payload: bytes) -> None:
        """The first half of a PUBLISH and nothing more: the power goes while it is sent. Raises LinkError."""
        if self._session is None or not self._session.is_ready:
            raise LinkError("not connected")
        packet = encode(Publish(topic=topic, payload=payload, qos=1, packet_id=_TORN_PACKET_ID))
        self._session.write_past_paho(packet[: len(packet) // 2])

    async def disconnect(self) -> None:
        """Leave cleanly: DISCONNECT. Does nothing when not connected."""
        session, self._session = self._session, None
        if session is not None:
            try:
                with contextlib.suppress(LinkError):
                    await session.within_timeout(session.leave(), "end of the connection")
            finally:
                session.drop("disconnected")

    def leave(self, on_left: Callable[[], None]) -> None:
        """See `FleetLink`."""
        self._leaving = asyncio.get_running_loop().create_task(self.disconnect())
        self._leaving.add_done_callback(partial(_left, on_left))

    def cut(self) -> None:
        """Drop the connection with RST: nothing more is sent, publishes under way raise LinkError."""
        if self._leaving is not None:
            self._leaving.cancel()
        session, self._session = self._session, None
        if session is not None:
            session.drop("cut")

    def received(self, session: _Session, topic: str, payload: bytes) -> None:
        """A message of the present connection."""
        if session is self._session:
            self._on_message(topic, payload)

    def lost(self, session: _Session, reason: str) -> None:
        """The connection ended; told on only if it was not the owner who ended it."""
        if session is self._session:
            self._session = None
            if session.was_ready:
                self._on_lost(reason)


class _Session:
    """One paho client for one connection: it must not repeat anything by itself on the next."""

    def __init__(self, link: PahoLink, settings: LinkSettings) -> None:
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._settings = settings
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._left: asyncio.Future[None] = self._loop.create_future()
        self._acks: dict[int, asyncio.Future[None]] = {}
        self._posted: list[tuple[set[int], Callable[[], None]]] = []
        self._misc_timer: asyncio.TimerHandle | None = None
        self._ended = ""
        self.was_ready = False
        client = self._client = _Client(
            CallbackAPIVersion.VERSION2, settings.client_id, clean_session=settings.clean_session
        )
        if settings.username is not None:
            client.username_pw_set(settings.username, settings.password)
        client.max_inflight_messages_set(65_535)
        client.on_socket_open = self._socket_open
        client.on_socket_close = self._socket_close
        client.on_socket_register_write = self._want_write
        client.on_socket_unregister_write = self._want_no_write
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_message = self._message
        client.on_publish = self._published
        client.on_disconnect = self._disconnected

    @property
    def is_ready(self) -> bool:
        """Subscribed and not ended."""
        return self.was_ready and not self._ended

    async def within_timeout(self, work: Coroutine[Any, Any, None], what: str) -> None:
        """Await with the link's timeout; every failure becomes a LinkError."""
        try:
            async with asyncio.timeout(self._settings.ack_timeout_s):
                await work
        except TimeoutError as error:
            raise LinkError(f"no {what} within {self._settings.ack_timeout_s:g} s") from error
        except OSError as error:
            raise LinkError(str(error)) from error

    async def open(self) -> None:
        """Connect the socket on the loop, then let paho speak."""
        settings = self._settings
        family, address = await self._resolved(settings.host, settings.port)
        wire = socket.socket(family, socket.SOCK_STREAM)
        wire.setblocking(False)
        try:
            if settings.source_host is not None:
                wire.bind((settings.source_host, 0))
            await self._loop.sock_connect(wire, address)
            self._client.connected_socket = wire
            if settings.tls is not None:
                self._client.tls_set_context(settings.tls)
            self._client.connect(settings.host, settings.port, keepalive=settings.keep_alive_s)
        except BaseException:
            wire.close()
            raise
        self._misc_timer = self._loop.call_later(_MISC_INTERVAL_S, self._misc)
        await self._opened
        self.was_ready = True

    async def _resolved(self, host: str, port: int) -> tuple[int, Any]:
        """Family and address; names are looked up in a thread of the loop's, numbers need none."""
        family = _family_of(host)
        if family is not None:
            return family, (host, port)
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return found[0][0], found[0][4]

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Hand to paho and wait for its on_publish."""
        info = self._client.publish(topic, payload, qos)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkError(mqtt.error_string(info.rc))
        acked = self._acks[info.mid] = self._loop.create_future()
        try:
            await self.within_timeout(_await(acked), "PUBACK")
        finally:
            self._acks.pop(info.mid, None)

    def post(self, topic: str, payloads: Sequence[bytes], on_acked: Callable[[], None]) -> None:
        """Hand all of them to paho; `on_acked` after the last on_publish."""
        left: set[int] = set()
        for payload in payloads:
            info = self._client.publish(topic, payload, 1)
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise LinkError(mqtt.error_string(info.rc))
            left.add(info.mid)
        self._posted.append((left, on_acked))

    def write_past_paho(self, data: bytes) -> None:
        """Bytes that paho would not send, as far as the socket takes them at once."""
        wire = self._client.socket()
        if isinstance(wire, socket.socket):
            with contextlib.suppress(OSError):
                wire.send(data)

    async def leave(self) -> None:
        """DISCONNECT; paho closes the socket once it is written."""
        if not self._ended and self._client.disconnect() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            await self._left

    def drop(self, reason: str) -> None:
        """Close the socket with RST, behind paho's back, and never ask paho again."""
        self._end(reason)
        client = self._client
        client.on_socket_close = client.on_socket_unregister_write = None
        wire = client.socket()
        if isinstance(wire, socket.socket) and wire.fileno() >= 0:
            self._loop.remove_reader(wire)
            self._loop.remove_writer(wire)
            with contextlib.suppress(OSError):
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
            wire.close()

    # -- paho's socket callbacks -----------------------------------------------------------------

    def _socket_open(self, client: mqtt.Client, userdata: Any, wire: Any) -> None:
        self._loop.add_reader(wire, self._readable)

    def _socket_close(self, client: mqtt.Client, userdata: Any, wire: Any) -> None:
        self._loop.remove_reader(wire)
        self._loop.remove_writer(wire)

    def _want_write(self, client: mqtt.Client, userdata: Any, wire: Any) -> None:
        self._loop.add_writer(wire, client.loop_write)

    def _want_no_write(self, client: mqtt.Client, userdata: Any, wire: Any) -> None:
        self._loop.remove_writer(wire)

    def _readable(self) -> None:
        while not self._ended:
            self._client.loop_read()
            wire = self._client.socket()
            if not (isinstance(wire, ssl.SSLSocket) and wire.fileno() >= 0 and wire.pending()):
                return  # else TLS has read what select no longer tells of

    def _misc(self) -> None:
        if not self._ended and self._client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._misc_timer = self._loop.call_later(_MISC_INTERVAL_S, self._misc)

    # -- paho's MQTT callbacks -------------------------------------------------------------------

    def _connected(self, client: mqtt.Client, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
        if code.is_failure:
            self._end(f"refused CONNECT: {code}")
        elif self._settings.filters:
            client.subscribe(list(self._settings.filters))
        elif not self._opened.done():
            self._opened.set_result(None)

    def _subscribed(self, client: mqtt.Client, userdata: Any, mid: int, codes: Any, properties: Any) -> None:
        if any(code.is_failure for code in codes):
            self._end("refused SUBSCRIBE")
        elif not self._opened.done():
            self._opened.set_result(None)

    def _message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        self._link.received(self, message.topic, bytes(message.payload))

    def _published(self, client: mqtt.Client, userdata: Any, mid: int, code: Any, properties: Any) -> None:
        acked = self._acks.get(mid)
        if acked is not None:
            if not acked.done():
                acked.set_result(None)
            return
        for place, (left, on_acked) in enumerate(self._posted):
            if mid in left:
                left.remove(mid)
                if not left:
                    del self._posted[place]
                    on_acked()
                return

    def _disconnected(self, client: mqtt.Client, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
        if not self._left.done():
            self._left.set_result(None)
        self._end(f"lost: {code}")
        self._link.lost(self, self._ended)

    def _end(self, reason: str) -> None:
        if self._ended:
            return
        self._ended = reason
        if self._misc_timer is not None:
            self._misc_timer.cancel()
        for waiting in [self._opened, *self._acks.values()]:
            if not waiting.done():
                waiting.set_exception(LinkError(reason))
                waiting.exception()


async def _await(future: asyncio.Future[None]) -> None:
    await future


def _left(on_left: Callable[[], None], task: asyncio.Task[None]) -> None:
    on_left()
    if not task.cancelled() and task.exception() is not None:
        context = {"message": "the end of a connection", "exception": task.exception()}
        task.get_loop().call_exception_handler(context)
