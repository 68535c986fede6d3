"""The history: same appends, same bytes; nothing of the machine in it; queries that checks use."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history import Header, History, Numbering
from harness.jsonable import json_line, plain

IMAGE = UUID("57b7f85e-354f-4a51-a8f8-5aecff515768")
SESSION = UUID("cefbdf87-34d7-435b-9bf4-fd9f4b6c02c7")
HEADER = Header(
    scenario="scenarios/a.yaml",
    seed=4211,
    bench="embedded",
    wakestorm="0.1.0",
    python="3.11.9",
    postgres_major=18,
    architecture="x86_64",
    options={"time_limit_ms": 86_400_000},
)


def filled(image: UUID, session: UUID) -> History:
    history = History(HEADER)
    history.append(0, "invoke", "runner", step=0, line=12)
    history.append(10, "message", "yard[0]", direction="up", topic="ESP32CAM/A/status", payload={"pendingImg": 1})
    history.append(11, "log", "server", text=f"resuming {image}", device="yard[0]")
    history.append(12, "message", "yard[0]", direction="down", topic="ESP32CAM/A/ack", payload={"ACK_OK": {}})
    history.append(13, "row", "server", table="device_images", values={"image_id": image, "session_id": session})
    history.append(20, "capture", "yard[0]", image_name="image_1.jpg", sha256="aa", size_bytes=5)
    history.append(21, "capture", "yard[1]", image_name="image_1.jpg", sha256="bb", size_bytes=5)
    return history


def test_same_appends_give_the_same_bytes_whatever_the_ids() -> None:
    first = filled(IMAGE, SESSION)
    second = filled(SESSION, IMAGE)
    assert first.to_jsonl() == second.to_jsonl()
    assert first.sha256() == second.sha256()


def test_the_hash_sees_every_record() -> None:
    first = filled(IMAGE, SESSION)
    before = first.sha256()
    first.append(22, "info", "runner")
    assert first.sha256() != before


def test_each_line_is_json_with_sorted_keys_and_the_header_is_first() -> None:
    lines = filled(IMAGE, SESSION).to_jsonl().splitlines()
    assert json.loads(lines[0])["kind"] == "header"
    assert json.loads(lines[0])["seed"] == 4211
    for line in lines:
        assert list(json.loads(line)) == sorted(json.loads(line))
    assert len(lines) == 8


def test_ids_are_named_by_their_key_and_by_first_appearance() -> None:
    row = filled(IMAGE, SESSION).of_kind("row")[0]
    assert row.fields["values"] == {"image_id": "uuid#1", "session_id": "device_wake_sessions#1"}
    numbering = Numbering()
    assert numbering.name(IMAGE, "device_images") == "device_images#1"
    assert numbering.name(SESSION, "device_images") == "device_images#2"
    assert numbering.name(str(IMAGE).upper()) == "device_images#1"


def test_ids_inside_text_are_replaced_and_hashes_are_not() -> None:
    numbering = Numbering()
    assert numbering.applied(f"image {IMAGE} of {SESSION}, again {IMAGE}") == "image uuid#1 of uuid#2, again uuid#1"
    assert numbering.applied("ab" * 32) == "ab" * 32


def test_numbering_does_not_depend_on_the_order_of_keys() -> None:
    one = Numbering().applied({"b": str(IMAGE), "a": str(SESSION)})
    other = Numbering().applied({"a": str(SESSION), "b": str(IMAGE)})
    assert one == other == {"a": "uuid#1", "b": "uuid#2"}


def test_queries() -> None:
    history = filled(IMAGE, SESSION)
    assert [record.who for record in history.captures()] == ["yard[0]", "yard[1]"]
    assert [record.t_ms for record in history.captures("yard[1]")] == [21]
    assert [record.t_ms for record in history.messages("+/+/ack")] == [12]
    assert [record.t_ms for record in history.messages(direction="up")] == [10]
    assert history.messages(who="yard[1]") == ()
    assert [record.t_ms for record in history.logs("resuming")] == [11]
    assert history.logs("SNAP") == ()
    assert len(history) == len(history.records) == 7


@pytest.mark.parametrize("fields", [{"t_ms": 3}, {"kind": "x"}, {"who": "x"}, {"scenario": "x"}])
def test_a_field_may_not_hide_a_records_own(fields: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        History(HEADER).append(0, "info", "runner", **fields)


def test_time_is_never_negative() -> None:
    with pytest.raises(ValueError, match="-1 ms"):
        History(HEADER).append(-1, "info", "runner")


def test_later_changes_of_a_value_do_not_reach_the_history() -> None:
    history, payload = History(HEADER), {"pendingImg": 1}
    history.append(0, "message", "yard[0]", topic="t", payload=payload)
    payload["pendingImg"] = 2
    assert history.messages()[0].fields["payload"] == {"pendingImg": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 1, 5, 13, tzinfo=timezone(timedelta(hours=1))), "2026-01-05T12:00:00Z"),
        (datetime(2026, 1, 5, 12, tzinfo=UTC), "2026-01-05T12:00:00Z"),
        (b"text", "text"),
        (float("nan"), "nan"),
        ({"b", "a"}, ["a", "b"]),
        ((1, None, True), [1, None, True]),
        ({IMAGE: 1}, {str(IMAGE): 1}),
    ],
)
def test_plain_forms(value: object, expected: object) -> None:
    assert plain(value) == expected


def test_long_or_binary_bytes_become_size_and_hash() -> None:
    assert set(plain(b"\xff\xd8")) == {"size_bytes", "sha256"}
    assert plain(b"x" * 5_000)["size_bytes"] == 5_000


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no plain"):
        plain(object())


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_every_json_value_has_one_line_that_can_be_read_again(value: object) -> None:
    line = json_line(value)
    assert "\n" not in line
    assert json_line(json.loads(line)) == line
