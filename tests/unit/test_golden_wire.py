"""The codec against the golden payloads, which were written from the protocol's description alone.

covers: facts/dialects, facts/hello-fields, facts/chunk-forms, facts/telemetry, facts/replies, facts/wake-time-text
covers: facts/reply-without-id, facts/device-ids, facts/sloppy-senders
covers: seed-001/ack-format, seed-001/decision-3
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from firmware_fixtures.wire import GoldenPayload, golden_payloads
from server.wire import messages
from server.wire.codec import REFUSALS, decode, decode_reply, encode_device_message, encode_reply
from server.wire.dialects import DIALECTS
from server.wire.errors import RemoteProtocolError
from server.wire.limits import PAYLOAD_SIZE_BYTES_MAX
from server.wire.topics import Channel, topic_of

UP = [item for item in golden_payloads() if item.direction == "up" and item.expected is not None]
BAD = [item for item in golden_payloads() if item.reasons]
DOWN = [item for item in golden_payloads() if item.direction == "down"]
TIMES = ("captured_at", "next_wake")
TUPLES = ("pending_list", "chunk_indexes")


def names(items: list[GoldenPayload]) -> Callable[..., Any]:
    return pytest.mark.parametrize("golden", items, ids=[item.name for item in items])


def message_of(expected: dict[str, Any]) -> Any:
    """The message that a golden file describes; it must name every field of the class."""
    fields = {key: value for key, value in expected.items() if key != "message"}
    if "payload_base64" in fields:
        fields["payload"] = base64.b64decode(fields.pop("payload_base64"), validate=True)
    for key in TIMES:
        if fields.get(key):
            fields[key] = datetime.fromisoformat(fields[key])
    for key in TUPLES:
        if fields.get(key) is not None:
            fields[key] = tuple(fields[key])
    if "sensors" in fields:
        fields["sensors"] = messages.Sensors(**fields["sensors"])
    kind = getattr(messages, expected["message"])
    assert fields.keys() == {field.name for field in dataclasses.fields(kind)}
    return kind(**fields)


def channel_of(golden: GoldenPayload) -> Channel:
    return Channel(golden.topic.split("/", 2)[2])


@names(UP)
def test_what_a_device_says_is_understood(golden: GoldenPayload) -> None:
    assert golden.expected is not None
    address, message = decode(golden.topic, golden.payload)
    assert message == message_of(golden.expected)
    assert address.device_id == golden.expected["device_id"]
    assert golden.topic.startswith(f"{address.family.value}/")
    assert golden.topic.endswith(f"/{address.channel.value}")


@names([item for item in UP if item.canonical])
def test_a_simulated_device_says_the_same(golden: GoldenPayload) -> None:
    assert golden.expected is not None
    channel, payload = encode_device_message(message_of(golden.expected), DIALECTS[golden.dialect])
    assert json.loads(payload) == json.loads(golden.payload)
    assert topic_of(DIALECTS[golden.dialect].family, golden.expected["device_id"], channel) == golden.topic


@names(BAD)
def test_what_breaks_the_protocol_is_refused_with_its_reason(golden: GoldenPayload) -> None:
    assert set(golden.reasons) <= set(REFUSALS)
    with pytest.raises(RemoteProtocolError) as caught:
        decode(golden.topic, golden.payload)
    assert caught.value.reason in golden.reasons
    assert len(caught.value.detail) <= 400


@names(DOWN)
def test_a_device_understands_every_reply(golden: GoldenPayload) -> None:
    assert golden.expected is not None
    assert golden.now is not None
    now = datetime.fromisoformat(golden.now)
    reply = decode_reply(channel_of(golden), golden.payload, now, DIALECTS[golden.dialect])
    assert reply == message_of(golden.expected)


@names([item for item in DOWN if item.canonical])
def test_the_server_says_the_same(golden: GoldenPayload) -> None:
    assert golden.expected is not None
    message = message_of(golden.expected)
    channel, payload = encode_reply(message, "B8F862F9C1C4", DIALECTS[golden.dialect])
    assert json.loads(payload) == json.loads(golden.payload)
    assert topic_of(DIALECTS[golden.dialect].family, "B8F862F9C1C4", channel) == golden.topic


def test_ten_megabytes_are_refused_unread() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode("ESP32CAM/B8F862F9C1C4/data", b'{"chunk_id":0,"payload":"' + b"A" * 10_000_000 + b'"}')
    assert caught.value.reason == "too_large"
    assert PAYLOAD_SIZE_BYTES_MAX < 10_000_000


def test_a_list_of_more_than_ten_names_keeps_ten() -> None:
    listed = [f"image_{number}.jpg" for number in range(12)]
    payload = json.dumps({"status": "Alive", "pendingImg": 12, "pending_list": listed}).encode()
    _, message = decode("ESP32CAM/B8F862F9C1C4/status", payload)
    assert isinstance(message, messages.Hello)
    assert message.pending_list == tuple(listed[:10])
    assert message.pending_count == 12


@pytest.mark.parametrize("kind", ["hello", "metadata", "chunk", "telemetry"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_message_has_a_golden_payload_in_every_dialect(kind: str, dialect: str) -> None:
    assert any(item.name == f"{kind}-{dialect}" for item in UP)


def test_every_reply_has_golden_payloads() -> None:
    kinds = {item.expected["message"] for item in DOWN if item.expected is not None}
    assert kinds == {kind.__name__ for kind in messages.ServerMessage.__args__}
