"""Topics: the two families, and who may use which (facts: wire 1).

`ESP32CAM/{MAC}/status|data` up and `cmd|ack` down; the paper spec uses `device/{id}/...` with the same channels and
`device/{mac}/commands/retry`. Answers go out on the family that the device used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from server.wire import limits
from server.wire.errors import RemoteProtocolError


class Family(StrEnum):
    """First level of a topic."""

    ESP32CAM = "ESP32CAM"
    DEVICE = "device"


class Channel(StrEnum):
    """Last level(s) of a topic."""

    STATUS = "status"
    DATA = "data"
    CMD = "cmd"
    ACK = "ack"
    RETRY = "commands/retry"


UPLINK: Final = (Channel.STATUS, Channel.DATA)
DOWNLINK: Final = (Channel.CMD, Channel.ACK, Channel.RETRY)

ENROLMENT_PREFIX: Final = "enrol/"
"""Before the topic of a newcomer's HELLO: a broker puts it there, since newcomers share one login."""

FENCE_ID: Final = "SYSTEM:FENCE"
"""In the place of a device id: a message of a test bench, which only a server with a test clock takes."""

_MAC = re.compile(r"[0-9A-F]{12}\Z")
_ID = re.compile(r"[0-9A-Za-z:_.\-]+\Z")
_KEPT_PREFIXES: Final = ("TEST-", "SYSTEM:", "VIRTUAL:")


@dataclass(frozen=True, slots=True)
class TopicAddress:
    """Where a device message came from: `device_id` is the normalised identity."""

    family: Family
    device_id: str
    channel: Channel
    is_enrolment: bool = False


def normalised_device_id(text: str) -> str:
    """The identity behind a written id: MACs lose separators and case, `TEST-`, `SYSTEM:`, `VIRTUAL:` stay."""
    upper = text.strip().upper()
    if upper.startswith(_KEPT_PREFIXES):
        return upper
    bare = upper.replace(":", "").replace("-", "").replace(".", "")
    return bare if _MAC.match(bare) else upper


def parse_uplink(topic: str) -> TopicAddress:
    """The address of a message from a device; raises RemoteProtocolError for any other topic."""
    is_enrolment = topic.startswith(ENROLMENT_PREFIX)
    levels = topic.removeprefix(ENROLMENT_PREFIX).split("/")
    if len(topic) > limits.TOPIC_LENGTH_CHARS_MAX or len(levels) != 3:
        raise RemoteProtocolError("bad_topic", f"{topic[:80]!r} is not <family>/<device id>/status|data")
    family, device_id, channel = levels
    if family not in (Family.ESP32CAM, Family.DEVICE) or channel not in UPLINK:
        raise RemoteProtocolError("bad_topic", f"{topic[:80]!r} is not <family>/<device id>/status|data")
    if not _ID.match(device_id) or len(device_id) > limits.DEVICE_ID_LENGTH_CHARS_MAX:
        raise RemoteProtocolError("bad_device_id", f"{device_id[:80]!r} is no device id")
    if is_enrolment and channel != Channel.STATUS:
        raise RemoteProtocolError("bad_topic", f"{topic[:80]!r}: a newcomer may only say HELLO")
    return TopicAddress(Family(family), normalised_device_id(device_id), Channel(channel), is_enrolment)


def topic_of(family: Family, device_id: str, channel: Channel) -> str:
    """The topic of one device's channel."""
    if channel is Channel.RETRY:
        return f"{Family.DEVICE}/{device_id}/{channel}"
    return f"{family}/{device_id}/{channel}"


def uplink_filters() -> tuple[str, ...]:
    """Topic filters the server subscribes to: both families, and the HELLOs of newcomers."""
    known = [f"{family}/+/{channel}" for family in Family for channel in UPLINK]
    return (*known, *(f"{ENROLMENT_PREFIX}{family}/+/{Channel.STATUS}" for family in Family))


def downlink_filters(family: Family, device_id: str) -> tuple[str, ...]:
    """Topic filters a device subscribes to."""
    return tuple(topic_of(family, device_id, channel) for channel in DOWNLINK)
