"""Whatever arrives, the codec answers with a message or with a counted refusal, never with another error."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from firmware_fixtures.wire import GoldenPayload, golden_payloads
from server.wire.codec import REFUSALS, decode, decode_reply, encode_device_message
from server.wire.dialects import DIALECTS
from server.wire.errors import RemoteProtocolError
from server.wire.messages import Metadata
from server.wire.topics import DOWNLINK

NOW = datetime(2026, 1, 5, 16, tzinfo=UTC)
TOPICS = st.sampled_from(
    [f"{family}/B8F862F9C1C4/{end}" for family in ("ESP32CAM", "device") for end in ("status", "data")]
)
UP = [item for item in golden_payloads() if item.direction == "up"]
KEYS = sorted(
    {key for item in UP if item.expected is not None and b'"' in item.payload for key in json.loads(item.payload)}
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["Alive", "AAEC", "image_1.jpg"]),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(), children),
    max_leaves=4,
)


def survives(topic: str, payload: bytes) -> None:
    try:
        decode(topic, payload)
    except RemoteProtocolError as error:
        assert error.reason in REFUSALS
        assert len(error.detail) < 500
        error.detail.encode("utf-8")


@given(st.text(max_size=80), st.binary(max_size=200))
def test_any_topic_and_any_bytes(topic: str, payload: bytes) -> None:
    survives(topic, payload)


@given(TOPICS, st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=9))
def test_the_protocols_own_keys_with_any_values(topic: str, fields: dict[str, Any]) -> None:
    survives(topic, json.dumps(fields).encode())


@given(st.sampled_from(UP), st.data())
def test_golden_payloads_with_bytes_changed(golden: GoldenPayload, data: st.DataObject) -> None:
    damaged = bytearray(golden.payload or b"{}")
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    survives(golden.topic, bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    survives(golden.topic, bytes(damaged))


@given(
    st.sampled_from(DOWNLINK),
    st.dictionaries(
        st.sampled_from(
            [
                "image_name",
                "Image_name",
                "ACK_OK",
                "missing_chunks",
                "capture_image",
                "send_image",
                "next_wake",
                "chunks_to_send",
            ]
        ),
        VALUES,
    ),
    st.sampled_from(sorted(DIALECTS)),
)
def test_a_device_survives_any_reply(channel: Any, fields: dict[str, Any], dialect: str) -> None:
    try:
        decode_reply(channel, json.dumps(fields).encode(), NOW, DIALECTS[dialect])
    except RemoteProtocolError as error:
        assert error.reason in REFUSALS


@given(
    st.sampled_from(sorted(DIALECTS)),
    st.integers(1, 100_000),
    st.integers(16, 4_096),
    st.datetimes(datetime(2020, 1, 1), datetime(2100, 12, 31), timezones=st.just(UTC)),
)
def test_metadata_of_every_dialect_comes_back_as_it_was(name: str, size: int, chunk: int, at: datetime) -> None:
    dialect = DIALECTS[name]
    sent = Metadata(
        device_id="B8F862F9C1C4",
        image_name="image_1.jpg",
        captured_at=at.replace(microsecond=0),
        image_size_bytes=size,
        chunk_size_bytes=chunk,
        total_chunks=-(-size // chunk),
        location="",
        image_sha256="ab" * 32 if dialect.sends_sha256 else None,
        dialect=name,
    )
    channel, payload = encode_device_message(sent, dialect)
    _, received = decode(f"{dialect.family}/B8F862F9C1C4/{channel}", payload)
    assert received == sent
