"""What goes over the real broker, seen by a client of the bench: messages for the history, and fences.

A fence is a numbered message to `SYSTEM:FENCE` on every uplink topic. A broker keeps the order of one filter, so who
has seen a fence has seen all that the broker had accepted before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from harness.errors import BenchUnavailable
from server.wire.mqtt_codec import Publish, encode
from server.wire.topics import FENCE_ID, UPLINK, Family, topic_of
from simulator.link import LinkError, LinkSettings
from simulator.link.raw import RawLink

FENCE_TOPICS: Final = tuple(topic_of(family, FENCE_ID, channel) for family in Family for channel in UPLINK)
CONNECT_TRIES: Final = 50
TRY_INTERVAL_S: Final = 0.1
SEEN_WITHIN_S: Final = 10.0


class BrokerTap:
    """Sees every message. `on_message(topic, payload)` for all but fences; a second client sends raw messages."""

    def __init__(
        self,
        host: str,
        port: int,
        on_message: Callable[[str, bytes], None],
        login: tuple[str, str] | None = None,
    ) -> None:
        self._on_message = on_message
        self._seen = 0
        self._number = 0
        self._changed = asyncio.Event()
        user, password = login or (None, None)
        everything = LinkSettings(
            host, port, "wakestorm-tap", filters=(("#", 1),), keep_alive_s=600, username=user, password=password
        )
        self._link = RawLink(everything, self._received, self._lost)
        self._stranger = RawLink(
            LinkSettings(host, port, "stranger", keep_alive_s=600, username=user, password=password),
            _ignore,
            _ignore_reason,
        )

    @property
    def is_connected(self) -> bool:
        """It sees what goes over the broker."""
        return self._link.is_connected

    async def connect(self) -> None:
        """Connect; a broker that has just started gets some tries. Raises BenchUnavailable."""
        for _ in range(CONNECT_TRIES):
            if self._link.is_connected:
                return
            try:
                await self._link.connect()
            except LinkError:
                await asyncio.sleep(TRY_INTERVAL_S)
        raise BenchUnavailable("the broker does not take a second client")

    def cut(self) -> None:
        """Let go."""
        self._link.cut()
        self._stranger.cut()

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """A raw message from the second client; with QoS 1 the broker has it on return. Raises LinkError."""
        if not self._stranger.is_connected:
            await self._stranger.connect()
        if retain:
            self._stranger.send_packet(encode(Publish(topic=topic, payload=payload, retain=True)))
        else:
            await self._stranger.publish(topic, payload, qos=qos)

    async def publish_fence(self) -> int:
        """Send the next fence; the broker has accepted it on return. Raises LinkError."""
        self._number += 1
        number = self._number
        await asyncio.gather(*(self._link.publish(topic, str(number).encode()) for topic in FENCE_TOPICS))
        return number

    async def wait_seen(self, number: int) -> None:
        """Returns once this client itself has seen that fence: the history has all messages before it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEEN_WITHIN_S):
                while self._seen < number and self._link.is_connected:
                    self._changed.clear()
                    await self._changed.wait()

    def _received(self, topic: str, payload: bytes) -> None:
        if topic in FENCE_TOPICS:
            self._seen = max(self._seen, int(payload))
            self._changed.set()
        else:
            self._on_message(topic, payload)

    def _lost(self, reason: str) -> None:
        self._changed.set()


def _ignore(topic: str, payload: bytes) -> None:
    """Strangers hear nothing."""


def _ignore_reason(reason: str) -> None:
    """It connects again with its next message."""
