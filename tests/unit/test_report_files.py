"""The run's folder and junit.xml: whole files, plan order, a published schema, a link that moves in one step."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import jsonschema

from harness.events import ScenarioResult
from harness.report.files import RunFiles
from harness.report.junit import JunitReporter, junit_xml
from harness.report.schema import SCHEMA_PATH, verdict_schema, verdict_schema_text
from harness.verdict import Verdict
from tests.support.results import FAILED, FAILURE, PASSED, UNDECIDED, suite_events

PROJECT = Path(__file__).resolve().parents[2]


def written(folder: Path, *results: ScenarioResult, planned: tuple[str, ...] | None = None) -> RunFiles:
    files = RunFiles(folder, "2026-01-05T12-00-00Z", wakestorm="0.1.0")
    for event in suite_events(*results, planned=planned):
        files.on_event(event)
    return files


def test_verdict_json_follows_its_published_schema(tmp_path: Path) -> None:
    files = written(tmp_path, PASSED, FAILED, UNDECIDED)
    document = json.loads((files.folder / "verdict.json").read_text())
    jsonschema.validate(document, verdict_schema())
    assert document["verdict"] == "FAIL"
    assert document["counts"] == {
        "passed": 1,
        "failed": 1,
        "inconclusive": 1,
        "error": 0,
        "not_run": 0,
        "not_for_dut": 0,
    }
    assert document["run"] == "2026-01-05T12-00-00Z"
    assert document["scenarios"][1]["failures"][0]["rows"][0]["received_chunks"] == 6


def test_the_published_schema_is_current_and_refuses_other_documents() -> None:
    assert (PROJECT / SCHEMA_PATH).read_text() == verdict_schema_text()
    validator = jsonschema.Draft202012Validator(verdict_schema())
    validator.check_schema(verdict_schema())
    assert not validator.is_valid({"version": 1})
    assert not validator.is_valid([])


def test_files_stand_in_plan_order_whatever_ended_first(tmp_path: Path) -> None:
    files = written(tmp_path, UNDECIDED, FAILED, PASSED, planned=(PASSED.id, FAILED.id, UNDECIDED.id, "never.yaml"))
    document = json.loads((files.folder / "verdict.json").read_text())
    assert [item["id"] for item in document["scenarios"]] == [PASSED.id, FAILED.id, UNDECIDED.id]
    assert document["counts"]["not_run"] == 1
    history = [json.loads(line) for line in (files.folder / "history.jsonl").read_text().splitlines()]
    assert [line["scenario"] for line in history] == [PASSED.id] * 2 + [FAILED.id] * 2 + [UNDECIDED.id] * 2
    assert history[0]["kind"] == "header"
    assert (files.folder / "history.jsonl").read_text().splitlines()[0].count('"scenario"') == 1
    ledger = (files.folder / "ledger.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in ledger] == ["scenario", PASSED.id, FAILED.id, UNDECIDED.id]


def test_latest_points_at_the_newest_run_and_nothing_is_left_half_written(tmp_path: Path) -> None:
    first = written(tmp_path, PASSED)
    assert (tmp_path / "latest").resolve() == first.folder.resolve()
    second = written(tmp_path, FAILED)
    assert second.folder.name == "2026-01-05T12-00-00Z-2"
    assert (tmp_path / "latest").resolve() == second.folder.resolve()
    assert sorted(path.name for path in tmp_path.iterdir()) == [first.folder.name, second.folder.name, "latest"]
    assert sorted(path.name for path in second.folder.iterdir()) == ["history.jsonl", "ledger.csv", "verdict.json"]


def test_latest_does_not_move_before_the_end(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "a", wakestorm="0.1.0")
    for event in suite_events(PASSED)[:-1]:
        files.on_event(event)
    assert not (tmp_path / "latest").exists()


def test_junit_counts_and_places_every_case(tmp_path: Path) -> None:
    reporter = JunitReporter(tmp_path / "junit.xml")
    broken = replace(PASSED, id="scenarios/c.yaml", file="scenarios/c.yaml", case="", verdict=Verdict.ERROR)
    ids = (PASSED.id, FAILED.id, UNDECIDED.id, broken.id, "scenarios/never.yaml")
    for event in suite_events(PASSED, FAILED, UNDECIDED, broken, planned=ids):
        reporter.on_event(event)
    root = ET.fromstring((tmp_path / "junit.xml").read_bytes())
    assert root.tag == "testsuites"
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "1", "3")
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["scenarios/resume/cut.yaml", "scenarios/b.yaml", "scenarios/c.yaml", "scenarios/never.yaml"]
    for suite in root:
        assert int(suite.get("tests", "0")) == len(suite.findall("testcase"))
        for case in suite:
            assert case.get("classname")
            assert float(case.get("time", "x")) >= 0
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == FAILURE.title
    assert FAILURE.reproduce in (failure.text or "")
    assert root.find(".//testcase[@name='B & <c>']") is not None


def test_junit_stays_valid_xml_with_control_characters() -> None:
    failure = replace(FAILURE, title="a\x00b\x1b", found="\ud800 \uffff\x0b]]>")
    root = ET.fromstring(junit_xml([replace(FAILED, failures=(failure,))]))
    element = root.find(".//failure")
    assert element is not None
    assert element.get("message") == "a\\x00b\\x1b"


def test_junit_of_nothing_is_valid() -> None:
    assert ET.fromstring(junit_xml([])).get("tests") == "0"
