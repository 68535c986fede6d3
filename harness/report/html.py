"""`report.html`: one file for a whole run, verdicts first. No network, no font, one inline script for the search.

Scenarios that did not pass stand there whole, as far as the size allows; passed ones are one line each in a long run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.detail import Detail, RowStory
from harness.events import Failure, ScenarioResult, reproduce_command
from harness.history import Record, merged_asides
from harness.jsonable import json_line
from harness.report import style
from harness.report.folder import RunFolder, asides_of, read_run, records_of
from harness.report.pages import page
from harness.report.sequence_svg import sequence_svg
from harness.report.words import ledger_text, ordered_columns, place_text, printable
from harness.selection import source_of
from harness.sequence import TELLING, moves_of, stamp, with_moment
from harness.timeline_page import fragment
from harness.units import duration_text
from harness.verdict import PRIORITY, Verdict

REPORT: Final = "report.html"
SIZE_MAX_BYTES: Final = 8_000_000
FULL_SIZE_MAX_BYTES: Final = 64_000_000
FEW: Final = 20
"""In a run of so few scenarios the passed ones stand there whole too."""

OPEN_MAX: Final = 3
"""So many failed scenarios are unfolded from the start."""

MISSES_MAX: Final = 5
"""After so many scenarios without room no further one is tried."""

DEVICES_MAX: Final = 6
LOGS_MAX: Final = 300
FAILURES_MAX: Final = 20
ROWS_MAX: Final = 20
COLUMNS_MAX: Final = 24
CHANGES_MAX: Final = 8
"""Columns of a row that are shown before and after; the others are named."""

CELL_LENGTH_CHARS_MAX: Final = 200
TEXT_LENGTH_CHARS_MAX: Final = 4_000
WORDS_LENGTH_CHARS_MAX: Final = 400
LEDGER_MAX: Final = 60
YAML_LINES_MAX: Final = 600
_GOOD_ENDS: Final = frozenset({"stored", "refused", "lost_by_device"})

SCRIPT: Final = """
const words = document.getElementById('words'), shown = document.getElementById('shown');
const all = [...document.querySelectorAll('.s')], boxes = [...document.querySelectorAll('[name=verdict]')];
function filter() {
  const wanted = words.value.toLowerCase().split(/\\s+/).filter(Boolean);
  const verdicts = new Set(boxes.filter(box => box.checked).map(box => box.value));
  let count = 0;
  for (const one of all) {
    const fits = verdicts.has(one.dataset.v) && wanted.every(word => one.dataset.w.includes(word));
    one.hidden = !fits; count += fits;
  }
  shown.textContent = count + ' of ' + all.length + ' shown';
}
document.getElementById('filter').addEventListener('input', filter);
document.getElementById('filter').addEventListener('submit', event => event.preventDefault());
document.addEventListener('keydown', event => {
  if (event.key === '/' && document.activeElement !== words) { event.preventDefault(); words.focus(); }
});
filter();
"""


@dataclass(slots=True)
class _Budget:
    """How much room is left; `left_out` counts what stands there in one line for lack of it."""

    bytes: int
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSource:
    """What a report is made of. `sources` are the texts of scenario files, where they could be read."""

    run: RunFolder
    sources: Mapping[str, str] = field(default_factory=dict)


def whole_scenarios(results: Sequence[ScenarioResult], *, full: bool) -> list[ScenarioResult]:
    """Those that are shown whole where there is room."""
    return [r for r in results if full or r.verdict is not Verdict.PASS or len(results) <= FEW]


def report_html(source: ReportSource, *, full: bool = False) -> str:
    """The page. Raises nothing for odd contents: what can not be shown is left out and counted."""
    document = source.run.document
    order = {verdict: number for number, verdict in enumerate(PRIORITY)}
    results = sorted(document.scenarios, key=lambda result: order[result.verdict])
    whole = {result.id for result in whole_scenarios(results, full=full)}
    histories, ledgers, details = source.run.histories(whole), source.run.ledgers(), source.run.details()
    budget = _Budget(FULL_SIZE_MAX_BYTES if full else SIZE_MAX_BYTES)
    entries = []
    for number, result in enumerate(results):
        entry = _brief(result, number)
        if result.id in whole and budget.left_out >= MISSES_MAX:
            budget.left_out += 1
        elif result.id in whole:
            ledger, text = ledgers.get(result.id, ()), source.sources.get(result.file, "")
            history, detail = histories.get(result.id, ""), details.get(result.id)
            candidate = entry | _whole(result, history, detail, ledger=ledger, source=text)
            candidate["is_open"] = number < OPEN_MAX and result.verdict is not Verdict.PASS
            candidate["is_open"] = candidate["is_open"] or len(results) == 1
            size = _size(candidate)
            if size <= budget.bytes:
                budget.bytes -= size
                entry = candidate
            else:
                budget.left_out += 1
        entries.append(entry)
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return page(
        "report.html.j2",
        style=style.BASE + style.RUN,
        script=SCRIPT,
        script_sha256=digest,
        run=_head(source.run, results, whole, budget, full=full),
        scenarios=entries,
    )


def made_report(folder: Path, *, full: bool = False, target: Path | None = None) -> Path | None:
    """Writes `report.html` of a run's folder and returns its place; None where there is no whole run."""
    if not (folder / "verdict.json").is_file():
        return None
    run = read_run(folder)
    whole = whole_scenarios(run.document.scenarios, full=full)
    sources = {result.file: source_of(result.file) for result in whole}
    path = target or folder / REPORT
    write_report(ReportSource(run=run, sources=sources), path, full=full)
    return path


def write_report(source: ReportSource, target: Path, *, full: bool = False) -> int:
    """Writes the page so that it is there whole or not at all; returns its size in bytes."""
    data = report_html(source, full=full).encode("utf-8", "backslashreplace")
    draft = target.with_name(f".{target.name}.part")
    draft.write_bytes(data)
    draft.replace(target)
    return len(data)


def _head(
    run: RunFolder, results: Sequence[ScenarioResult], whole: set[str], budget: _Budget, *, full: bool
) -> dict[str, Any]:
    document = run.document
    counts = document.counts
    words = {
        "passed": counts.passed,
        "failed": counts.failed,
        "inconclusive": counts.inconclusive,
        "broken": counts.error,
        "not run": counts.not_run,
    }
    virtual_ms = sum(result.virtual_ms for result in results)
    seed = "" if document.seed is None else f", seed {document.seed}"
    command = f"wakestorm report {run.path.parent.name}/{run.path.name} --full"
    notes = []
    if len(whole) < len(results):
        notes.append(
            f"{len(results) - len(whole)} passed scenarios stand here in one line each; `{command}` shows them whole."
        )
    if budget.left_out:
        limit_mb = (FULL_SIZE_MAX_BYTES if full else SIZE_MAX_BYTES) // 1_000_000
        more = "" if full else f"; `{command}` has room for more"
        notes.append(f"{budget.left_out} scenarios are left in one line to keep this file below {limit_mb} MB{more}.")
    if document.interrupted:
        notes.append("The run was stopped before its end.")
    return {
        "verdict": document.verdict.value,
        "name": run.path.name,
        "total": len(results),
        "words": f"{document.bench} bench{seed}, {duration_text(document.wall_s * 1_000)},"
        f" {duration_text(virtual_ms)} of scenario time",
        "counts": [(word, count) for word, count in words.items() if count or word == "passed"],
        "verdicts": [
            (verdict.value, count)
            for verdict in PRIORITY
            if (count := sum(result.verdict is verdict for result in results))
        ],
        "ledger": ledger_text(results),
        "notes": notes,
        "version": document.wakestorm,
    }


def _brief(result: ScenarioResult, number: int) -> dict[str, Any]:
    found = " ".join(f"{failure.title} {failure.found}" for failure in result.failures[:3])
    words = f"{result.name} {result.id} {' '.join(result.tags)} {found}".lower()
    name = f"{result.name} [{result.case}]" if result.case else result.name
    return {
        "number": number,
        "is_brief": True,
        "kind": result.verdict.value.lower(),
        "verdict": result.verdict.value,
        "name": name,
        "id": result.id,
        "took": f"{duration_text(result.wall_s * 1_000)}, {duration_text(result.virtual_ms)} of scenario time",
        "words": " ".join(words.split())[:WORDS_LENGTH_CHARS_MAX],
    }


def _whole(
    result: ScenarioResult,
    history: str,
    detail: Detail | None,
    *,
    ledger: Sequence[Mapping[str, str]],
    source: str,
) -> dict[str, Any]:
    detail = detail or Detail()
    records = records_of(history)
    logs = [record for record in records if record.kind == "log"]
    lines = {failure.step_line for failure in result.failures}
    reproduce = next((f.reproduce for f in result.failures if f.reproduce), "")
    shown_ledger = sorted(ledger, key=lambda entry: entry["outcome"] in _GOOD_ENDS)[:LEDGER_MAX]
    return {
        "is_brief": False,
        "notes": _notes(result, detail),
        "failures": [_failure(result, failure) for failure in result.failures[:FAILURES_MAX]],
        "reproduce": reproduce or reproduce_command(result.id, result.seed, result.bench),
        "diagrams": _diagrams(result, merged_asides(records, asides_of(detail))),
        "timeline": _timeline(records),
        "rows": _stories(result, detail),
        "rows_left_out": detail.left_out,
        "pictures": detail.pictures,
        "file": result.file,
        "yaml": _yaml(detail.source or source, lines),
        "ledger": [{**entry, "is_bad": entry["outcome"] not in _GOOD_ENDS} for entry in shown_ledger],
        "logs": [_log_line(record) for record in logs[-LOGS_MAX:]],
        "logs_left_out": f"The first {len(logs) - LOGS_MAX} are in {'history.jsonl'}." if len(logs) > LOGS_MAX else "",
    }


def _notes(result: ScenarioResult, detail: Detail) -> list[str]:
    notes = [f"Attempt {result.attempt}: the ones before did not pass."] if result.attempt > 1 else []
    if detail.again:
        notes.append(f"The same seed did not give the same run: {detail.again}.")
    if len(result.failures) > FAILURES_MAX:
        notes.append(f"{len(result.failures) - FAILURES_MAX} more failures are in verdict.json.")
    return notes


def _failure(result: ScenarioResult, failure: Failure) -> dict[str, Any]:
    columns = ordered_columns(failure.rows, failure.columns)[:COLUMNS_MAX] if failure.rows else []
    return {
        "title": failure.title,
        "place": place_text(result, failure),
        "blame": failure.blame,
        "expected": _text(failure.expected),
        "found": _text(failure.found),
        "hint": _text(failure.hint),
        "excerpt": [{"text": line, "is_marked": line.startswith(">")} for line in failure.excerpt],
        "columns": columns,
        "rows": [[_cell(row.get(name)) for name in columns] for row in failure.rows[:ROWS_MAX]],
    }


def _diagrams(result: ScenarioResult, records: Sequence[Record]) -> list[dict[str, Any]]:
    """One for each device, those of the failures first and unfolded."""
    failed = [failure.device for failure in result.failures if failure.device]
    seen = [record.who for record in records if record.kind in ("wake", "capture", "message")]
    devices = list(dict.fromkeys([*failed, *seen]))[:DEVICES_MAX]
    moments = [failure for failure in result.failures if failure.t_ms is not None and "always" in failure.title]
    drawn = []
    for number, device in enumerate(devices):
        moves = moves_of(records, device)
        for failure in moments:
            if failure.device == device:
                moves = with_moment(moves, failure.t_ms or 0, "here it did not hold")
        is_open = device in failed[:1] or (number == 0 and len(devices) == 1)
        drawn.append({"device": device, "is_open": is_open, "svg": sequence_svg(moves, device)})
    return drawn


def _timeline(records: Sequence[Record]) -> str:
    """Serial lines, messages and rows side by side, where boards took part."""
    if not any(record.kind == "serial" for record in records):
        return ""
    whole = fragment([record.to_plain() for record in records], with_style=True)
    return "\n".join(map(printable, whole.split("\n")))


def _stories(result: ScenarioResult, detail: Detail) -> list[dict[str, Any]]:
    """Rows of the devices that failed first."""
    failed = {failure.device for failure in result.failures}
    return [_story(story) for story in sorted(detail.rows, key=lambda story: story.who not in failed) if story.changes]


def _story(story: RowStory) -> dict[str, Any]:
    is_new = story.op == "insert"
    named = [name for name, (_, after) in story.changes.items() if not (is_new and after is None)]
    names = sorted(named, key=lambda name: TELLING.index(name) if name in TELLING else len(TELLING))
    shown = [(name, "" if is_new else _cell(story.changes[name][0]), _cell(story.changes[name][1])) for name in names]
    if len(shown) > CHANGES_MAX:
        rest = ", ".join(name for name, _, _ in shown[CHANGES_MAX:])
        shown = [*shown[:CHANGES_MAX], ("and also", "", rest)]
    return {"row": story.row, "who": story.who, "op": _OPS[story.op], "changes": shown}


_OPS: Final = {"insert": "new", "update": "changed", "delete": "deleted"}


def _yaml(source: str, marked: set[int | None]) -> list[dict[str, Any]]:
    lines = source.splitlines()[:YAML_LINES_MAX]
    width = len(str(len(lines)))
    return [
        {"text": f"{number:>{width}}  {line}", "is_marked": number in marked}
        for number, line in enumerate(lines, start=1)
    ]


def _log_line(record: Record) -> str:
    level = str(record.fields.get("level", ""))
    return f"{stamp(record.t_ms)}  {record.who:<10} {level:<8} {record.fields.get('text', '')}"


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else "null" if value is None else json_line(value)
    text = " ".join(text.split())
    return text if len(text) <= CELL_LENGTH_CHARS_MAX else text[: CELL_LENGTH_CHARS_MAX - 3] + "..."


def _text(text: str) -> str:
    return text if len(text) <= TEXT_LENGTH_CHARS_MAX else text[: TEXT_LENGTH_CHARS_MAX - 3] + "..."


def _size(entry: Any) -> int:
    """About how many bytes of HTML it becomes."""
    match entry:
        case str():
            return len(entry) + 20
        case Mapping():
            return sum(_size(value) for value in entry.values()) + 200
        case list() | tuple():
            return sum(_size(value) for value in entry) + 20 * len(entry)
        case Detail():
            return 0
        case _ if hasattr(entry, "jpeg"):
            return len(entry.jpeg) + 300
    return 10
