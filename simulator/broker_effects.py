"""What the simulated broker wants done or lets be known, and its limits. Plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from server.wire.mqtt_codec import PACKET_SIZE_BYTES_MAX, Connect


@dataclass(frozen=True, slots=True)
class SendBytes:
    """Write to a connection."""

    connection: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close a connection; the broker has forgotten it already, so `closed` need not be called."""

    connection: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """A PUBLISH (or will) was accepted. One for every message, whoever subscribes."""

    topic: str
    payload: bytes
    qos: int
    client_id: str
    retain: bool
    dup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A message will not reach a subscriber, or an access rule stopped it."""

    topic: str
    client_id: str
    reason: str


Effect = SendBytes | CloseConnection | Routed | Dropped

Access = Callable[[str, str, str], bool]
"""(client id, "publish" | "subscribe" | "receive", topic or filter) -> whether it may."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A client is let in under this client id, whatever it asked for; `mount_point` goes before what it publishes."""

    client_id: str
    mount_point: str = ""


Authenticate = Callable[[Connect], int | Admitted]
"""CONNECT -> CONNACK return code, 0 lets it in under the client id that it asked for; or what it is let in as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLimits:
    """`in_flight_max` and `queue_max` count messages of one session; packets are in bytes."""

    in_flight_max: int = 1000
    queue_max: int = 1_000_000
    packet_size_bytes_max: int = PACKET_SIZE_BYTES_MAX
    qos_max: int = 2
    shares_with_absent: bool = False
    """A share group gives absent members their turn too (mosquitto), instead of passing over them (iotcore)."""
