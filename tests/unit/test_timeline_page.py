"""The merged timeline as a page: every record in its lane and in order, whatever text it carries."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cli import exit_code_of
from harness.timeline_page import KINDS, fragment, page
from harness.timeline_strip import Mark, strip

BOOT = ["ESP-ROM:esp32s3-20210327", "SPIWP:0xee", "entry 0x403cb704", "I (27) boot: ESP-IDF v5.4.1"]


def record(t_ms: int, kind: str, who: str = "yard[0]", **fields: Any) -> dict[str, Any]:
    return {"t_ms": t_ms, "kind": kind, "who": who, **fields}


RECORDS = [
    record(0, "invoke", "runner", step="wake", index=0),
    record(5, "wake", number=1, reason="button"),
    *(record(10, "serial", level="info", text=text) for text in BOOT),
    record(12, "serial", level="info", text="I (652) cam: sending hello"),
    record(15, "message", direction="up", topic="ESP32CAM/B8F862000000/status", payload={"status": "Alive"}),
    record(20, "row", table="device_wake_sessions", status="in_progress"),
    record(25, "serial", level="error", text="Guru Meditation Error: <b>"),
    record(10_800_000, "fail", "runner", step="expect", index=3),
]


class Reader(HTMLParser):
    """Collects (class of the line, lane, text), and whether all tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("input", "meta"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)


def read(html: str) -> str:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return "\n".join(reader.texts)


def test_each_record_has_its_lane_and_a_boot_log_is_folded() -> None:
    html = fragment(RECORDS)
    lines = re.findall(r'<div class="e ([^"]+)"><time>([^<]+)</time>.*?<span class="(board|mqtt|server|step)">', html)
    assert lines == [
        ("k-invoke", "00:00:00.000", "step"),
        ("k-wake", "00:00:00.005", "board"),
        ("k-serial", "00:00:00.010", "board"),
        ("k-serial", "00:00:00.012", "board"),
        ("k-message", "00:00:00.015", "mqtt"),
        ("k-row", "00:00:00.020", "server"),
        ("k-serial bad", "00:00:00.025", "board"),
        ("k-fail bad", "03:00:00.000", "step"),
    ]
    text = read(html)
    assert "4 lines: ESP-ROM" in text and all(line in text for line in BOOT)
    assert "\u2192 status" in text and "2 h 59 min later" in text and "step 4: expect failed" in text
    assert "<b>" not in html


def test_time_that_nobody_used_is_cut_out_of_the_strip() -> None:
    drawn = strip(
        [Mark(0, "yard[0]", "wake"), Mark(500, "yard[0]", "serial"), Mark(10_800_000, "yard[0]", "row")], ["yard[0]"]
    )
    assert drawn.count('class="cut"') == 1 and "nothing from 00:00:00.500 to 03:00:00.000" in drawn
    assert all(float(x) <= 1_000 for x in re.findall(r'x="([\d.]+)"', drawn))
    assert strip([], ["yard[0]"]) == ""


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.builds(
            record,
            st.integers(0, 10**8),
            st.sampled_from(KINDS),
            st.sampled_from(["yard[0]", "broker", '<x>&"']),
            text=st.text(max_size=40),
            payload=st.one_of(st.none(), st.text(max_size=9), st.dictionaries(st.text(max_size=5), st.integers())),
            topic=st.text(max_size=9),
        ),
        max_size=12,
    )
)
def test_whatever_a_record_carries_the_page_is_whole(records: list[dict[str, Any]]) -> None:
    read(page({"a <scenario>": sorted(records, key=lambda one: one["t_ms"])}, "Timeline & more"))


def test_the_command_writes_a_page_and_names_what_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.dumps({"scenario": "scenarios/a.yaml", **one}) for one in RECORDS]
    (tmp_path / "history.jsonl").write_text("\n".join(lines) + "\n")
    page_file = tmp_path / "timeline.html"
    assert exit_code_of(["timeline", str(tmp_path), "--html", str(page_file)]) == 0
    assert "scenarios/a.yaml" in read(page_file.read_text())
    assert exit_code_of(["timeline", str(tmp_path), "--kinds", "serail"]) == 64
    assert "did you mean serial?" in capsys.readouterr().err
    assert exit_code_of(["timeline", str(tmp_path), "--who", "yard[7]"]) == 64
    assert "who: runner, yard[0]" in capsys.readouterr().err
