"""Events cross a process border unchanged; the trace reads as a sequence; a command reproduces a scenario."""

from __future__ import annotations

import io
import json

import msgspec
import pytest

from harness.events import Event, from_json, reproduce_command, to_json
from harness.history import Header, History
from harness.report.json_lines import JsonLinesReporter
from harness.trace import sequence_lines
from tests.support.results import FAILED, PASSED, suite_events

HEADER = Header(
    scenario="a", seed=1, bench="embedded", wakestorm="0", python="3", postgres_major=18, architecture="x86_64"
)


@pytest.mark.parametrize("event", suite_events(PASSED, FAILED), ids=lambda event: type(event).__name__)
def test_events_survive_the_way_through_json(event: Event) -> None:
    assert from_json(to_json(event)) == event


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(KeyError):
        from_json(b'{"event": "Other"}')
    with pytest.raises(msgspec.ValidationError):
        from_json(b'{"event": "SuiteEnded", "verdict": "GREAT", "wall_s": 1}')


def test_json_lines_has_one_object_a_line_without_histories() -> None:
    stream = io.StringIO()
    reporter = JsonLinesReporter(stream)
    events = suite_events(PASSED, FAILED)
    for event in events:
        reporter.on_event(event)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [type(event).__name__ for event in events]
    ended = [line for line in lines if line["event"] == "ScenarioEnded"]
    assert ended[1]["result"]["verdict"] == "FAIL"
    assert all(line["history_jsonl"] == "" and line["ledger"] == [] for line in ended)


def test_reproduce_command_quotes_and_names_another_bench() -> None:
    assert reproduce_command("scenarios/a.yaml::n=5", 4211) == "wakestorm run scenarios/a.yaml::n=5 --seed 4211"
    assert reproduce_command("a b.yaml", 1, "processes") == "wakestorm run 'a b.yaml' --seed 1 --bench processes"


def test_the_trace_folds_chunks_and_shows_one_device() -> None:
    history = History(HEADER)
    history.append(0, "message", "yard[0]", direction="up", topic="E/A/status", payload={"pendingImg": 0})
    history.append(5, "message", "yard[1]", direction="up", topic="E/B/status", payload={"pendingImg": 7})
    history.append(9, "message", "yard[0]", direction="down", topic="E/A/cmd", payload={"capture_image": True})
    for index in range(6):
        payload = {"image_name": "image_1.jpg", "chunk_id": index, "size_bytes": 100}
        history.append(20 + index, "message", "yard[0]", direction="up", topic="E/A/data", payload=payload)
    history.append(30, "fault", "yard[0]", action="power_loss", address="chunk[5].sent")
    lines = sequence_lines(history, "yard[0]")
    assert len(lines) == 4
    assert lines[0].startswith("00:00:00.000  yard[0]      --> status")
    assert lines[1].startswith("00:00:00.009  yard[0]      <-- cmd")
    assert "chunk 0..5 (6 messages) of image_1.jpg" in lines[2]
    assert "fault: action power_loss, address chunk[5].sent" in lines[3]


def test_a_long_trace_keeps_its_start_and_its_end() -> None:
    history = History(HEADER)
    for index in range(100):
        history.append(index, "fault", "yard[0]", action=f"n{index:02d}")
    lines = sequence_lines(history, limit=10)
    assert len(lines) == 10
    assert "n00" in lines[0]
    assert "n99" in lines[-1]
    assert "91 lines left out" in lines[3]
