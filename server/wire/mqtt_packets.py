"""The control packets of MQTT 3.1.1 as frozen values (OASIS standard, sections 3.1 to 3.14).

Values only: what may stand in a packet is checked where it is written or read, in `mqtt_codec`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SUBACK_FAILURE: Final = 0x80
"""SUBACK return code of a subscription that the broker refused."""

CONNACK_REASONS: Final = {
    0: "accepted",
    1: "unacceptable protocol version",
    2: "client id rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorised",
}
"""CONNACK return codes and their meaning (table 3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker publishes when the client vanishes without DISCONNECT."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Client to broker, first packet. `keep_alive_s` 0 means none."""

    client_id: str
    clean_session: bool = True
    keep_alive_s: int = 0
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connack:
    """Broker to client: `return_code` 0 is yes, others are in `CONNACK_REASONS`."""

    session_present: bool = False
    return_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """A message, either way. `packet_id` is None for QoS 0 and 1..65535 above."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int | None = None


@dataclass(frozen=True, slots=True)
class Puback:
    """Answer to a QoS 1 PUBLISH."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Pubrec:
    """First answer to a QoS 2 PUBLISH."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Pubrel:
    """The publisher's release of a QoS 2 message."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Pubcomp:
    """Last packet of a QoS 2 exchange."""

    packet_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """Topic filters with the highest QoS wanted, in order."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suback:
    """One code per filter: the QoS granted, or `SUBACK_FAILURE`."""

    packet_id: int
    return_codes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    """Topic filters to drop."""

    packet_id: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsuback:
    """Answer to UNSUBSCRIBE."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Pingreq:
    """The client is alive."""


@dataclass(frozen=True, slots=True)
class Pingresp:
    """So is the broker."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The client leaves on purpose: no will."""


Packet = (
    Connect
    | Connack
    | Publish
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
)
