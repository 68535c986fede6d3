"""Wording that reports share: durations, places, a failure as one paragraph. Pure text, no colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from harness.events import Failure, Row, ScenarioResult
from harness.jsonable import json_line
from harness.verdict import Verdict

ROWS_SHOWN_MAX: Final = 10
COLUMNS_SHOWN_MAX: Final = 8
CELL_LENGTH_CHARS_MAX: Final = 36


def duration_text(milliseconds: float) -> str:
    """`850 ms`, `1.2 s`, `3 min 20 s`, `7 h 30 min`, `2 d 4 h`."""
    seconds = milliseconds / 1_000
    if seconds < 1:
        return f"{milliseconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for size_s, unit, below_s, below_unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size_s:
            whole, rest = divmod(int(seconds), size_s)
            part = rest // below_s
            return f"{whole} {unit} {part} {below_unit}" if part else f"{whole} {unit}"
    raise AssertionError("unreachable: below a minute was handled above")


def place_text(result: ScenarioResult, failure: Failure) -> str:
    """Where a failure stands: `file:line (steps[3].expect)`."""
    line = f":{failure.step_line}" if failure.step_line is not None else ""
    path = f" ({failure.path})" if failure.path else ""
    return f"{result.file}{line}{path}"


def row_table(rows: Sequence[Row]) -> list[str]:
    """Rows as aligned columns under their names; long cells, columns and rows are cut, and the cut is said."""
    if not rows:
        return []
    names = list(dict.fromkeys(name for row in rows for name in row))
    shown, hidden = names[:COLUMNS_SHOWN_MAX], names[COLUMNS_SHOWN_MAX:]
    cells = [[_cell(row.get(name)) for name in shown] for row in rows[:ROWS_SHOWN_MAX]]
    widths = [max(len(line[i]) for line in [shown, *cells]) for i in range(len(shown))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in [shown, *cells]]
    lines.insert(1, "  ".join("-" * width for width in widths))
    if hidden:
        lines.append(f"also there: {', '.join(hidden)}")
    if len(rows) > ROWS_SHOWN_MAX:
        lines.append(f"{len(rows) - ROWS_SHOWN_MAX} more rows")
    return [line.rstrip() for line in lines]


def failure_lines(result: ScenarioResult, failure: Failure) -> list[str]:
    """One failure as a paragraph; the last line is the one command that reproduces it."""
    lines = [failure.title, f"  at        {place_text(result, failure)}"]
    if failure.blame:
        lines += _labelled("blame", failure.blame)
    lines += _labelled("expected", failure.expected)
    lines += _labelled("found", failure.found)
    lines += [f"    {line}" for line in row_table(failure.rows)]
    if failure.hint:
        lines += _labelled("hint", failure.hint)
    if failure.trace:
        lines += ["  trace", *(f"    {line}" for line in failure.trace)]
    if failure.reproduce:
        lines.append(f"  Reproduce: {failure.reproduce}")
    return [printable(line) for line in lines]


def printable(text: str) -> str:
    """Control characters as their code, so that what a device sent can't drive the terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def counted_verdicts(results: Sequence[ScenarioResult]) -> str:
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
    text = f"{total['captured']} images captured: {total['stored']} stored"
    if total["recovered"]:
        text += f" ({total['recovered']} after an interruption)"
    others = [f"{total[name]} {name.replace('_', ' ')}" for name in _OTHERS if total[name]]
    return ", ".join([text, *others])


def _labelled(label: str, text: str) -> list[str]:
    first, *others = text.splitlines() or [""]
    return [f"  {label:<9} {first}".rstrip(), *(f"  {'':<9} {line}" for line in others)]


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else json_line(value)
    text = " ".join(text.split())
    return text if len(text) <= CELL_LENGTH_CHARS_MAX else text[: CELL_LENGTH_CHARS_MAX - 3] + "..."
