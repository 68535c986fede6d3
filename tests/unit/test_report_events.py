"""Events cross a process border unchanged; the trace reads as a sequence; a command reproduces a scenario."""

from __future__ import annotations

import io
import json

import msgspec
import pytest

from harness.events import Event, from_json, reproduce_command, to_json
from harness.report.json_lines import JsonLinesReporter
from tests.support.results import FAILED, PASSED, suite_events


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
