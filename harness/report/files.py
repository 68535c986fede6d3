"""What a run leaves behind: `runs/<name>/` with verdict.json, history.jsonl and ledger.csv, and `runs/latest`.

Everything is written under another name first and then moved, so that a reader never sees half a file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from harness.events import Event, ScenarioEnded, ScenarioResult, SuiteEnded, SuiteStarted
from harness.jsonable import json_line
from harness.ledger import ledger_csv
from harness.report.folder import DETAILS, details_text
from harness.report.schema import VERSION, VerdictDocument, Verdicts
from harness.verdict import Verdict

LATEST: Final = "latest"


class RunFiles:
    """Writes the run's folder at the end of the suite. Make it the last reporter: `latest` moves when all is there.

    `run_name` comes from the caller's clock; a name that is taken gets `-2`, `-3` and so on. With `goes_on` it is the
    folder of a run that is resumed.
    """

    def __init__(self, runs_folder: Path, run_name: str, *, wakestorm: str, goes_on: bool = False) -> None:
        self._wakestorm = wakestorm
        self.shard = "1/1"
        self.order: tuple[str, ...] = ()
        self._started: SuiteStarted | None = None
        self._ended: dict[str, ScenarioEnded] = {}
        self.folder = runs_folder / run_name if goes_on else new_folder(runs_folder, run_name)

    def on_event(self, event: Event) -> None:
        """Collects; writes at SuiteEnded."""
        match event:
            case SuiteStarted():
                self._started = event
            case ScenarioEnded(result=result):
                self._ended[result.id] = event
            case SuiteEnded():
                self._write(event)
            case _:
                pass

    def _write(self, end: SuiteEnded) -> None:
        ended = in_plan_order(self._started.planned if self._started else (), self._ended)
        document = self._document(end, [item.result for item in ended])
        pretty = msgspec.json.format(json_line(msgspec.to_builtins(document)), indent=2) + "\n"
        written_whole(self.folder / "verdict.json", pretty)
        written_whole(self.folder / "history.jsonl", "".join(_history_of(item) for item in ended))
        written_whole(self.folder / "ledger.csv", ledger_csv({item.result.id: item.ledger for item in ended}))
        details = {item.result.id: item.detail for item in ended if item.detail is not None}
        if details:
            written_whole(self.folder / DETAILS, details_text(details))
        point_latest_at(self.folder)

    def _document(self, end: SuiteEnded, results: Sequence[ScenarioResult]) -> VerdictDocument:
        planned = self._started.planned if self._started else ()
        left_out = self._started.left_out if self._started else ()
        count = {verdict: sum(result.verdict is verdict for result in results) for verdict in Verdict}
        return VerdictDocument(
            version=VERSION,
            wakestorm=self._wakestorm,
            run=self.folder.name,
            bench=self._started.bench if self._started else "",
            seed=self._started.seed if self._started else None,
            shard=self.shard,
            order=self.order,
            verdict=end.verdict,
            interrupted=end.interrupted,
            wall_s=round(end.wall_s, 3),
            counts=Verdicts(
                passed=count[Verdict.PASS],
                failed=count[Verdict.FAIL],
                inconclusive=count[Verdict.INCONCLUSIVE],
                error=count[Verdict.ERROR],
                not_run=len(set(planned) - {result.id for result in results}),
                not_for_dut=len(left_out),
            ),
            scenarios=tuple(results),
            not_for_dut=left_out,
        )


def in_plan_order(planned: Sequence[str], ended: Mapping[str, ScenarioEnded]) -> list[ScenarioEnded]:
    """The ends in the order of the plan, whatever the order in which workers finished; unplanned ones last."""
    order = {scenario: index for index, scenario in enumerate(planned)}
    return sorted(ended.values(), key=lambda item: (order.get(item.result.id, len(order)), item.result.id))


def written_whole(path: Path, text: str) -> None:
    """Writes a file so that it is there whole or not at all."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text, encoding="utf-8", newline="\n")
    draft.replace(path)


def point_latest_at(folder: Path) -> None:
    """Moves the symbolic link `latest` beside `folder` to it, in one step; left out where links are not allowed."""
    draft = folder.with_name(f".{LATEST}.{folder.name}")
    with contextlib.suppress(OSError):
        draft.unlink(missing_ok=True)
        draft.symlink_to(folder.name, target_is_directory=True)
        draft.replace(folder.with_name(LATEST))
    draft.unlink(missing_ok=True)


def new_folder(runs_folder: Path, name: str) -> Path:
    """A folder of that name, or with `-2`, `-3` and so on behind it."""
    runs_folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1_000):
        folder = runs_folder / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{runs_folder / name} and 998 names after it are taken")


def _history_of(item: ScenarioEnded) -> str:
    """The scenario's history with `scenario` in each line; records have no such field of their own, the header has."""
    header, *records = (item.history_jsonl or "{}").rstrip("\n").split("\n")  # U+2028 in a payload is no line's end
    first = json_line({**msgspec.json.decode(header), "scenario": item.result.id})
    name = f'{{"scenario":{json_line(item.result.id)},'
    return "\n".join([first, *(name + record.removeprefix("{") for record in records)]) + "\n"
