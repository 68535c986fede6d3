"""`wakestorm timeline`: serial lines, MQTT messages and rows of a run on one timeline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer


def timeline(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or its history.jsonl.")] = Path(
        "runs/latest"
    ),
    scenario: Annotated[str, typer.Option("-k", metavar="TEXT", help="Only scenarios with TEXT in their id.")] = "",
    who: Annotated[str, typer.Option(metavar="NAME", help="Only this device, server0, or broker.")] = "",
    kinds: Annotated[
        str, typer.Option(metavar="KIND,...", help="serial, message, row, log, capture, fault, wake, sleep, server.")
    ] = "serial,message,row,capture,fault,wake,sleep,server",
) -> None:
    """Show what happened in a run, in order: what boards printed, what went over MQTT, what changed in the database.

    \b
    Examples:
      wakestorm timeline --who "yard[0]"
      wakestorm timeline runs/2026-11-21T13-13-25Z -k upgrade --kinds serial,row
    """
    from harness.errors import UsageError

    path = run / "history.jsonl" if run.is_dir() else run
    if not path.is_file():
        raise UsageError(f"{path}: no such history", hint="name a run's folder, such as runs/latest")
    wanted = set(kinds.split(","))
    for line in _lines(path, scenario, who, wanted):
        print(line)


def _lines(path: Path, scenario: str, who: str, kinds: set[str]) -> Iterator[str]:
    from harness.trace import line_of

    shown = ""
    with path.open(encoding="utf-8") as file:
        for text in file:
            record: dict[str, Any] = json.loads(text)
            name = str(record.pop("scenario", ""))
            if scenario not in name or record.get("kind") not in kinds or (who and record.get("who") != who):
                continue
            if name != shown:
                yield f"# {name}"
                shown = name
            yield line_of(record)
