"""Expect on a byte cursor, the fail list, ESP-IDF's log lines: pure parts of the console."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.blame import Blame, first_cause
from harness.dut.expect import Transcript, pattern_of
from harness.dut.fail_list import NAMES
from harness.dut.log_lines import LogFilter, coloured, log_line
from harness.errors import UsageError

BOOT = b"I (27) boot: ESP-IDF v5.4.1 2nd stage bootloader\r\nI (312) camera: wake 3\r\nI (900) camera: heap=1234\r\n"

BAD_LINES = {
    b"Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.": ("panic", Blame.FIRMWARE),
    b"***ERROR*** A stack overflow in task camera has been detected.": ("stack_overflow", Blame.FIRMWARE),
    b"CORRUPT HEAP: Bad head at 0x3fcb1f00. Expected 0xabba1234 got 0x00000000": ("heap_corruption", Blame.FIRMWARE),
    b"abort() was called at PC 0x4037a1b2 on core 0": ("abort", Blame.FIRMWARE),
    b"E (12034) task_wdt: Task watchdog got triggered. The following tasks": ("task_watchdog", Blame.FIRMWARE),
    b"rst:0x8 (TG1WDT_SYS_RST),boot:0x8 (SPI_FAST_FLASH_BOOT)": ("interrupt_watchdog", Blame.FIRMWARE),
    b"rst:0xf (BROWNOUT_RST),boot:0x8 (SPI_FAST_FLASH_BOOT)": ("brownout", Blame.BOARD),
    b"E (0) BOD: Brownout detector was triggered": ("brownout", Blame.BOARD),
    b"invalid header: 0xffffffff": ("flash_image", Blame.BOARD),
}


def test_the_rest_of_a_buffer_stays_for_the_next() -> None:
    said = Transcript()
    said.feed(BOOT)
    assert said.expect(pattern_of("wake (?P<number>\\d+)")).named == {"number": "3"}  # type: ignore[union-attr]
    assert said.expect(pattern_of("boot:")) is None, "the cursor never goes back"
    assert said.expect(pattern_of("heap=(\\d+)")).groups == ("1234",)  # type: ignore[union-attr]


def test_a_match_that_might_still_grow_is_no_match_yet() -> None:
    said = Transcript()
    said.feed(b"heap=12")
    assert said.expect(pattern_of("heap=(\\d+)")) is None
    said.feed(b"34\n")
    assert said.expect(pattern_of("heap=(\\d+)")).groups == ("1234",)  # type: ignore[union-attr]
    said.feed(b"esp> ")
    assert said.expect(pattern_of("esp> ")) is None
    assert said.expect(pattern_of("esp> "), prompt=True) is not None


@given(st.lists(st.integers(0, len(BOOT)), max_size=8))
def test_however_the_bytes_are_cut_the_same_is_found(cuts: list[int]) -> None:
    said = Transcript()
    lines: list[str] = []
    found: list[str] = []
    edges = [0, *sorted(cuts), len(BOOT)]
    patterns = [pattern_of(text) for text in ("boot: \\S+ v", "wake \\d+", "heap=\\d+")]
    for start, stop in pairwise(edges):
        lines += said.feed(BOOT[start:stop])
        while patterns and (match := said.expect(patterns[0])) is not None:
            found.append(match.text)
            patterns.pop(0)
    assert found == ["boot: ESP-IDF v", "wake 3", "heap=1234"]
    assert lines == BOOT.decode().splitlines()


def test_nothing_unread_is_forgotten_and_what_was_read_is() -> None:
    said = Transcript()
    said.feed(b"first\n")
    for _ in range(900):
        said.feed(b"x" * 1023 + b"\n")
    assert said.expect(pattern_of("first")) is not None
    said.skip()
    said.feed(b"last\n")
    assert said.end == 6 + 900 * 1024 + 5
    assert len(said._data) < 300_000
    assert said.expect(pattern_of("last")).start == said.end - 5  # type: ignore[union-attr]
    assert said.last_lines(2)[-1] == "last"


@pytest.mark.parametrize("line", BAD_LINES, ids=lambda line: BAD_LINES[line][0])
def test_the_fail_list_names_the_kind_and_the_culprit(line: bytes) -> None:
    said = Transcript()
    said.feed(b"I (1) camera: fine\n" + line + b"\r\n")
    bad = said.bad_lines[0]
    assert (bad.kind.name, bad.kind.blame) == BAD_LINES[line]
    assert (bad.at, bad.line) == (19, line.decode())
    allowing = Transcript(allowed=NAMES)
    allowing.feed(line + b"\n")
    assert not allowing.bad_lines


def test_a_healthy_boot_has_no_bad_line() -> None:
    said = Transcript()
    said.feed(b"rst:0x5 (DSLEEP),boot:0x8 (SPI_FAST_FLASH_BOOT)\r\nrst:0x1 (POWERON),boot:0x8\r\n" + BOOT)
    assert not said.bad_lines


def test_the_first_cause_explains_the_others() -> None:
    assert first_cause({Blame.SERVER, Blame.FIRMWARE}) is Blame.FIRMWARE
    assert first_cause({Blame.FIRMWARE, Blame.CABLE}) is Blame.CABLE
    assert first_cause(set()) is None


def test_log_lines_are_read_filtered_and_coloured() -> None:
    line = log_line("W (3412) wifi: no access point: 3 tries")
    assert line is not None and (line.level, line.time, line.tag) == ("W", "3412", "wifi")
    assert line.text == "no access point: 3 tries"
    assert log_line("ESP-ROM:esp32s3-20210327") is None
    assert coloured("E (1) a: b") == "\x1b[31mE (1) a: b\x1b[0m"


LINES = ("W (1) wifi: x", "I (1) wifi: x", "D (1) camera: x", "E (1) nvs: x", "ESP-ROM:esp32s3-20210327")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([], "01234"),
        (["*:W camera:D", "nvs:N"], "024"),
        (["*:w"], "034"),
        (["camera"], "24"),  # as idf.py monitor: tags that nobody names are hidden, where there is no *
        (["wifi:* nvs:N"], "014"),
        (["*:N wifi:I"], "014"),
        (["*:N"], "4"),
    ],
)
def test_a_filter_shows_by_tag_and_level(words: list[str], shown: str) -> None:
    wanted = LogFilter.parse(words)
    assert "".join(str(number) for number, line in enumerate(LINES) if wanted.shows(line)) == shown


@pytest.mark.parametrize("word", ["wifi:Q", ":I", "boot:", "a:I:D", "*:"])
def test_what_is_no_filter_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="not a filter"):
        LogFilter.parse(["cam:I", word])
