"""The sequence diagram: words of the protocol, folded chunks, faults where they struck, never wider than a screen."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history import Header, History
from harness.message_words import message_words, number_ranges
from harness.sequence import Move, moves_of, shortened, with_moment
from harness.sequence_text import WIDTH_MAX, text_diagram

HEADER = Header(
    scenario="a", seed=1, bench="embedded", wakestorm="0", python="3", postgres_major=18, architecture="x86_64"
)


def message(history: History, t_ms: int, payload: Any, *, direction: str = "up", who: str = "yard[0]") -> None:
    channel = "data" if direction == "up" else "ack"
    history.append(t_ms, "message", who, direction=direction, topic=f"ESP32CAM/A/{channel}", payload=payload)


def row(history: History, t_ms: int, op: str, changes: dict[str, Any], table: str = "device_images") -> None:
    progress = f"{changes.get('received_chunks', [0, 0])[1]}/10"
    name = {"image_name": "image_1.jpg", "progress": progress} if table == "device_images" else {}
    history.aside(t_ms, "row", "yard[0]", table=table, key="k", op=op, changes=changes, **name)


def transfer() -> History:
    history = History(HEADER)
    history.append(0, "wake", "yard[0]", number=1, reason="button")
    message(history, 5, {"pendingImg": 0, "firmware_version": "3.5.0"})
    message(history, 6, {"pendingImg": 7}, who="yard[1]")
    message(history, 9, {"capture_image": True}, direction="down")
    message(history, 12, {"image_name": "image_1.jpg", "image_size": 900, "total_chunk_count": 10})
    row(history, 13, "insert", {"status": [None, "receiving"], "received_chunks": [None, 0]})
    row(history, 13, "insert", {"status": [None, "in_progress"]}, table="device_wake_sessions")
    for index in range(6):
        message(history, 20 + index, {"image_name": "image_1.jpg", "chunk_id": index})
        row(history, 20 + index, "update", {"received_chunks": [index, index + 1], "updated_at": ["x", "y"]})
    history.append(30, "fault", "yard[0]", address="chunk[5].sent", actions=["deliver", "poweroff"])
    return history


def test_a_transfer_reads_as_a_sequence() -> None:
    lines = text_diagram(moves_of(transfer().with_asides(), "yard[0]"))
    body = [line[13:] for line in lines[1:]]
    assert [line.split("|")[1].strip(" ->") if line.startswith("|") else line for line in body] == [
        "wakes, number 1 (button)",
        "HELLO (pendingImg=0)",
        "<-- SNAP: capture_image",
        "metadata image_1, 10 chunks",
        "",
        "chunks 0..5 image_1",
        "",
        "X## chunk[5].sent: then power loss|                           |",
    ]
    assert "- image_1 receiving 0/10" in body[4] and "image_1 6/10" in body[6]
    assert lines[0].split() == ["device", "server", "database"]
    assert all("pendingImg=7" not in line for line in lines)


def test_asides_are_no_part_of_the_history() -> None:
    history, other = transfer(), History(HEADER)
    for record in history:
        other.append(record.t_ms, record.kind, record.who, **record.fields)
    assert history.to_jsonl() == other.to_jsonl() and not history.of_kind("row")
    assert len(history.with_asides()) == len(history) + 8


def test_names_of_rows_do_not_change_the_names_of_the_history() -> None:
    identifier = "00000000-0000-4000-8000-00000000000"
    history = History(HEADER)
    history.aside(1, "row", "server", table="device_images", image_id=f"{identifier}2")
    history.append(2, "info", "server", image_id=f"{identifier}1")
    assert '"image_id":"device_images#1"' in history.to_jsonl()
    assert [record.fields["image_id"] for _, record in history.asides()] == ["device_images#2"]


def test_repeated_chunks_are_counted_and_gaps_are_named() -> None:
    history = History(HEADER)
    for index in (0, 1, 1, 1, 2, 5):
        message(history, index, {"image_name": "image_1.jpg", "chunk_id": index})
    assert [move.label for move in moves_of(history)] == ["yard[0]: chunks 0..2, 5 of image_1.jpg (6 messages)"]


def test_without_rows_there_is_no_lifeline_of_the_database() -> None:
    history = History(HEADER)
    message(history, 0, {"pendingImg": 0})
    assert text_diagram(moves_of(history, "yard[0]"))[0].split() == ["device", "server"]


@pytest.mark.parametrize(
    ("direction", "payload", "words"),
    [
        ("up", {"pendingImg": 2}, "HELLO (pendingImg=2)"),
        ("up", {"pending_count": 1}, "HELLO (pending_count=1)"),
        ("up", {"image_name": "i.jpg", "total_chunks_count": 3, "error": 0}, "metadata of i.jpg, 3 chunks"),
        ("up", {"image_name": "i.jpg", "chunk_id": 4}, "chunk 4 of i.jpg"),
        ("down", {"capture_image": True}, "SNAP: capture_image"),
        ("down", {"image_name": "i.jpg", "ACK_OK": {}}, "ACK_OK, go on with i.jpg"),
        (
            "down",
            {"image_name": "i.jpg", "ACK_OK": {"next_wake_time": "3:00AM"}},
            "ACK_OK for i.jpg, wake 3:00AM",
        ),
        ("down", {"image_name": "i.jpg", "missing_chunks": [6, 7, 9]}, "missing 6..7, 9 of i.jpg"),
        ("down", {"next_wake": "5:30PM"}, "SLEEP, wake 5:30PM"),
        ("down", {"what": 1}, 'cmd {"what":1}'),
    ],
)
def test_messages_have_the_words_of_the_protocol(direction: str, payload: dict[str, Any], words: str) -> None:
    assert message_words({"direction": direction, "topic": "ESP32CAM/A/cmd", "payload": payload}) == words


def test_a_long_trace_keeps_its_start_and_its_end_and_counts_the_faults_between() -> None:
    moves = [
        Move(t_ms=n, source="device", target="device", label=f"n{n:02d}", tone="fault" if n == 50 else "plain")
        for n in range(100)
    ]
    labels = [move.label for move in shortened(moves, 10)]
    assert labels[0] == "n00" and labels[-1] == "n99" and len(labels) == 10
    assert "... 91 lines left out, 1 fault among them ..." in labels


def test_the_moment_that_was_found_wrong_ends_the_diagram() -> None:
    moves = [Move(t_ms=n, source="device", target="server", label=f"n{n}") for n in range(10)]
    lines = text_diagram(with_moment(moves, 4, "here it did not hold"))
    assert [line[13:].split()[-1].strip("|->") for line in lines[-3:]] == ["hold", "", ""]
    assert "n6" in lines[-1] and "n7" not in "".join(lines)


def test_who_sleeps_or_is_down_gets_nothing() -> None:
    history = History(HEADER)
    history.append(0, "server", "server0", action="started")
    history.append(1, "wake", "yard[0]", number=1, reason="timer")
    message(history, 2, {"capture_image": True}, direction="down")
    history.append(3, "sleep", "yard[0]", until_ms=9)
    message(history, 4, {"capture_image": True}, direction="down")
    history.append(5, "server", "server0", action="crashed")
    message(history, 6, {"pendingImg": 1})
    history.append(7, "server", "server0", action="started")
    message(history, 8, {"pendingImg": 1})
    history.append(9, "check", "runner", failed=[])
    history.append(10, "server", "server0", action="stopped")
    moves = [move for move in moves_of(history, "yard[0]") if move.source != move.target]
    assert [(move.target, "held: " in move.label) for move in moves] == [
        ("device", False),
        ("broker", True),
        ("broker", True),
        ("server", False),
    ]
    assert all(move.t_ms < 9 for move in moves_of(history))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["image_name", "chunk_id", "missing_chunks", "ACK_OK", "pendingImg", "next_wake", "x"])


@given(
    st.lists(st.tuples(st.sampled_from(["up", "down"]), st.dictionaries(KEYS, JSON, max_size=4) | JSON), max_size=12)
)
def test_whatever_is_sent_the_diagram_is_drawn_and_fits(messages: list[tuple[str, Any]]) -> None:
    history = History(HEADER)
    for number, (direction, payload) in enumerate(messages):
        message(history, number, payload, direction=direction)
    lines = text_diagram(moves_of(history, "yard[0]"))
    assert all(len(line) <= WIDTH_MAX for line in lines)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40))
def test_ranges_name_each_number_once(numbers: list[int]) -> None:
    text = number_ranges(numbers)
    if "more" in text:
        return
    named: list[int] = []
    for part in text.split(", "):
        first, _, last = part.partition("..")
        named += range(int(first), int(last or first) + 1)
    assert named == sorted(set(numbers))


def test_a_log_line_that_comes_again_and_again_stands_once_until_something_else_happens() -> None:
    said = [
        (1, "error: no database"),
        (1, "warning: lost"),
        (2, "error: no database"),
        (3, ""),
        (4, "error: no database"),
    ]
    told = [
        Move(t_ms=t_ms, source="server", target="server", label=label)
        if label
        else Move(t_ms=t_ms, source="device", target="device", label="sleeps")
        for t_ms, label in said
    ]
    words = ["-- error, 2 times: no", "-- warning: lost", "-- sleeps", "-- error: no database"]
    lines = [line for line in text_diagram(told) if "-- " in line]
    assert [word in line for word, line in zip(words, lines, strict=True)] == [True] * 4


@pytest.mark.parametrize(
    ("actions", "words"), [(["change"], "changed on its way"), (["delay", "5000 ms"], "arrives 5000 ms later")]
)
def test_what_became_of_a_message_is_said_in_words(actions: list[str], words: str) -> None:
    history = History(HEADER)
    history.append(3, "fault", "yard[0]", address="chunk[1].sent", actions=actions)
    (move,) = moves_of(history.with_asides(), "yard[0]")
    assert move.label == f"chunk[1].sent: {words}"
