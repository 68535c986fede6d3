"""A corpus of what devices may say: each message with what must become of it. The same messages every time.

A message is taken, or refused with one of the reasons that are expected of its class. Anything else is a defect.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from firmware_fixtures.wire import golden_payloads
from server.wire import limits
from server.wire.codec import REFUSALS, decode
from server.wire.errors import RemoteProtocolError
from simulator.rng import Rng

MAC: Final = "B8F862F9C1C4"
OTHER: Final = "A4CF12000001"
NAMED_OTHERWISE: Final[tuple[Any, ...]] = (
    OTHER, OTHER.lower(), "A4:CF:12:00:00:01", MAC + "0", MAC[:-1], "", [MAC], {"x": MAC}, 7, True,
)  # fmt: skip
MUTATIONS: Final = 4_200
"""Messages made of good ones by changing bytes: some of them are still good."""

FUZZED_BYTES_MAX: Final = 10_000
"""Longer golden payloads are bombs; they stand in the corpus, and slow changed ones down without a new outcome."""

TAKEN: Final = ""
"""Instead of a reason: the message is taken."""

ANY: Final = (TAKEN, *REFUSALS)

HELLO: Final[dict[str, Any]] = {"device_id": MAC, "status": "Alive", "pendingImg": 0, "battery_voltage": 3.9}
METADATA: Final[dict[str, Any]] = {
    "device_id": MAC,
    "image_name": "image_1.jpg",
    "timestamp": "2026-01-05T03:00:00Z",
    "image_size": 3_000,
    "max_chunks_size": 1_000,
    "total_chunk_count": 3,
    "location": "yard",
    "error": 0,
    "sensor_data": {"temperature": 20.5, "humidity": 40},
}
CHUNK: Final[dict[str, Any]] = {
    "device_id": MAC, "image_name": "image_1.jpg", "chunk_id": 0, "max_chunk_size": 1_000, "payload": "AAEC",
}  # fmt: skip
TELEMETRY: Final[dict[str, Any]] = {"device_id": MAC, "battery_voltage": 3.9, "wifi_rssi": -60, "temperature": 3}

ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**31 - 1, 2**63, -(2**63), 10**30, 1.5, 1e308, -0.0, "", " ", "0", "NaN",
    "Alive", "\x00", "a\x00b", "../../etc/passwd", "..", "a/b", "\\", "x" * 4_096, "\u202e", "\ud7ff",
    "'; DROP TABLE--", "${jndi:ldap://x}", "<script>", "%s%n", [], [1], [[]], [None], {}, {"a": 1}, [0] * 300,
    "2026-13-45T99:99:99Z",
)  # fmt: skip

TOO_DEEP: Final = 100_000


@dataclass(frozen=True, slots=True)
class Case:
    """One message; `may_be` are the reasons that are right, `TAKEN` among them where it may be taken."""

    topic: str
    payload: bytes
    may_be: tuple[str, ...]


def outcome_of(case: Case) -> str:
    """What becomes of it: TAKEN or a reason. Lets every other error pass: that is a defect."""
    try:
        decode(case.topic, case.payload)
    except RemoteProtocolError as error:
        return error.reason
    return TAKEN


def corpus() -> list[Case]:
    """Every case, in a fixed order; at least 5,000."""
    return [*_good(), *_topics(), *_not_json(), *_identities(), *_odd_fields(), *_limits(), *_mutations()]


def _uplink(channel: str, device_id: str = MAC, family: str = "ESP32CAM") -> str:
    return f"{family}/{device_id}/{channel}"


def _templates() -> list[tuple[str, dict[str, Any]]]:
    return [("status", HELLO), ("data", METADATA), ("data", CHUNK), ("data", TELEMETRY)]


def _good() -> Iterator[Case]:
    for family in ("ESP32CAM", "device"):
        for channel, fields in _templates():
            yield Case(_uplink(channel, family=family), _json(fields), (TAKEN,))
            yield Case(_uplink(channel, family=family), _json(fields).replace(b'"', "\u201c".encode()), (TAKEN,))
            yield Case(_uplink(channel, "b8:f8:62:f9:c1:c4", family), _json(fields), (TAKEN,))


def _topics() -> Iterator[Case]:
    bad = ["", "/", "a", "ESP32CAM", f"ESP32CAM/{MAC}", f"ESP32CAM/{MAC}/cmd", f"ESP32CAM/{MAC}/ack", "x/y/z"]
    bad += [f"ESP32CAM/{MAC}/status/x", f"/ESP32CAM/{MAC}/status", f"esp32cam/{MAC}/status", f"ESP32CAM//{MAC}/status"]
    bad += [f"enrol/ESP32CAM/{MAC}/data", f"enrol/enrol/ESP32CAM/{MAC}/status", "$SYS/x/status", "x" * 65_535]
    for topic in bad:
        for _, fields in _templates():
            yield Case(topic, _json(fields), ("bad_topic",))
    for device_id in ("", " ", "a b", "#", "+", "a\x00b", "\u202e", "x" * 65, "..%2f", "ä", "'", "$(id)"):
        yield Case(_uplink("status", device_id), _json(HELLO), ("bad_device_id",))


def _not_json() -> Iterator[Case]:
    texts = [b"", b" ", b"{", b"}", b"[", b'"', b"{]", b"nul", b"NaN", b"\x00", b"\xff" * 50, b"{'a': 1}"]
    texts += [b"{" * 100, b"[" * TOO_DEEP, b'{"a":' * TOO_DEEP, _json(HELLO)[:-1], b"\xef\xbb\xbf" + _json(HELLO)]
    texts += [_json(HELLO) + b"x", b'{"a": 01}', b'{"a": \xed\xa0\x80}', b'{"device_id": "\xff"}', b"<xml/>"]
    for channel in ("status", "data"):
        for text in texts:
            yield Case(_uplink(channel), text, ("not_json",))
        for text in (b"1", b"null", b"true", b"[]", b'"x"', b"-0.5e9"):
            yield Case(_uplink(channel), text, ("not_an_object",))
        yield Case(_uplink(channel), b" " * (limits.PAYLOAD_SIZE_BYTES_MAX + 1), ("too_large",))


def _identities() -> Iterator[Case]:
    """S2: a payload that names another device than its topic; also in other types, spellings and keys."""
    for channel, fields in _templates():
        for key in ("device_id", "device_mac"):
            for named in NAMED_OTHERWISE:
                yield Case(_uplink(channel), _json(fields | {key: named}), ("identity_mismatch",))
            for own in (MAC, MAC.lower(), "B8-F8-62-F9-C1-C4", f" {MAC} ", None):
                yield Case(_uplink(channel), _json(fields | {key: own}), (TAKEN,))


def _odd_fields() -> Iterator[Case]:
    """Each field of each message with every odd value, and without it."""
    for channel, fields in _templates():
        for key in fields:
            if key == "device_id":
                continue
            for value in ODD:
                yield Case(_uplink(channel), _json(fields | {key: value}), ANY)
            yield Case(_uplink(channel), _json({name: fields[name] for name in fields if name != key}), ANY)


def _limits() -> Iterator[Case]:
    """One beyond each limit, and one at it."""
    most = limits.CHUNK_COUNT_MAX
    size, chunk = limits.IMAGE_SIZE_BYTES_MAX, limits.CHUNK_SIZE_BYTES_MAX
    for total in (0, -1, most + 1, 2**31, 2**31 - 1, 2**32, 2**63, 2**64, 1e300):
        yield Case(_uplink("data"), _json(METADATA | {"total_chunk_count": total}), ("bad_number", "inconsistent_size"))
    for index in (-1, most + 1, 2**31, 2**63):
        yield Case(_uplink("data"), _json(CHUNK | {"chunk_id": index}), ("bad_number",))
    for bytes_ in (0, -1, size + 1, 2**31, 2**63):
        yield Case(_uplink("data"), _json(METADATA | {"image_size": bytes_}), ("bad_number",))
    for bytes_ in (0, chunk + 1, 2**31):
        yield Case(_uplink("data"), _json(METADATA | {"max_chunks_size": bytes_}), ("bad_number",))
    yield Case(_uplink("data"), _json(METADATA | {"total_chunk_count": 3_001}), ("inconsistent_size",))
    yield Case(_uplink("data"), _json(METADATA | {"image_size": 3_001}), ("inconsistent_size",))
    whole = METADATA | {"image_size": size, "total_chunk_count": most, "max_chunks_size": chunk}
    yield Case(_uplink("data"), _json(whole), (TAKEN,))
    yield Case(_uplink("data"), _json(CHUNK | {"payload": "A" * (chunk * 2)}), ("bad_payload",))
    yield Case(_uplink("data"), _json(CHUNK | {"payload": [256]}), ("bad_payload",))
    yield Case(_uplink("status"), _json(HELLO | {"pendingImg": 2**31}), ("bad_number",))
    yield Case(_uplink("status"), _json(HELLO | {"pending_list": ["../x"]}), ("bad_text",))


def _mutations() -> Iterator[Case]:
    """Good messages with bytes changed, cut out, doubled or moved: any outcome is right, a crash is not."""
    chance = Rng("hostile payloads")
    templates = _templates()
    for number in range(MUTATIONS):
        channel, fields = templates[number % len(templates)]
        yield Case(_uplink(channel), mutated(_json(fields), chance), ANY)


def fuzz(count: int) -> Iterator[Case]:
    """S4: golden payloads with fields changed, bytes changed, or two of them cut together.

    On the topics of both, or on one with bytes changed. The same ones every time.
    """
    chance = Rng("hostile fuzz")
    golden = [(item.topic, item.payload) for item in golden_payloads() if item.direction == "up" and item.payload]
    golden = [(topic, payload) for topic, payload in golden if len(payload) <= FUZZED_BYTES_MAX]
    objects = [fields for _, payload in golden if (fields := _object_of(payload))]
    for _ in range(count):
        topic, payload = chance.choice(golden)
        kind = chance.between(0, 9)
        if kind == 0:
            other = chance.choice(golden)[1]
            payload = payload[: chance.between(0, len(payload))] + other[chance.between(0, len(other)) :]
        elif kind == 1:
            topic = mutated(topic.encode(), chance).decode(errors="replace")
        elif kind <= 5:
            payload = mutated(payload, chance)
        else:
            payload = _json(_with_changed_fields(_object_of(payload) or HELLO, objects, chance))
        yield Case(topic, payload, ANY)


def _object_of(payload: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value else None


def _with_changed_fields(fields: dict[str, Any], objects: list[dict[str, Any]], chance: Rng) -> dict[str, Any]:
    """One to three more fields, or other values in them: odd ones, or those of other messages."""
    out = dict(fields)
    for _ in range(chance.between(1, 3)):
        other = chance.choice(objects)
        key = chance.choice([*fields, *other])
        out[key] = chance.choice(ODD) if chance.chance(0.5) else other[chance.choice(list(other))]
    return out


def mutated(data: bytes, chance: Rng) -> bytes:
    """One to four changes."""
    out = bytearray(data)
    for _ in range(chance.between(1, 4)):
        at = chance.between(0, max(len(out) - 1, 0))
        kind = chance.between(0, 3)
        if kind == 0 and out:
            out[at] = chance.between(0, 255)
        elif kind == 1:
            del out[at : at + chance.between(1, 9)]
        elif kind == 2:
            out[at:at] = out[at : at + chance.between(1, 30)]
        else:
            out[at:at] = bytes([chance.between(0, 255)])
    return bytes(out)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
