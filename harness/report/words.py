"""Wording that reports share: durations, places, a failure as one paragraph. Pure text, no colours."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

from harness.events import Failure, LeftOut, Row, ScenarioResult
from harness.jsonable import json_line
from harness.sequence import TELLING
from harness.verdict import Verdict

ROWS_SHOWN_MAX: Final = 10
ROWS_KEPT_MAX: Final = 20
"""A failure keeps no more rows than that."""

CELL_LENGTH_CHARS_MAX: Final = 36
CUT_CELL_LENGTH_CHARS_MIN: Final = 16
"""A column that the expectation names is cut to so much rather than left out."""

FEW_COLUMNS: Final = 3
FEW_CELL_LENGTH_CHARS_MAX: Final = 60
TABLE_WIDTH: Final = 76
TEXT_WIDTH: Final = 64
TEXT_LENGTH_CHARS_MAX: Final = 700


def place_text(result: ScenarioResult, failure: Failure) -> str:
    """Where a failure stands: `file:line (steps[3].expect)`."""
    line = f":{failure.step_line}" if failure.step_line is not None else ""
    path = f" ({failure.path})" if failure.path else ""
    return f"{result.file}{line}{path}"


def ordered_columns(rows: Sequence[Row], first: Sequence[str] = ()) -> list[str]:
    """The columns that are named first, then those that tell most, then the others; of nothing but null none."""
    names = dict.fromkeys(name for row in rows for name in row if row[name] is not None)
    named = list(first)
    telling = [name for name in TELLING if name in names]
    return list(dict.fromkeys([*named, *telling, *names]))


def row_table(rows: Sequence[Row], first: Sequence[str] = (), width: int = TABLE_WIDTH) -> list[str]:
    """Rows as aligned columns under their names; long cells, columns and rows are cut, and the cut is said."""
    if not rows:
        return []
    names = ordered_columns(rows, first)
    columns: list[list[str]] = []
    for name in names:
        longest = CELL_LENGTH_CHARS_MAX if len(names) > FEW_COLUMNS else FEW_CELL_LENGTH_CHARS_MAX
        cells = [name, *(_cell(row.get(name), longest) for row in rows[:ROWS_SHOWN_MAX])]
        widest = max(len(cell) for cell in cells)
        room = width - sum(len(column[0]) + 2 for column in columns)
        if widest > room and name in first and room >= CUT_CELL_LENGTH_CHARS_MIN:
            cells = [_cell(cell, room) for cell in cells]
            widest = room
        if columns and widest > room:
            break
        columns.append([cells[0].ljust(widest), "-" * widest, *(cell.ljust(widest) for cell in cells[1:])])
    lines = ["  ".join(column[number] for column in columns) for number in range(len(columns[0]))] if columns else []
    hidden = names[len(columns) :]
    if hidden:
        lines.append(f"and {len(hidden)} more columns" if len(hidden) > 1 else f"and {hidden[0]}")
    if len(rows) > ROWS_SHOWN_MAX:
        at_least = "at least " if len(rows) == ROWS_KEPT_MAX else ""
        lines.append(f"{at_least}{len(rows) - ROWS_SHOWN_MAX} more rows")
    return [line.rstrip() for line in lines]


def failure_lines(result: ScenarioResult, failure: Failure, before: Sequence[Failure] = ()) -> list[str]:
    """One failure as a paragraph; the last line is the one command that reproduces it.

    What one of the failures `before` has shown already is not shown again.
    """
    lines = [failure.title, f"  at        {place_text(result, failure)}"]
    if failure.blame:
        lines += _labelled("blame", failure.blame)
    lines += _labelled("expected", failure.expected)
    lines += _labelled("found", failure.found)
    lines += _labelled("hint", failure.hint) if failure.hint else []
    lines += ["", *(f"  {line}" for line in failure.excerpt)] if failure.excerpt else []
    if failure.rows:
        lines += ["", *(f"  {line}" for line in row_table(failure.rows, failure.columns))]
    if failure.trace and any(_is_shown_by(failure, earlier) for earlier in before):
        lines += ["", f"  {failure.device}: as above"]
    elif failure.trace:
        lines += ["", *(f"  {line}" for line in failure.trace)]
    if failure.reproduce:
        lines += ["", f"  Reproduce: {failure.reproduce}"]
    return [printable(line) for line in lines]


def found_lines(failure: Failure) -> list[str]:
    """Only what was found, where one like it stands before it."""
    return [printable(line) for line in _labelled("found", failure.found)]


def _is_shown_by(failure: Failure, earlier: Failure) -> bool:
    """Both traces begin with the same lines: one is the other, with an end that says nothing more."""
    head = max(1, min(len(failure.trace), len(earlier.trace)) - 4)
    return failure.device == earlier.device and failure.trace[:head] == earlier.trace[:head]


def printable(text: str) -> str:
    """Control characters as their code, so that what a device sent can't drive the terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


LEFT_OUT_SHOWN_MAX: Final = 12


def left_out_by(bench: str) -> str:
    """Whose fault it is that a run leaves something out."""
    return "this target" if bench == "external" else "this DUT"


def left_out_lines(left_out: Sequence[LeftOut], dut: str, bench: str = "embedded") -> list[str]:
    """A line for each file that the run leaves out, with the first reason and how to run it."""
    what = left_out_by(bench) if bench == "external" else f"{left_out_by(bench)} ({dut})"
    by_file: dict[str, LeftOut] = {}
    for one in left_out:
        by_file.setdefault(one.scenario.partition("::")[0], one)
    lines = [
        f"not for {what}: {file}: {one.reason}" + (f"; {one.hint}" if one.hint else "")
        for file, one in list(by_file.items())[:LEFT_OUT_SHOWN_MAX]
    ]
    more = len(by_file) - LEFT_OUT_SHOWN_MAX
    return [*lines, f"not for {what}: {more} more files; verdict.json has them all"] if more > 0 else lines


def counted_verdicts(results: Sequence[ScenarioResult], left_out: int = 0, bench: str = "embedded") -> str:
    """`48 scenarios: 46 passed, 1 failed, 1 inconclusive`; zeroes other than `passed` are left out."""
    words = {
        Verdict.PASS: "passed",
        Verdict.FAIL: "failed",
        Verdict.INCONCLUSIVE: "inconclusive",
        Verdict.ERROR: "broken",
    }
    counts = {verdict: sum(result.verdict is verdict for result in results) for verdict in words}
    parts = [f"{counts[v]} {word}" for v, word in words.items() if counts[v] or v is Verdict.PASS]
    later = [result.attempt for result in results if result.attempt > 1 and result.verdict is Verdict.PASS]
    parts += [f"{later.count(attempt)} passed on attempt {attempt}" for attempt in sorted(set(later))]
    parts += [f"{left_out} not for {left_out_by(bench)}"] if left_out else []
    plural = "scenario" if len(results) == 1 else "scenarios"
    return f"{len(results)} {plural}: {', '.join(parts)}"


_OTHERS: Final = ("lost", "doubled", "damaged", "pending", "lost_by_device", "refused", "unexpected")
"""Ends that are named when there are any."""


def ledger_text(results: Sequence[ScenarioResult]) -> str:
    """`812 images captured: 812 stored (33 after an interruption)`; bad ends are named when there are any."""
    total: dict[str, int] = {}
    for result in results:
        for name in ("captured", "stored", "recovered", *_OTHERS):
            total[name] = total.get(name, 0) + getattr(result.ledger, name)
    if not total:
        return "no images captured"
    plural = "image" if total["captured"] == 1 else "images"
    text = f"{total['captured']} {plural} captured: {total['stored']} stored"
    if total["recovered"]:
        text += f" ({total['recovered']} after an interruption)"
    others = [f"{total[name]} {name.replace('_', ' ')}" for name in _OTHERS if total[name]]
    return ", ".join([text, *others])


def _labelled(label: str, text: str) -> list[str]:
    first, *others = [part for line in text.splitlines() or [""] for part in _wrapped(line, TEXT_WIDTH)]
    return [f"  {label:<9} {first}".rstrip(), *(f"  {'':<9} {line}" for line in others)]


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters where the words allow it; what is far too long is cut."""
    if len(text) > TEXT_LENGTH_CHARS_MAX:
        text = text[: TEXT_LENGTH_CHARS_MAX - 3] + "..."
    indent = " " * (len(text) - len(text.lstrip()))
    further = indent + "  "
    return textwrap.wrap(
        text, width, subsequent_indent=further, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    ) or [""]


def _cell(value: Any, longest: int) -> str:
    text = value if isinstance(value, str) else "null" if value is None else json_line(value)
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 3] + "..."
