"""`wakestorm merge`: the runs of all shards as one run; the ledger is the one that a run without shards would have had.

What is merged are folders with verdict.json and ledger.csv, of `wakestorm run --shard` or `wakestorm fleet --shard`.
Every shard must be there once. Nothing is guessed: what does not fit together is refused.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.errors import UsageError
from harness.events import Counts, ScenarioResult
from harness.jsonable import json_line
from harness.ledger import CSV_COLUMNS, LedgerTotals
from harness.machine import run_name
from harness.report.files import new_folder, point_latest_at, written_whole
from harness.report.schema import VerdictDocument, Verdicts
from harness.verdict import Verdict, merged

FLEET: Final = "fleet"


@dataclass(frozen=True, slots=True)
class ShardRun:
    """One folder, read. `part` of `parts`, counted from 1."""

    folder: Path
    document: VerdictDocument
    rows: tuple[tuple[str, ...], ...]
    history: str
    part: int
    parts: int


def read_shard(folder: Path) -> ShardRun:
    """A run's folder. Raises UsageError for anything else."""
    try:
        document = msgspec.json.decode((folder / "verdict.json").read_bytes(), type=VerdictDocument)
        lines = list(csv.reader(io.StringIO((folder / "ledger.csv").read_text(encoding="utf-8"))))
        history = (folder / "history.jsonl").read_text(encoding="utf-8")
    except OSError as error:
        name = Path(error.filename or folder).name
        raise UsageError(f"{folder}: no finished run, {name}: {error.strerror or error}") from error
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise UsageError(f"{folder}/verdict.json: {error}") from error
    if not lines or tuple(lines[0]) != CSV_COLUMNS:
        raise UsageError(f"{folder}/ledger.csv: its first line is not {','.join(CSV_COLUMNS)}")
    part, _, parts = document.shard.partition("/")
    return ShardRun(folder, document, tuple(map(tuple, lines[1:])), history, int(part), int(parts))


def check_fit(shards: Sequence[ShardRun]) -> None:
    """Raises UsageError where shards are missing, there twice, or of different runs."""
    first = shards[0]
    for shard in shards[1:]:
        for what in ("bench", "seed", "wakestorm"):
            one, other = getattr(first.document, what), getattr(shard.document, what)
            if one != other:
                raise UsageError(f"{first.folder} and {shard.folder} differ in {what}: {one} and {other}")
        if shard.document.order != first.document.order:
            raise UsageError(
                f"{first.folder} and {shard.folder} are parts of different selections",
                hint="run every shard with the same paths, tags and words",
            )
        if shard.parts != first.parts:
            raise UsageError(
                f"{first.folder} is one of {first.parts} shards, {shard.folder} one of {shard.parts}",
                hint="merge the shards of one run",
            )
    seen: dict[int, Path] = {}
    for shard in shards:
        if shard.part in seen:
            raise UsageError(f"shard {shard.document.shard} is there twice: {seen[shard.part]} and {shard.folder}")
        seen[shard.part] = shard.folder
    missing = [f"{part}/{first.parts}" for part in range(1, first.parts + 1) if part not in seen]
    if missing:
        raise UsageError(
            f"shards are missing: {', '.join(missing)}", hint="run them with --shard, then merge all folders"
        )
    _check_doubles(shards)


def _check_doubles(shards: Sequence[ShardRun]) -> None:
    """What only one shard may have: a scenario, or a camera of a fleet."""
    is_fleet = shards[0].document.bench == FLEET
    owners: dict[str, Path] = {}
    for shard in shards:
        mine = {row[1] for row in shard.rows} if is_fleet else {result.id for result in shard.document.scenarios}
        for name in sorted(mine):
            if name in owners:
                kind = "camera" if is_fleet else "scenario"
                raise UsageError(f"{kind} {name} is in {owners[name]} and in {shard.folder}: no shards of one run")
            owners[name] = shard.folder


def merge(folders: Sequence[Path], runs_folder: Path) -> tuple[Path, VerdictDocument]:
    """Merges into a new folder of `runs_folder`. Raises UsageError."""
    shards = sorted((read_shard(folder) for folder in folders), key=lambda shard: shard.part)
    check_fit(shards)
    try:
        folder = new_folder(runs_folder, run_name())
    except OSError as error:
        raise UsageError(f"--out {runs_folder}: {error.strerror or error}") from error
    document = _document(shards, folder.name)
    pretty = msgspec.json.format(json_line(msgspec.to_builtins(document)), indent=2) + "\n"
    written_whole(folder / "verdict.json", pretty)
    written_whole(folder / "history.jsonl", "".join(shard.history for shard in shards))
    written_whole(folder / "ledger.csv", _ledger_csv(_rows(shards, [result.id for result in document.scenarios])))
    point_latest_at(folder)
    return folder, document


def _rows(shards: Sequence[ShardRun], scenarios: Sequence[str]) -> list[tuple[str, ...]]:
    """By scenario in its order; a fleet's by camera. What one camera did stays in its order."""
    rows = [row for shard in shards for row in shard.rows]
    if shards[0].document.bench == FLEET:
        return sorted(rows, key=lambda row: row[1])
    order = {scenario: number for number, scenario in enumerate(scenarios)}
    return sorted(rows, key=lambda row: order.get(row[0], len(order)))


def _ledger_csv(rows: Sequence[tuple[str, ...]]) -> str:
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(rows)
    return page.getvalue()


def _document(shards: Sequence[ShardRun], run: str) -> VerdictDocument:
    documents = [shard.document for shard in shards]
    scenarios = _scenarios(documents)
    verdicts = [document.verdict for document in documents]
    counts = {name: sum(getattr(document.counts, name) for document in documents) for name in _names(Verdicts)}
    if documents[0].bench == FLEET:
        count = {verdict: sum(result.verdict is verdict for result in scenarios) for verdict in Verdict}
        counts = {
            "passed": count[Verdict.PASS],
            "failed": count[Verdict.FAIL],
            "inconclusive": count[Verdict.INCONCLUSIVE],
            "error": count[Verdict.ERROR],
            "not_run": 0,
        }
    return replace(
        documents[0],
        run=run,
        shard="1/1",
        order=(),
        verdict=merged(verdicts),
        interrupted=any(document.interrupted for document in documents),
        wall_s=max(document.wall_s for document in documents),
        counts=Verdicts(**counts),
        scenarios=tuple(scenarios),
    )


def _scenarios(documents: Sequence[VerdictDocument]) -> list[ScenarioResult]:
    """In the order of the whole run, which every shard has noted. A fleet is one scenario again."""
    results = [result for document in documents for result in document.scenarios]
    if documents[0].bench == FLEET:
        return [_one_fleet(results)]
    place = {scenario: number for number, scenario in enumerate(documents[0].order)}
    return sorted(results, key=lambda result: place.get(result.id, len(place)))


def _one_fleet(results: Sequence[ScenarioResult]) -> ScenarioResult:
    return replace(
        results[0],
        verdict=merged(result.verdict for result in results),
        failures=tuple(failure for result in results for failure in result.failures),
        wall_s=max(result.wall_s for result in results),
        counts=_summed(Counts, [result.counts for result in results]),
        ledger=_summed(LedgerTotals, [result.ledger for result in results]),
    )


def _names(kind: type[Any]) -> list[str]:
    return [item.name for item in fields(kind)]


def _summed(kind: type[Any], items: Sequence[Any]) -> Any:
    return kind(**{name: sum(getattr(item, name) for item in items) for name in _names(kind)})
