"""The server's own MQTT 3.1.1 client: acknowledges in order, only after `done()`, only where it was delivered.

It runs on asyncio transports and the loop's clock alone, so it is the same on a real and on a virtual loop. One task
connects, waits for the loss, waits `reconnect_min_s` doubled up to `reconnect_max_s` (no jitter: runs must repeat),
and connects again, for ever, whatever the broker does. The wait starts small again once a connection acknowledged
something or lasted as long as the longest wait. Read `mqtt_connection` for what happens on one connection.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from server.mqtt_connection import (
    SUBSCRIBE_PACKET_ID,
    ConnectionRefused,
    Delivery,
    MqttConnection,
    MqttStats,
)
from server.wire.errors import LocalProtocolError
from server.wire.mqtt_codec import Connect, Publish, encode
from server.wire.mqtt_filters import is_valid_filter

__all__ = ["Delivery", "MqttClient", "MqttSettings", "MqttStats", "NotConnected"]

STOP_FLUSH_S_MAX: Final = 2.0
"""Longest that `stop` waits for the broker to acknowledge what was published."""


class NotConnected(Exception):
    """There is no broker to publish to now, or it has not acknowledged 65,534 messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """Where and how to connect; durations in seconds of the loop's clock."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = None
    keep_alive_s: int = 30
    tls: ssl.SSLContext | None = None
    in_flight_max: int = 1000
    reconnect_min_s: float = 0.2
    reconnect_max_s: float = 10.0
    connect_timeout_s: float = 10.0
    clean_session: bool = False


class MqttClient:
    """Subscribes to `filters` (filter, QoS 0 or 1) and hands every message to `on_delivery`, on the loop.

    `on_state` hears "connecting", "ready", "refused: ...", "lost: ..." and "stopped", for logs and health.
    If `on_delivery` raises, the error goes to the loop's exception handler and the connection is aborted.
    """

    def __init__(
        self,
        settings: MqttSettings,
        filters: Sequence[tuple[str, int]],
        on_delivery: Callable[[Delivery], None],
        *,
        on_state: Callable[[str], None] | None = None,
    ) -> None:
        for topic_filter, qos in filters:
            if qos not in (0, 1) or not is_valid_filter(topic_filter):
                raise LocalProtocolError(f"cannot subscribe to {topic_filter!r} with QoS {qos}")
        self.stats = MqttStats()
        self._connect = _connect_packet(settings)
        self._settings = settings
        self._filters = tuple(filters)
        self._on_delivery = on_delivery
        self._on_state = on_state
        self._connection: MqttConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._outgoing: dict[int, Publish] = {}
        self._outgoing_empty = asyncio.Event()
        self._outgoing_empty.set()
        self._packet_id = 0
        self._epoch = 0
        self._is_stopping = False
        self._failure: Exception | None = None

    # -- for the server --------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether the broker has taken our CONNECT, so that `publish` works."""
        return self._connection is not None and self._connection.is_accepted

    @property
    def is_ready(self) -> bool:
        """Connected and subscribed."""
        return self._ready.is_set() and self.is_connected

    @property
    def epoch(self) -> int:
        """Number of the present or last connection, from 1."""
        return self._epoch

    @property
    def in_flight(self) -> int:
        """Deliveries of the present connection that are not acknowledged."""
        return 0 if self._connection is None else self._connection.in_flight

    @property
    def outgoing(self) -> int:
        """QoS 1 messages of ours that the broker has not acknowledged."""
        return len(self._outgoing)

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        if self._task is not None:
            raise LocalProtocolError("the client was started before")
        self._task = asyncio.get_running_loop().create_task(self._keep_running(), name="mqtt")

    async def wait_ready(self) -> None:
        """Return once connected and subscribed; raises what broke the client, if it is broken."""
        await self._ready.wait()
        if self._failure is not None:
            raise self._failure

    async def wait_published(self) -> None:
        """Return once the broker has acknowledged everything published so far."""
        await self._outgoing_empty.wait()

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Send a message, behind what was asked for before; NotConnected if there is no broker.

        QoS 1 is kept until its PUBACK and sent again, with DUP, on the next connection.
        """
        connection = self._connection
        if connection is None or not connection.is_accepted:
            raise NotConnected(f"no connection to {self._settings.host}:{self._settings.port}")
        if qos not in (0, 1):
            raise LocalProtocolError(f"cannot publish with QoS {qos}")
        packet_id = self._free_packet_id() if qos else None
        packet = Publish(topic=topic, payload=payload, qos=qos, retain=retain, packet_id=packet_id)
        connection.send(packet)
        self.stats.published += 1
        if packet_id is not None:
            self._outgoing[packet_id] = packet
            self._outgoing_empty.clear()

    def abort(self, reason: str) -> None:
        """Drop the connection, so that the broker delivers again what was not acknowledged."""
        if self._connection is not None:
            self._connection.abort(reason)
            self._ready.clear()

    async def stop(self) -> None:
        """Wait briefly for PUBACKs of ours, send DISCONNECT, and end. Safe to call twice."""
        if self._is_stopping:
            return
        self._is_stopping = True
        connection = self._connection
        if connection is not None and connection.is_accepted:
            try:
                async with asyncio.timeout(STOP_FLUSH_S_MAX):
                    await self._outgoing_empty.wait()
            except TimeoutError:
                pass
            connection.leave()
            try:
                async with asyncio.timeout(STOP_FLUSH_S_MAX):
                    await asyncio.shield(connection.lost)
            except TimeoutError:
                connection.abort("did not close")
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._ready.clear()
        self._tell("stopped")
        if self._failure is not None:
            raise self._failure

    # -- what a connection tells -----------------------------------------------------------------

    def accepted(self, session_present: bool) -> None:
        """Send again what was not acknowledged, in the old order, before anything new (4.4, 4.6)."""
        assert self._connection is not None
        for packet_id, packet in self._outgoing.items():
            again = Publish(
                topic=packet.topic,
                payload=packet.payload,
                qos=packet.qos,
                retain=packet.retain,
                dup=True,
                packet_id=packet_id,
            )
            self._connection.send(again)
            self.stats.published_again += 1

    def delivered(self, delivery: Delivery) -> None:
        """Hand one message on; a handler that fails costs the connection, never the message."""
        try:
            self._on_delivery(delivery)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"the handler of MQTT deliveries failed on {delivery!r}", "exception": error}
            )
            self.abort(f"handler failed: {error!r}")

    def publish_acked(self, packet_id: int) -> None:
        """Forget a message that the broker has now; an unknown id is a repeated PUBACK and harmless."""
        if self._outgoing.pop(packet_id, None) is not None:
            self.stats.publish_acked += 1
            if not self._outgoing:
                self._outgoing_empty.set()

    # -- connecting ------------------------------------------------------------------------------

    async def _keep_running(self) -> None:
        try:
            await self._run()
        except Exception as error:  # a bug of ours, or an on_state that raises: nobody may wait for ever
            self._failure = error
            self._ready.set()
            raise

    async def _run(self) -> None:
        wait_s = self._settings.reconnect_min_s
        loop = asyncio.get_running_loop()
        while not self._is_stopping:
            acked_before, started = self.stats.acked, loop.time()
            self._tell("connecting")
            try:
                self._tell(await self._live_once())
            finally:
                self._ready.clear()
                self._connection = None
            if self.stats.acked > acked_before or loop.time() - started >= self._settings.reconnect_max_s:
                wait_s = self._settings.reconnect_min_s
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, self._settings.reconnect_max_s)

    async def _live_once(self) -> str:
        """One connection from its start to its loss; returns what became of it."""
        settings = self._settings
        self._epoch += 1
        connection = MqttConnection(
            self,
            self.stats,
            epoch=self._epoch,
            connect=self._connect,
            filters=self._filters,
            in_flight_max=settings.in_flight_max,
        )
        self._connection = connection
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                loop = asyncio.get_running_loop()
                await loop.create_connection(lambda: connection, settings.host, settings.port, ssl=settings.tls)
                await connection.ready
        except ConnectionRefused as error:
            return f"refused: {error}"
        except TimeoutError:
            connection.abort("timeout")
            return f"lost: no answer within {settings.connect_timeout_s:g} s"
        except (OSError, ssl.CertificateError) as error:
            if not self._is_stopping:  # else `stop` waits for the broker to read our last acknowledgements
                connection.abort("no connection")
            return f"lost: {error}"
        except BaseException:
            connection.abort("cancelled")
            raise
        self.stats.connects += 1
        self.stats.reconnects += self.stats.connects > 1
        self._ready.set()
        self._tell("ready")
        reason = await connection.lost
        self.stats.losses += 1
        return f"lost: {reason.removeprefix('lost: ')}"

    def _free_packet_id(self) -> int:
        last = SUBSCRIBE_PACKET_ID - 1
        if len(self._outgoing) >= last:
            raise NotConnected(f"the broker has not acknowledged {last} messages")
        while True:
            self._packet_id = self._packet_id % last + 1
            if self._packet_id not in self._outgoing:
                return self._packet_id

    def _tell(self, state: str) -> None:
        if self._on_state is not None:
            self._on_state(state)


def _connect_packet(settings: MqttSettings) -> Connect:
    packet = Connect(
        client_id=settings.client_id,
        clean_session=settings.clean_session,
        keep_alive_s=settings.keep_alive_s,
        username=settings.username,
        password=None if settings.password is None else settings.password.encode(),
    )
    encode(packet)  # a mistake in the settings is ours: raise where they are given, not in a callback
    return packet
