"""docs/asyncapi.yaml agrees with the code, and golden payloads validate (or not) as they are read (or refused).

covers: facts/replies
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from firmware_fixtures.wire import GoldenPayload, golden_payloads
from server.wire import limits
from server.wire.dialects import CHUNK_COUNT_KEYS, DIALECTS
from server.wire.topics import DOWNLINK, UPLINK, Channel, Family, topic_of

PATH = Path(__file__).resolve().parents[2] / "docs" / "asyncapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
NOT_IN_A_SCHEMA = ("not_json", "not_an_object", "bad_topic", "bad_device_id", "identity_mismatch", "inconsistent_size")
DOWN_NAMES = {
    "Capture": "capture",
    "SendImage": "send-image",
    "Sleep": "sleep",
    "SendAllPending": "send-all-pending",
    "MissingChunks": "missing-chunks",
    "Resume": "resume",
    "Done": "done",
    "Retry": "retry",
}


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from nodes(item)
    elif isinstance(value, list):
        for item in value:
            yield from nodes(item)


def resolved(pointer: str) -> Any:
    node: Any = DOCUMENT
    for part in pointer.removeprefix("#/").split("/"):
        node = node[part]
    return node


def validator(name: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator({"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]})


def parsed(golden: GoldenPayload) -> Any:
    return json.loads(golden.payload.decode("utf-8").translate({0x201C: '"', 0x201D: '"'}))


def schema_name(golden: GoldenPayload, fields: dict[str, Any]) -> str:
    """Which message of the document a device's payload is, by the rule of its description."""
    if golden.topic.endswith("/status"):
        return "hello"
    if "chunk_id" in fields:
        return "chunk-byte-list" if isinstance(fields.get("payload"), list) else "chunk-base64"
    return f"metadata-{golden.dialect}" if any(key in fields for key in CHUNK_COUNT_KEYS) else "telemetry"


def refused_by_schema() -> list[GoldenPayload]:
    """Bad payloads whose fault is one that a schema can tell."""
    return [g for g in golden_payloads() if g.reasons and not set(g.reasons) & set(NOT_IN_A_SCHEMA)]


def test_the_document_is_asyncapi_3() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    for channel in DOCUMENT["channels"].values():
        placeholders = {part[1:-1] for part in channel["address"].split("/") if part.startswith("{")}
        assert placeholders == channel["parameters"].keys()
        assert channel["messages"]
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert operation["channel"]["$ref"].startswith("#/channels/")
    for message in DOCUMENT["components"]["messages"].values():
        assert message["payload"]["$ref"].startswith("#/components/schemas/")


def test_every_reference_has_its_target() -> None:
    pointers = [node["$ref"] for node in nodes(DOCUMENT) if "$ref" in node]
    assert len(pointers) > 50
    for pointer in pointers:
        assert isinstance(resolved(pointer), dict), pointer


def test_every_part_is_used() -> None:
    pointers = {node["$ref"] for node in nodes(DOCUMENT) if "$ref" in node}
    for kind in ("messages", "schemas", "parameters"):
        assert [name for name in DOCUMENT["components"][kind] if f"#/components/{kind}/{name}" not in pointers] == []
    channels = {operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values()}
    assert channels == {f"#/channels/{name}" for name in DOCUMENT["channels"]}


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_a_json_schema(name: str) -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMAS[name])


def test_channels_are_the_topics_of_the_code_with_the_right_direction() -> None:
    expected = {
        topic_of(family, "X", channel): "receive" if channel in UPLINK else "send"
        for family in Family
        for channel in (*UPLINK, *DOWNLINK)
    }
    found = {}
    for operation in DOCUMENT["operations"].values():
        channel = resolved(operation["channel"]["$ref"])
        topic = "/".join("X" if part.startswith("{") else part for part in channel["address"].split("/"))
        found[topic] = operation["action"]
        assert operation["bindings"]["mqtt"] == {"qos": 1, "retain": False}
    assert found == expected
    assert topic_of(Family.DEVICE, "X", Channel.RETRY) in found


def test_limits_are_those_of_the_code() -> None:
    assert SCHEMAS["image-size"]["maximum"] == limits.IMAGE_SIZE_BYTES_MAX
    assert SCHEMAS["chunk-size"]["maximum"] == limits.CHUNK_SIZE_BYTES_MAX
    assert SCHEMAS["chunk-count"]["maximum"] == limits.CHUNK_COUNT_MAX
    assert SCHEMAS["pending-count"]["maximum"] == limits.PENDING_COUNT_MAX
    assert SCHEMAS["image-name"]["maxLength"] == limits.IMAGE_NAME_LENGTH_CHARS_MAX
    assert SCHEMAS["device-id"]["maxLength"] == limits.DEVICE_ID_LENGTH_CHARS_MAX
    assert SCHEMAS["free-text"]["maxLength"] == limits.PAYLOAD_TEXT_LENGTH_CHARS_MAX
    assert SCHEMAS["chunk-byte-list"]["properties"]["payload"]["maxItems"] == limits.CHUNK_SIZE_BYTES_MAX
    base64_max = SCHEMAS["chunk-base64"]["properties"]["payload"]["maxLength"]
    assert base64_max == -(-limits.CHUNK_SIZE_BYTES_MAX // 3) * 4


@pytest.mark.parametrize("name", DIALECTS)
def test_metadata_schemas_have_the_keys_of_their_dialect(name: str) -> None:
    dialect = DIALECTS[name]
    parts = SCHEMAS[f"metadata-{name}"]["allOf"]
    own = parts[-1]
    assert {dialect.time_key, dialect.chunk_size_key, dialect.chunk_count_key} <= own["properties"].keys()
    assert {dialect.chunk_size_key, dialect.chunk_count_key} <= set(own["required"])
    assert ("sensor_data" in own["properties"]) is dialect.sensors_nested
    assert ({"$ref": "#/components/schemas/sensors"} in parts) is not dialect.sensors_nested
    assert ("image_sha256" in own["properties"]) is dialect.sends_sha256
    form = "byte-list" if dialect.payload_form == "byte_list" else "base64"
    assert SCHEMAS[f"chunk-{form}"]["properties"]["chunk_id"]["minimum"] == dialect.first_chunk_id


@pytest.mark.parametrize(
    "golden", [g for g in golden_payloads() if g.expected is not None], ids=lambda golden: golden.name
)
def test_good_golden_payloads_follow_the_document(golden: GoldenPayload) -> None:
    assert golden.expected is not None
    fields = parsed(golden)
    if golden.direction == "down":
        name = DOWN_NAMES[golden.expected["message"]]
        fields = {("image_name" if key == "Image_name" else key): value for key, value in fields.items()}
    else:
        name = schema_name(golden, fields)
    validator(name).validate(fields)
    channel = next(c for c in DOCUMENT["channels"].values() if matches_address(c["address"], golden.topic))
    assert name in channel["messages"]


def matches_address(address: str, topic: str) -> bool:
    wanted, given = address.split("/"), topic.split("/")
    return len(wanted) == len(given) and all(w.startswith("{") or w == g for w, g in zip(wanted, given, strict=True))


@pytest.mark.parametrize("golden", refused_by_schema(), ids=lambda golden: golden.name)
def test_bad_golden_payloads_break_the_document_too(golden: GoldenPayload) -> None:
    fields = parsed(golden)
    assert not validator(schema_name(golden, fields)).is_valid(fields)


def test_enough_bad_payloads_are_told_by_a_schema() -> None:
    assert len(refused_by_schema()) >= 50


@pytest.mark.parametrize("text", ["05:30PM", "13:00PM", "5:30 pm", "5PM", "17:30", "0:30AM", "5:60PM"])
def test_other_wake_times_are_refused(text: str) -> None:
    assert not validator("wake-time").is_valid(text)
    assert validator("wake-time").is_valid("12:05AM")
