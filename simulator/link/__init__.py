"""The device's way to a broker: one interface, two makes. Read `raw` (our codec) first, then `paho` (faithful).

`raw` runs on any asyncio loop, virtual ones too, and can send what paho forbids; `paho` is the library that real
Python devices use, on the running loop, without threads.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["FleetLink", "FleetLinkFactory", "Link", "LinkError", "LinkFactory", "LinkSettings", "OnLost", "OnMessage"]


class LinkError(Exception):
    """The broker could not be reached, refused, did not answer in time, or the connection was lost."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Where and as whom to connect; filters are (topic filter, QoS), durations seconds of the loop's clock.

    `source_host` is the own address to connect from: one address has about 28,000 ports for one broker.
    """

    host: str
    port: int
    client_id: str
    filters: tuple[tuple[str, int], ...] = ()
    clean_session: bool = True
    keep_alive_s: int = 60
    ack_timeout_s: float = 10.0
    username: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    source_host: str | None = None


OnMessage = Callable[[str, bytes], None]
"""(topic, payload) of each message, on the loop; QoS 1 is acknowledged right after."""

OnLost = Callable[[str], None]
"""The reason; called once for each connection that ends without `disconnect` or `cut`."""


class Link(Protocol):
    """One connection at a time; `connect` may be called again after the end of the last one."""

    async def connect(self) -> None:
        """CONNECT and SUBSCRIBE; returns after the SUBACK. Raises LinkError."""

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1) -> None:
        """Send a message; with QoS 1 returns after the PUBACK. Raises LinkError when that can't be known."""

    def publish_part(self, topic: str, payload: bytes) -> None:
        """The first half of a PUBLISH and nothing more: the power goes while it is sent. Raises LinkError."""

    async def disconnect(self) -> None:
        """Leave cleanly: DISCONNECT. Does nothing when not connected."""

    def cut(self) -> None:
        """Drop the connection with RST: nothing more is sent, publishes under way raise LinkError."""


class FleetLink(Link, Protocol):
    """A link for thousands of devices on one loop: no task and no timer for a message."""

    def post(self, topic: str, payloads: Sequence[bytes], on_acked: Callable[[], None]) -> None:
        """Send these messages with QoS 1, the next without waiting for the last; raises LinkError when not connected.

        `on_acked` is called once, when each has its PUBACK; never, where the connection is lost or cut before.
        """

    def leave(self, on_left: Callable[[], None]) -> None:
        """As `disconnect`, without anybody waiting; `on_left` is called once, when the connection is gone."""


LinkFactory = Callable[[LinkSettings, OnMessage, OnLost], Link]
FleetLinkFactory = Callable[[LinkSettings, OnMessage, OnLost], FleetLink]
