"""The HTML report: structure, no network, nothing that a device or a scenario says becomes markup, bounded in size."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.detail import Detail, Picture, RowStory
from harness.events import ScenarioEnded, ScenarioResult, SuiteEnded, SuiteStarted
from harness.history import Header, History
from harness.report import html
from harness.report.files import RunFiles
from harness.report.folder import read_run
from harness.report.html import ReportSource, report_html
from harness.report.sequence_svg import sequence_svg
from harness.sequence import moves_of
from harness.verdict import Verdict
from tests.support.results import FAILED, FAILURE, PASSED

VOID = {"meta", "input", "br", "img", "link", "hr"}
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}\x00\x1b]8;;\u202e"


class Page(HTMLParser):
    """Elements with their attributes; raises for tags that do not close in order, and for double ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"left open: {self.open}"
        ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        assert len(ids) == len(set(ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def history_of(result: ScenarioResult, text: str = "hello") -> History:
    header = Header(
        scenario=result.id, seed=1, bench="embedded", wakestorm="0", python="3", postgres_major=18, architecture="a"
    )
    history = History(header)
    history.append(5, "wake", "yard[0]", number=1, reason="button")
    history.append(10, "message", "yard[0]", direction="up", topic="E/A/status", payload={"pendingImg": 0, "x": text})
    history.append(12, "log", "yard[0]", level="warning", text=text, source="server")
    history.append(20, "fault", "yard[0]", address="chunk[1].sent", actions=[])
    history.append(20_000_000, "sleep", "yard[0]", until_ms=None)
    return history


def detail_of(text: str = "x") -> Detail:
    story = RowStory(
        table="device_images", row=text, who=text, op="update", changes={"status": [None, text], text: [1, 2]}
    )
    aside = {"after": 2, "t_ms": 11, "kind": "row", "who": "yard[0]", "table": text, "op": "insert", "changes": {}}
    picture = Picture(device=text, image_name=text, what="stored", note=text, jpeg="")
    return Detail(asides=(aside,), rows=(story,), pictures=(picture,), source=f"name: {text}", again=text)


def run_of(folder: Path, ended: list[ScenarioEnded]) -> Path:
    files = RunFiles(folder, "run", wakestorm="0")
    files.on_event(SuiteStarted(planned=tuple(item.result.id for item in ended), bench="embedded", seed=None))
    for item in ended:
        files.on_event(item)
    files.on_event(SuiteEnded(verdict=Verdict.FAIL, wall_s=1.0))
    return files.folder


def ended(result: ScenarioResult, text: str = "hello", detail: Detail | None = None) -> ScenarioEnded:
    return ScenarioEnded(result=result, history_jsonl=history_of(result, text).to_jsonl(), detail=detail)


def page_of(folder: Path, *items: ScenarioEnded, full: bool = False) -> tuple[Page, str]:
    text = report_html(ReportSource(run=read_run(run_of(folder, list(items)))), full=full)
    return Page(text), text


def test_what_failed_comes_first_and_has_everything(tmp_path: Path) -> None:
    page, text = page_of(tmp_path, ended(PASSED), ended(FAILED, detail=detail_of()))
    scenarios = [attributes for _, attributes in page.elements if (attributes.get("class") or "").startswith("s ")]
    assert [attributes["class"] for attributes in scenarios] == ["s fail", "s pass"]
    assert "open" in scenarios[0] and "open" not in scenarios[1]
    for part in (FAILURE.expected, FAILURE.found, FAILURE.reproduce, "chunk[1].sent: lost on its way", "HELLO"):
        assert part in text, part
    lanes = re.findall(r'<text class="head"[^>]*>(\w+)<', text)
    assert lanes[:4] == ["device", "broker", "server", "database"]


def test_the_failing_line_of_the_yaml_is_marked(tmp_path: Path) -> None:
    detail = replace(detail_of(), source="\n".join(f"line {number}" for number in range(1, 30)))
    _, text = page_of(tmp_path, ended(FAILED, detail=detail))
    assert re.findall(r"<mark>(.*?)</mark>", text) == ["&gt; 17 |   - expect: {rows: {}}", "17  line 17"]


def test_nothing_comes_from_a_network_and_no_other_script_may_run(tmp_path: Path) -> None:
    page, text = page_of(tmp_path, ended(FAILED, detail=detail_of()))
    assert not re.search(r"https?://|//[a-z]|@import|url\(", text.replace(html.SCRIPT, ""))
    assert len(page.all("script")) == 1 and "src" not in page.all("script")[0]
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'") and "'sha256-" in policy
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "object", "base")]


def evil_result(text: str) -> ScenarioResult:
    failure = replace(
        FAILURE, title=text, found=text, hint=text, rows=({text: text},), columns=(text,), path=text, reproduce=text
    )
    return replace(FAILED, name=text, id=f"a.yaml::{text}", case=text, tags=(text,), failures=(failure,))


def assert_harmless(page: Page, text: str) -> None:
    assert len(page.all("script")) == 1
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert tag != "img" or (attributes["src"] or "").startswith("data:image/jpeg;base64,")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)


def test_what_devices_and_scenarios_say_is_text(tmp_path: Path) -> None:
    page, text = page_of(tmp_path, ended(evil_result(EVIL), EVIL, detail_of(EVIL)))
    assert_harmless(page, text)
    assert "{{ 7*7 }}" in "".join(page.text)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_any_text_is_harmless(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    page, whole = page_of(tmp_path_factory.mktemp("any"), ended(evil_result(text), text, detail_of(text)))
    assert_harmless(page, whole)


def test_the_diagram_is_well_formed_and_long_ones_are_shortened() -> None:
    history = history_of(FAILED, EVIL)
    for number in range(1_000):
        history.append(21_000_000 + number, "fault", "yard[0]", action=EVIL)
    drawn = sequence_svg(moves_of(history), EVIL, limit=50)
    root = ET.fromstring(drawn)
    assert root.tag == "svg" and "left out" in drawn
    assert len(root.findall("g")) < 60


def test_a_board_brings_its_timeline_and_its_lines_are_text(tmp_path: Path) -> None:
    history = history_of(FAILED)
    history.append(20_000_001, "serial", "yard[0]", level="info", text=EVIL)
    _, without = page_of(tmp_path / "without", ended(FAILED))
    page, text = page_of(tmp_path / "with", ScenarioEnded(result=FAILED, history_jsonl=history.to_jsonl()))
    assert "Timeline of boards" not in without and "Timeline of boards" in text
    assert_harmless(page, text)


def many(count: int, result: ScenarioResult, detail: Detail | None = None) -> list[ScenarioEnded]:
    results = [replace(result, id=f"s/{number}.yaml", file=f"s/{number}.yaml") for number in range(count)]
    return [ended(item, detail=detail) for item in results]


def test_passed_ones_of_a_long_run_are_one_line_and_the_page_says_how_to_see_them(tmp_path: Path) -> None:
    page, text = page_of(tmp_path, *many(40, PASSED), ended(FAILED))
    assert text.count("<svg") == 1
    assert "40 passed scenarios stand here in one line each" in text and "--full" in text
    assert len([a for _, a in page.elements if (a.get("class") or "").startswith("s ")]) == 41


def test_full_shows_them_all(tmp_path: Path) -> None:
    _, text = page_of(tmp_path, *many(40, PASSED), full=True)
    assert text.count("<svg") == 40 and "in one line each" not in text


def test_the_size_is_bounded_and_what_is_left_out_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "SIZE_MAX_BYTES", 120_000)
    detail = replace(detail_of(), source="# long\n" * 500)
    _, text = page_of(tmp_path, *many(60, FAILED, detail))
    assert len(text) < 400_000
    left_out = re.search(r"(\d+) scenarios are left in one line", text)
    assert left_out is not None and int(left_out[1]) + text.count("<svg") == 60


def test_a_history_comes_back_with_its_own_bytes(tmp_path: Path) -> None:
    items = [ended(PASSED), ended(FAILED, EVIL)]
    found = read_run(run_of(tmp_path, items)).histories()
    assert found == {item.result.id: item.history_jsonl for item in items}


def test_details_come_back(tmp_path: Path) -> None:
    folder = run_of(tmp_path, [ended(PASSED), ended(FAILED, detail=detail_of(EVIL))])
    found: dict[str, Any] = read_run(folder).details()
    assert list(found) == [FAILED.id] and found[FAILED.id].rows == detail_of(EVIL).rows
    assert json.loads((folder / "verdict.json").read_text())["version"] == 1
