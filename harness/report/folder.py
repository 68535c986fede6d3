"""A run's folder, read again: verdicts, histories, ledger and details."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.detail import Detail
from harness.errors import UsageError
from harness.history import Record
from harness.jsonable import json_line
from harness.report.schema import VERSION, VerdictDocument

DETAILS: Final = "details.jsonl"
HISTORY: Final = "history.jsonl"
_OWN: Final = frozenset({"t_ms", "kind", "who", "scenario", "after"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """One run. What is large is read when it is asked for."""

    path: Path
    document: VerdictDocument

    def histories(self, wanted: Collection[str] | None = None) -> dict[str, str]:
        """The history of each scenario (all: None) with the bytes that it had in its own process."""
        found: dict[str, list[str]] = {}
        for scenario, line in self._history_lines():
            if wanted is None or scenario in wanted:
                found.setdefault(scenario, []).append(line)
        return {scenario: "\n".join(lines) + "\n" for scenario, lines in found.items()}

    def _history_lines(self) -> Iterator[tuple[str, str]]:
        path = self.path / HISTORY
        if not path.is_file():
            return
        scenario, mark = "", ""
        with path.open(encoding="utf-8") as lines:
            for text in lines:
                line = text.rstrip("\n")
                if mark and line.startswith(mark):
                    yield scenario, "{" + line.removeprefix(mark)
                else:  # a header: the next scenario begins
                    scenario = str(json.loads(line).get("scenario", ""))
                    mark = f'{{"scenario":{json_line(scenario)},'
                    yield scenario, line

    def ledgers(self) -> dict[str, list[dict[str, str]]]:
        """The lines of ledger.csv for each scenario."""
        path = self.path / "ledger.csv"
        found: dict[str, list[dict[str, str]]] = {}
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as lines:
                for row in csv.DictReader(lines):
                    found.setdefault(row.pop("scenario"), []).append(row)
        return found

    def details(self) -> dict[str, Detail]:
        """What was seen beside the histories of scenarios that failed."""
        path = self.path / DETAILS
        if not path.is_file():
            return {}
        with path.open("rb") as lines:
            found = [msgspec.json.decode(line) for line in lines]
        return {item["scenario"]: msgspec.convert(item["detail"], Detail) for item in found}


def details_text(details: Mapping[str, Detail]) -> str:
    """`details.jsonl`: one line for each scenario."""
    lines = [{"scenario": name, "detail": msgspec.to_builtins(detail)} for name, detail in details.items()]
    return "".join(json_line(line) + "\n" for line in lines)


def read_run(path: Path) -> RunFolder:
    """The run in that folder. Raises UsageError, which names what there is."""
    folder = path.parent if path.name == "verdict.json" else path
    try:
        data = (folder / "verdict.json").read_bytes()
    except OSError:
        raise UsageError(f"{path}: no run stands there", hint=_known_runs(folder)) from None
    try:
        found = msgspec.json.decode(data)
        if found.get("version") != VERSION:
            text = f"{folder / 'verdict.json'}: version {found.get('version')!r}, this wakestorm reads {VERSION}"
            raise UsageError(text)
        document = msgspec.convert(found, VerdictDocument)
    except (msgspec.MsgspecError, AttributeError) as error:
        raise UsageError(f"{folder / 'verdict.json'}: not a verdict: {error}") from error
    return RunFolder(path=folder.resolve(), document=document)


def _known_runs(folder: Path) -> str:
    """The newest runs beside it, or how to make one."""
    beside = folder.parent if folder.parent.is_dir() else Path("runs")
    runs = sorted((item.parent.name for item in beside.glob("2*/verdict.json")), reverse=True)
    if not runs:
        return "`wakestorm run` makes one; name its folder, such as runs/latest"
    return f"the newest in {beside} are {', '.join(runs[:4])}"


def records_of(history: str) -> list[Record]:
    """The records of a history's text, without its header."""
    return [record_of(json.loads(line)) for line in history.split("\n")[1:] if line]


def record_of(plain: Mapping[str, Any]) -> Record:
    """A record from its plain form."""
    fields = {name: value for name, value in plain.items() if name not in _OWN}
    return Record(t_ms=plain["t_ms"], kind=plain["kind"], who=plain["who"], fields=fields)


def asides_of(detail: Detail) -> list[tuple[int, Record]]:
    """What was seen beside the history, each with the number of records before it."""
    return [(int(aside["after"]), record_of(aside)) for aside in detail.asides]
