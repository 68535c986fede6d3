"""`wakestorm timeline`: serial lines, MQTT messages and rows of a run on one timeline, as lines or as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

SHOWN: tuple[str, ...] = ("serial", "message", "row", "capture", "fault", "wake", "sleep", "server", "info")
SCENARIOS_MAX = 20
"""A page has so many; more are asked for with -k."""

History = dict[str, list[dict[str, Any]]]
"""Records by scenario, in the order of the file."""


def timeline(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or its history.jsonl.")] = Path(
        "runs/latest"
    ),
    scenario: Annotated[str, typer.Option("-k", metavar="TEXT", help="Only scenarios with TEXT in their id.")] = "",
    who: Annotated[
        str, typer.Option(metavar="NAME", help="Only this device, such as yard[0]; or server0, broker.")
    ] = "",
    kinds: Annotated[str, typer.Option(metavar="KIND,...", help="Also: log, invoke (steps), fail.")] = ",".join(SHOWN),
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page instead, with all kinds and boxes to filter them."),
    ] = None,
) -> None:
    """Show what happened in a run, in order: what boards printed, what went over MQTT, what changed in the database.

    Serial lines and rows are there where the devices were boards (--dut virtual, --dut board:ID).

    \b
    Examples:
      wakestorm timeline --who "yard[0]"
      wakestorm timeline runs/2026-11-21T13-13-25Z -k upgrade --kinds serial,row
      wakestorm timeline -k upgrade --html upgrade.html
    """
    from harness.errors import UsageError

    path = run / "history.jsonl" if run.is_dir() else run
    if not path.is_file():
        raise UsageError(f"{path}: no such history", hint="name a run's folder, such as runs/latest")
    wanted = _kinds(kinds)
    history = _history(path, scenario, who)
    if not history:
        of = f" of {who}" if who else ""
        raise UsageError(f"{path} has no record{of} of a scenario with {scenario!r} in its id", hint=_there(path))
    if html is not None:
        _write_page(html, history, path)
        return
    from harness.trace import line_of

    for name, records in history.items():
        lines = [line_of(record) for record in records if record["kind"] in wanted]
        print("\n".join([f"# {name}", *lines]))


def _kinds(text: str) -> set[str]:
    from harness.errors import UsageError, did_you_mean
    from harness.timeline_page import KINDS

    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in KINDS:
            raise UsageError(f"--kinds: no kind of record is called {word!r}", hint=did_you_mean(word, KINDS))
    return set(words)


def _history(path: Path, scenario: str, who: str) -> History:
    from harness.errors import UsageError
    from harness.timeline_page import KINDS

    found: History = {}
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            try:
                record: dict[str, Any] = json.loads(text)
                name = str(record.pop("scenario", ""))
                kind, of = record["kind"], record.get("who", "")
            except (ValueError, KeyError, AttributeError):
                raise UsageError(f"{path}:{number}: no line of a history", hint="name a run's folder") from None
            if scenario in name and kind in KINDS and (not who or of == who):
                found.setdefault(name, []).append(record)
    return found


def _there(path: Path) -> str:
    """What the history has."""
    names: dict[str, None] = {}
    who: dict[str, None] = {}
    with path.open(encoding="utf-8") as file:
        for text in file:
            record = json.loads(text)
            names.setdefault(str(record.get("scenario", "")))
            who.setdefault(str(record.get("who", "")))
    shown = ", ".join(sorted(word for word in who if word)[:12])
    return f"it has {len(names)} scenarios, such as {next(iter(names), 'none')}; who: {shown}"


def _write_page(target: Path, history: History, path: Path) -> None:
    from harness.errors import UsageError
    from harness.timeline_page import page

    if len(history) > SCENARIOS_MAX:
        raise UsageError(
            f"{len(history)} scenarios are too many for one page (at most {SCENARIOS_MAX})", hint="choose some with -k"
        )
    try:
        target.write_text(page(history, f"Timeline of {path.parent.resolve().name}"), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--html {target}: {error.strerror}") from error
    print(target)
