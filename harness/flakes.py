"""The flake ledger: what every scenario did at every attempt, and which ones are in quarantine. Pure but for its file.

The file only grows: one JSON line for each attempt, and one for each quarantine, with who said why. A scenario is put
into quarantine by a person; it leaves only by passing so many times in a row, each at its first attempt. In quarantine
it runs and is shown, but does not decide the run's verdict.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import UsageError
from harness.events import AttemptFailed, Event, ScenarioEnded, ScenarioResult
from harness.jsonable import json_line

RELEASE_AFTER: Final = 10
"""Passes in a row, at the first attempt, that end a quarantine."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One scenario in the ledger."""

    attempts: int = 0
    failures: int = 0
    flakes: int = 0
    """Passes that needed more than one attempt."""
    passes_in_a_row: int = 0
    quarantined_because: str = ""

    @property
    def is_quarantined(self) -> bool:
        """It does not decide verdicts."""
        return bool(self.quarantined_because)


def standings(lines: Iterable[Mapping[str, Any]], release_after: int = RELEASE_AFTER) -> dict[str, Standing]:
    """Where every scenario stands after all lines, in their order."""
    found: dict[str, Standing] = {}
    for line in lines:
        name = str(line["scenario"])
        now = found.get(name, Standing())
        if "quarantined_because" in line:
            found[name] = Standing(now.attempts, now.failures, now.flakes, 0, str(line["quarantined_because"]))
            continue
        passed, first = line["verdict"] == "PASS", line["attempt"] == 1
        in_a_row = now.passes_in_a_row + 1 if passed and first else 0
        because = "" if in_a_row >= release_after else now.quarantined_because
        found[name] = Standing(
            now.attempts + 1,
            now.failures + (not passed),
            now.flakes + (passed and not first),
            in_a_row,
            because,
        )
    return found


class FlakeLedger:
    """The file. Also a reporter: it writes a line for each attempt as it ends."""

    def __init__(self, path: Path, run: str = "") -> None:
        self.path = path
        self._run = run

    def on_event(self, event: Event) -> None:
        """Adds a line for an attempt."""
        if isinstance(event, ScenarioEnded | AttemptFailed):
            self.note(self._line(event.result))

    def note(self, attempt: Mapping[str, Any]) -> None:
        """Adds a line for an attempt: `scenario`, `attempt`, `verdict`, and what else is known of it."""
        self._add({**attempt, "run": self._run})

    def quarantine(self, scenario: str, because: str) -> None:
        """From now on this scenario decides no verdict."""
        if not because.strip():
            raise UsageError("a quarantine needs a reason", hint='--because "what is known of it"')
        self._add({"scenario": scenario, "quarantined_because": because.strip()})

    def standings(self) -> dict[str, Standing]:
        """Where every scenario stands. Raises UsageError for a file that is no ledger."""
        return standings(self._lines())

    def quarantined(self) -> frozenset[str]:
        """Ids of the scenarios in quarantine."""
        return frozenset(name for name, standing in self.standings().items() if standing.is_quarantined)

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        found = []
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                entry = json.loads(line)
                if "quarantined_because" not in entry:
                    entry["verdict"], entry["attempt"]
                entry["scenario"]
            except (ValueError, KeyError, TypeError):
                raise UsageError(f"{self.path}:{number}: no line of a flake ledger", hint="remove it") from None
            found.append(entry)
        return found

    def _line(self, result: ScenarioResult) -> dict[str, Any]:
        blames = sorted({failure.blame for failure in result.failures if failure.blame})
        return {
            "scenario": result.id,
            "attempt": result.attempt,
            "verdict": result.verdict.value,
            "seed": result.seed,
            "bench": result.bench,
            "blame": blames,
        }

    def _add(self, line: dict[str, Any]) -> None:
        """One write of one line: several runs may share the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json_line(line) + "\n")
