"""The work of `wakestorm diff` and `wakestorm replay`: two runs side by side, and one run played again."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.dut.boards_of_run import LOOPBACK, duts_of
from harness.dut.kinds import DutOrder
from harness.errors import UsageError
from harness.events import Event, ScenarioEnded, ScenarioResult
from harness.history_difference import first_difference
from harness.plan import Plan
from harness.report.folder import RunFolder, read_run
from harness.report.terminal import TerminalReporter
from harness.report.words import counted_verdicts
from harness.run_difference import RunDifference, differing, run_difference
from harness.run_one import BenchKind
from harness.selection import Selection, plans_for, source_of
from harness.suite import Suite, SuiteOptions
from harness.verdict import Verdict, exit_code, merged

LINES_MAX: Final = 40
_VERSIONS: Final = {"python": "Python", "postgres_major": "PostgreSQL", "architecture": "", "wakestorm": "wakestorm"}


def diff_command(before: Path, now: Path, *, exact: bool) -> int:
    """Prints how the runs differ; returns the exit code."""
    old, new = read_run(before), read_run(now)
    olds, news = old.document.scenarios, new.document.scenarios
    wanted = differing(olds, news)
    histories = (old.histories(wanted), new.histories(wanted)) if wanted else ({}, {})
    found = run_difference(olds, news, histories)
    for letter, run in (("A", old), ("B", new)):
        document = run.document
        print(f"{letter}  {run.path.name}  {document.bench} bench  {document.verdict.value}  {_counted(run)}")
    for line in _told(found):
        print(line)
    return 0 if found.is_result_same and not (exact and found.histories) else 1


def _counted(run: RunFolder) -> str:
    return counted_verdicts(run.document.scenarios)


def _told(found: RunDifference) -> list[str]:
    same = found.compared - len(found.histories)
    parts = [
        ("verdicts", found.verdicts, "verdicts: the same"),
        ("ledgers", found.ledgers, "ledgers: the same"),
        (
            f"histories: {same} of {found.compared} are the same, byte for byte",
            found.histories,
            f"histories: all {found.compared} are the same, byte for byte",
        ),
        ("times, B / A", found.times, "times: nothing to compare"),
    ]
    lines: list[str] = []
    for title, items, nothing in parts:
        lines += ["", title, *(f"  {item}" for item in items[:LINES_MAX])] if items else ["", nothing]
        if len(items) > LINES_MAX:
            lines.append(f"  {len(items) - LINES_MAX} more")
    return lines


def replay_command(where: str, workers: int | None) -> int:
    """Plays the scenarios again and compares; returns the exit code."""
    run, results = _chosen(where)
    if run.document.bench == "external":
        raise UsageError(f"{where}: a run before a target can not be replayed", hint="its failures name the command")
    bench: BenchKind = "processes" if run.document.bench == "processes" else "embedded"
    recorded = run.histories({result.id for result in results})
    headers = {name: msgspec.json.decode(text.split("\n", 1)[0]) for name, text in recorded.items()}
    plans = _plans(results)
    with tempfile.TemporaryDirectory(prefix="wakestorm-replay-") as folder:
        options = SuiteOptions(
            bench=bench,
            workers=workers or len(os.sched_getaffinity(0)),
            seed=None,
            broker=_option(headers, "broker", "iotcore"),
            duts=_duts(headers),
            errors_log=Path(folder) / "errors.log",
        )
        ended = _played(plans, options)
    differs = False
    details = run.details()
    for result in results:
        if result.id not in ended:
            continue
        words = _compared(result, ended[result.id], recorded.get(result.id, ""), is_exact=bench == "embedded")
        differs = differs or words.startswith("DIFFERS")
        detail = details.get(result.id)
        if words.startswith("DIFFERS") and detail is not None and detail.source != source_of(result.file):
            words += "\n         the scenario's file has changed since that run"
        print(f"{ended[result.id].result.verdict.value:<13} {result.id}\n         {words}")
    verdict = merged([item.result.verdict for item in ended.values()] + [Verdict.INCONCLUSIVE] * differs)
    return exit_code(verdict)


def _chosen(where: str) -> tuple[RunFolder, list[ScenarioResult]]:
    """The run, and those of its scenarios that are meant. Raises UsageError."""
    folder, mark, wanted = where, "", ""
    if not Path(where).exists():
        folder, mark, wanted = where.partition(":")
    run = read_run(Path(folder))
    results = list(run.document.scenarios)
    if not mark:
        return run, results
    exact = [result for result in results if result.id == wanted]
    if exact:
        return run, exact
    names = [result.id for result in results]
    found = [result for result in results if wanted in result.id]
    if len(found) == 1:
        return run, found
    if found:
        some = ", ".join(result.id for result in found[:4])
        raise UsageError(f"{folder}: {len(found)} scenarios have {wanted!r} in their id", hint=f"such as {some}")
    near = get_close_matches(wanted, names, n=3, cutoff=0.3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"{len(names)} were, such as {', '.join(names[:3])}"
    raise UsageError(f"{folder}: no scenario {wanted!r} was run", hint=hint)


def _plans(results: Sequence[ScenarioResult]) -> list[Plan]:
    plans: list[Plan] = []
    for seed in dict.fromkeys(result.seed for result in results):
        ids = [result.id for result in results if result.seed == seed]
        plans += plans_for(Selection(paths=ids, seed=seed))
    return plans


def _option(headers: Mapping[str, Mapping[str, Any]], name: str, otherwise: str) -> str:
    return next((str(h["options"][name]) for h in headers.values() if name in h.get("options", {})), otherwise)


def _duts(headers: Mapping[str, Mapping[str, Any]]) -> DutOrder:
    return duts_of(_option(headers, "dut", "simulated"), Path("boards.yaml"), LOOPBACK)


def _played(plans: Sequence[Plan], options: SuiteOptions) -> dict[str, ScenarioEnded]:
    terminal = TerminalReporter(sys.stderr, tty=sys.stderr.isatty(), color="NO_COLOR" not in os.environ)
    ended: dict[str, ScenarioEnded] = {}

    def tell(event: Event) -> None:
        terminal.on_event(event)
        if isinstance(event, ScenarioEnded):
            ended[event.result.id] = event

    try:
        Suite(plans, options, tell).run()
    finally:
        terminal.close()
    return ended


def _compared(result: ScenarioResult, now: ScenarioEnded, recorded: str, *, is_exact: bool) -> str:
    """`the same history, 113 lines`, or what differs."""
    parts = []
    if now.result.verdict is not result.verdict:
        parts.append(f"DIFFERS  it was {result.verdict.value}")
    if not is_exact:
        return "; ".join(parts) or "the same verdict; time is real there, so histories are not compared"
    old_header, _, old = recorded.partition("\n")
    new_header, _, new = now.history_jsonl.partition("\n")
    if not recorded:
        return "; ".join([*parts, "no history was recorded"])
    versions = _other_versions(msgspec.json.decode(old_header), msgspec.json.decode(new_header))
    if old != new:
        line = first_difference(f"{old_header}\n{old}", f"{old_header}\n{new}")
        parts.append(f"{'' if parts else 'DIFFERS  '}first at history {line}")
    elif not parts:
        parts.append(f"the same history, {recorded.count(chr(10))} lines")
    return "; ".join(parts) + (f"\n         {versions}" if versions else "")


def _other_versions(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Replay is promised where these are the same."""
    other = [
        f"{word} {old.get(name)}, here {new.get(name)}".strip()
        for name, word in _VERSIONS.items()
        if old.get(name) != new.get(name)
    ]
    return f"recorded with {'; '.join(other)}: the same history is not promised then" if other else ""
