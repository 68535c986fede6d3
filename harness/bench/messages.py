"""What a history keeps of an MQTT message: who, direction, topic, decoded payload; never a chunk's bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from harness.dut.simulated import profile_of
from harness.plan import Plan
from server.wire.codec import dialect_called
from server.wire.errors import RemoteProtocolError
from server.wire.topics import DOWNLINK, Channel, normalised_device_id, parse_uplink, topic_of

_DOWN = {str(channel) for channel in DOWNLINK}


def device_of_topic(topic: str) -> tuple[str, str]:
    """(device id, direction) of a topic; an id of "" where it is none of the protocol's."""
    try:
        return parse_uplink(topic).device_id, "up"
    except RemoteProtocolError:
        levels = topic.split("/", 2)
        if len(levels) == 3 and levels[2] in _DOWN:
            return normalised_device_id(levels[1]), "down"
        return "", "up"


def message_fields(topic: str, payload: bytes, names: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """(who, fields) of a history record for one message."""
    device_id, direction = device_of_topic(topic)
    fields: dict[str, Any] = {"direction": direction, "topic": topic, "size_bytes": len(payload)}
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict) and "chunk_id" in body:
        body = {key: value for key, value in body.items() if key != "payload"}
        fields["payload_sha256"] = hashlib.sha256(payload).hexdigest()[:16]
    if body is None:
        fields["text"] = payload[:200].decode("utf-8", "replace")
    fields["payload"] = body
    return names.get(device_id, device_id or "stranger"), fields


def topic_prefixes(plan: Plan) -> tuple[str, ...]:
    """`ESP32CAM/{MAC}` of every device, in the words of its own family."""
    found = []
    for planned in plan.devices:
        family = dialect_called(profile_of(planned).dialect).family
        found.append(topic_of(family, planned.mac, Channel.CMD).removesuffix(f"/{Channel.CMD}"))
    return tuple(found)
