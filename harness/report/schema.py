"""`verdict.json`: the published form of a run's result. `python -m harness.report.schema` writes its JSON Schema."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.events import LeftOut, ScenarioResult
from harness.verdict import Verdict

VERSION: Final = 1
SCHEMA_PATH: Final = Path("docs/verdict.schema.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """How many scenarios ended how; `not_run` were planned but have no result (the run was stopped).

    `not_for_dut` were in a folder that was run, and these devices or this bench can not play them.
    """

    passed: int
    failed: int
    inconclusive: int
    error: int
    not_run: int
    not_for_dut: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictDocument:
    """A whole run. `run` is the name of its folder; `scenarios` stand in plan order; `shard` is i/n of all of them.

    `order`: the ids of all shards' scenarios in the order of the run without shards; empty where it is no shard.
    """

    version: int
    wakestorm: str
    run: str
    bench: str
    seed: int | None
    verdict: Verdict
    interrupted: bool
    wall_s: float
    counts: Verdicts
    scenarios: tuple[ScenarioResult, ...]
    not_for_dut: tuple[LeftOut, ...] = ()
    shard: str = "1/1"
    order: tuple[str, ...] = ()


def verdict_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of `verdict.json`."""
    schema = msgspec.json.schema(VerdictDocument)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "verdict.json", **schema}


def verdict_schema_text() -> str:
    """The schema as it stands in `docs/`."""
    return json.dumps(verdict_schema(), indent=2, sort_keys=True) + "\n"


def main() -> int:
    """Writes `docs/verdict.schema.json` below the working directory."""
    SCHEMA_PATH.write_text(verdict_schema_text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
