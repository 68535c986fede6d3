"""What a board's console means, traces of two kinds of devices, and the flake ledger: pure parts."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.blame import Blame, of_failed_test
from harness.cli_parity import _told
from harness.dut.firmware_lines import Asleep, Freed, Photo, Picture, Ready, said_in
from harness.dut.panic import panics_in
from harness.dut.symbols import SymbolStore
from harness.errors import UsageError
from harness.flakes import FlakeLedger, standings
from harness.parity import CROSSING, CUT_SHORT, DECLARED, compared, slowest_answer_ms, trace_of

LINES = """
I (349) cam: ready project=esp32s3-cam version=3.5.0 profile=esp32s3-cam@3.5.0 device=B8F862000000 reset=DEEPSLEEP
I (900) cam: captured image=image_1.jpg bytes=5000 chunks=5 at=2026-01-05T00:00:20Z sha256=ab12 damaged=0 offline=1
I (950) cam: released image=image_1.jpg sha256=ab12
I (990) cam: sleep for_ms=10799000
I (991) wifi: sleep for_ms=1
W (992) cam: captured image=
"""


def test_lines_of_the_camera_make_a_picture() -> None:
    said = [found for line in LINES.splitlines() if (found := said_in(line)) is not None]
    assert said[0] == Ready("deepsleep", "3.5.0")
    assert isinstance(said[1], Photo) and said[1].offline and said[1].total_chunks == 5
    assert said[2:] == [Freed("image_1.jpg", "ab12"), Asleep(10_799_000)]
    picture = Picture()
    picture.take(said[1])
    assert picture.queue == [("image_1.jpg", "ab12")]
    picture.take(said[2])
    assert (picture.queue, picture.photos) == ([], 1)


def test_a_panic_is_decoded_by_the_symbols_of_its_elf(tmp_path: Path) -> None:
    from elftools.elf.elffile import ELFFile

    program = Path(__file__).parents[2] / "firmware_fixtures" / "esp32s3" / "camera.elf"
    store = SymbolStore(tmp_path)
    sha256 = store.add(program)
    with program.open("rb") as file:
        table: Any = ELFFile(file).get_section_by_name(".symtab")
        symbol = max(
            (s for s in table.iter_symbols() if s["st_info"]["type"] == "STT_FUNC"), key=lambda s: s["st_size"]
        )
    address = symbol["st_value"] + 4
    log = f"""
    Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.
    Backtrace: 0x{address:08x}:0x3fc9a2b0 0x{0x80000000 | (address & 0x3FFFFFFF):08x}:0x3fc9a2d0
    ELF file SHA256: {sha256[:9]}
    """
    panic = panics_in(log.splitlines())[0]
    assert panic.cause == "core 0: LoadProhibited"
    frames = store.explain(panic)
    assert [symbol.name in frame and "camera.c:" in frame for frame in frames] == [True, True]
    assert "symbols add" in SymbolStore(tmp_path / "none").explain(panic)[0]


def message(t_ms: int, direction: str, channel: str, payload: dict[str, Any], **more: Any) -> dict[str, Any]:
    record = {"t_ms": t_ms, "kind": "message", "who": "yard[0]", "direction": direction}
    return {**record, "topic": f"ESP32CAM/X/{channel}", "payload": payload, **more}


def history(late_ms: int = 0, **hello: Any) -> list[dict[str, Any]]:
    return [
        {"t_ms": 100, "kind": "wake", "who": "yard[0]"},
        message(600 + late_ms, "up", "status", {"pendingImg": 0, **hello}),
        message(700 + late_ms, "down", "cmd", {"capture_image": True}),
        message(800 + late_ms, "up", "data", {"chunk_id": 0, "image_name": "a.jpg"}, payload_sha256="f0"),
        message(900 + late_ms, "down", "ack", {"ACK_OK": {"next_wake_time": f"3:0{late_ms // 1000}AM"}}),
    ]


def test_equal_traces_have_no_difference_but_what_is_declared() -> None:
    found = compared(trace_of(history(), "yard[0]"), trace_of(history(1_000), "yard[0]"))
    assert found.is_equal and found.compared == 4
    assert found.declared == {"next_wake_time": 1}


def test_what_differs_is_named() -> None:
    before = trace_of(history(), "yard[0]")
    late = compared(before, trace_of(history(5_000), "yard[0]"))
    assert "~ wake 1: sends status: after 5500 ms instead of 500 ms" in late.differences
    other = compared(before, trace_of(history(battery=3.9), "yard[0]"))
    assert other.differences == ["~ wake 1: sends status: battery only after"]
    missing = [record for record in history() if record.get("payload_sha256") is None]
    assert compared(before, trace_of(missing, "yard[0]")).differences == ["- wake 1: sends data chunk 0 a.jpg"]
    changed = history()
    changed[3]["payload_sha256"] = "00"
    assert "'f0' became '00'" in compared(before, trace_of(changed, "yard[0]")).differences[0]


def test_how_long_a_device_waited_for_its_first_answers() -> None:
    begin, hello, snap, *rest = history()
    later = [begin | {"t_ms": 9_100}, hello | {"t_ms": 9_600}, snap | {"t_ms": 13_800}]
    assert slowest_answer_ms(trace_of(history(), "yard[0]")) == 100
    assert slowest_answer_ms(trace_of([*history(), *later], "yard[0]")) == 4_200
    assert slowest_answer_ms(trace_of([begin, hello, *later[:2]], "yard[0]")) == 0
    assert slowest_answer_ms(trace_of([begin, snap, hello, hello, snap | {"t_ms": 1_000}, *rest], "yard[0]")) == 400


@pytest.mark.parametrize(("answer_ms", "is_busy"), [(700, False), (4_000, True)])
def test_differences_on_a_busy_machine_are_told_as_such(
    capsys: pytest.CaptureFixture[str], answer_ms: int, is_busy: bool
) -> None:
    begin, hello, snap, *_ = history()
    sides: list[Any] = []
    for kind, records in (("simulated", [begin, hello]), ("virtual", [begin, hello, snap | {"t_ms": answer_ms}])):
        text = "\n".join(json.dumps(record) for record in ({"kind": "header"}, *records))
        sides.append((kind, SimpleNamespace(history_jsonl=text, result=SimpleNamespace(id="a.yaml"))))
    plan: Any = SimpleNamespace(devices=[SimpleNamespace(name="yard[0]")])
    assert not _told(plan, sides[0], sides[1], 2_000)
    assert ("took up to 0 ms (simulated), 3400 ms (virtual)" in capsys.readouterr().out) is is_busy


def in_order(*places: int) -> list[dict[str, Any]]:
    """The history with its messages in another order, and at the times of that order."""
    begin, *messages = history()
    return [begin, *({**messages[place], "t_ms": 600 + 100 * number} for number, place in enumerate(places))]


def test_an_answer_belongs_behind_its_question() -> None:
    before = trace_of(history(), "yard[0]")
    hasty = compared(before, trace_of(in_order(0, 2, 1, 3), "yard[0]"))
    assert hasty.differences == [
        "~ wake 1: is told cmd capture_image: after sends data chunk 0 a.jpg, not before it",
    ]
    next_wake = [*history()[:3], history()[0], *history()[3:]]
    assert "in wake 2" in compared(before, trace_of(next_wake, "yard[0]")).differences[0]


def test_what_is_repeated_may_cross_with_what_comes_the_other_way() -> None:
    begin, hello, snap, *_ = history()
    storm = trace_of([begin, hello, snap, hello, snap, hello], "yard[0]")
    found = compared(storm, trace_of([begin, hello, hello, snap, hello, snap], "yard[0]"))
    assert found.is_equal and found.declared == {CROSSING: 2}
    assert compared(storm, trace_of([begin, snap, hello, hello, hello, snap], "yard[0]")).differences


def told(*words: str) -> list[Any]:
    """A wake in which the device sends chunks (`2`) and is told `missing`, `ok` or `done`, 20 ms apart."""
    answers: dict[str, dict[str, Any]] = {
        "missing": {"missing_chunks": [0, 1]},
        "ok": {"ACK_OK": {}},
        "done": {"ACK_OK": {"next_wake_time": "3:00AM"}},
    }
    records = [history()[0]]
    for number, word in enumerate(words):
        way, channel, says = (
            ("down", "ack", answers[word]) if word in answers else ("up", "data", {"chunk_id": int(word)})
        )
        records.append(message(600 + 20 * number, way, channel, {**says, "image_name": "a.jpg"}))
    return trace_of(records, "yard[0]")


def test_chunks_behind_the_last_one_may_cross_with_the_request_for_them() -> None:
    before = told("2", "1", "0", "missing", "ok")
    found = compared(before, told("2", "missing", "1", "0", "ok"))
    assert found.is_equal and found.declared == {CROSSING: 2}
    assert compared(told("2", "missing", "1", "0", "ok"), before).declared == {CROSSING: 2}
    assert len(compared(before, told("missing", "2", "1", "0", "ok")).differences) == 3, "before its reason"
    assert compared(told("2", "1", "0", "ok"), told("2", "1", "ok", "0")).differences, "done before all is there"
    hasty = compared(told("0", "1", "2", "missing"), told("0", "1", "missing", "2"))
    assert hasty.differences == [
        "~ wake 1: sends data chunk 2 a.jpg: after is told ack a.jpg missing_chunks, not before it"
    ]


def test_a_photo_that_is_stored_already_may_be_acknowledged_sooner_or_later() -> None:
    before = told("0", "done")
    for others in (("done", "0"), ("0", "1", "done"), ("0", "1", "done", "2"), ("0", "1", "2", "done")):
        after = told(*others)
        for found in (compared(before, after), compared(after, before)):
            assert found.is_equal and found.declared[CUT_SHORT] >= 1, others


@pytest.mark.parametrize(
    ("others", "why"),
    [
        (("0", "done", "1", "2"), "it does not stop when it is told"),
        (("1", "done"), "it begins with another chunk"),
        (("0", "1", "0", "1", "done"), "it sends all of it twice"),
        (("0", "2", "done"), "it passes over a chunk"),
        (("0", "1", "ok"), "it was told something else"),
        (("0", "1"), "it was told nothing"),
    ],
)
def test_an_early_acknowledgement_excuses_nothing_else(others: tuple[str, ...], why: str) -> None:
    before = told("0", "1", "done")
    assert compared(before, told(*others)).differences, why
    assert compared(told(*others), before).differences, why


def test_the_document_names_all_that_is_declared() -> None:
    text = (Path(__file__).parents[2] / "docs" / "boards.md").read_text(encoding="utf-8")
    table = text.partition("| declared | why |")[2].partition("\n\n")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]
    assert {name.strip("`"): why for name, why in rows} == DECLARED


class Told(Exception):
    """An error that says whom to blame."""

    blame = Blame.CABLE


@pytest.mark.parametrize(
    ("error", "shown", "has_board", "blame"),
    [
        (Told(), {Blame.BOARD}, True, Blame.CABLE),
        (AssertionError(), set(), True, Blame.FIRMWARE),
        (AssertionError(), {Blame.FIRMWARE, Blame.BOARD}, True, Blame.BOARD),
        (TypeError(), set(), True, Blame.HARNESS),
        (TypeError(), {Blame.CABLE}, True, Blame.CABLE),
        (AssertionError(), set(), False, Blame.HARNESS),
    ],
)
def test_every_failure_of_a_test_has_a_class(
    error: BaseException, shown: set[Blame], has_board: bool, blame: Blame
) -> None:
    assert of_failed_test(error, shown, has_board=has_board) is blame


def attempt(verdict: str, number: int = 1) -> dict[str, Any]:
    return {"scenario": "a.yaml", "verdict": verdict, "attempt": number}


def test_quarantine_ends_only_by_passing_in_a_row() -> None:
    lines = [attempt("FAIL"), attempt("PASS", 2), {"scenario": "a.yaml", "quarantined_because": "blue hub"}]
    lines += [attempt("PASS")] * 2
    now = standings(lines, release_after=3)["a.yaml"]
    assert (now.attempts, now.failures, now.flakes, now.is_quarantined) == (4, 1, 1, True)
    broken = standings([*lines, attempt("FAIL"), attempt("PASS"), attempt("PASS")], release_after=3)["a.yaml"]
    assert broken.is_quarantined and broken.passes_in_a_row == 2
    late = standings([*lines, attempt("PASS", 2)], release_after=3)["a.yaml"]
    assert late.is_quarantined, "a pass at a later attempt does not count"
    assert not standings([*lines, attempt("PASS")], release_after=3)["a.yaml"].is_quarantined


def test_the_ledger_is_one_file_that_grows(tmp_path: Path) -> None:
    ledger = FlakeLedger(tmp_path / "runs" / "flakes.jsonl")
    assert ledger.quarantined() == frozenset()
    ledger.quarantine("a.yaml", "blue hub")
    assert ledger.quarantined() == {"a.yaml"}
    with pytest.raises(UsageError, match="reason"):
        ledger.quarantine("a.yaml", " ")
    ledger.path.write_text("what?\n")
    with pytest.raises(UsageError, match=r"flakes\.jsonl:1"):
        ledger.standings()
