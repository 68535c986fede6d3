"""`wakestorm doctor`: does everything work here, and if not, what mends it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from harness.machine_health import Look

EXIT_CODES_HELP: Final = (
    "Exit codes: 0 all is well, or only something optional is missing; 1 a problem; 3 scenarios can not run."
)
WIDTH_CHARS: Final = 79
_WORDS: Final = {"ok": "ok", "note": "note", "problem": "PROBLEM", "wall": "PROBLEM"}


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Look only; start no PostgreSQL and no broker.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Check this machine: Python, limits, ports, disk, PostgreSQL, broker; and name the fix for what is wrong.

    \b
    Examples:
      wakestorm doctor
      wakestorm doctor --quick --json
    """
    raise typer.Exit(doctor_command(quick=quick, as_json=as_json))


def doctor_command(*, quick: bool, as_json: bool) -> int:
    """Looks, and tells at once what it sees; returns the exit code."""
    from harness.machine_health import examine

    return told(examine(os.environ, Path(), start=not quick), as_json=as_json)


def told(looks: Iterable[Look], *, as_json: bool) -> int:
    """One line for each look (JSON: one document), and what to do at the end."""
    from harness.jsonable import json_line

    seen: list[Look] = []
    for look in looks:
        seen.append(look)
        if not as_json:
            print("\n".join(_lines(look)), flush=True)
    states = {look.state for look in seen}
    code = 3 if "wall" in states else 1 if "problem" in states else 0
    if as_json:
        rows = [{"what": one.what, "state": one.state, "text": one.text, "fix": one.fix or None} for one in seen]
        print(json_line({"ok": code == 0, "findings": rows}))
        return code
    count = sum(look.state in ("problem", "wall") for look in seen)
    said = {0: "All is well.", 1: f"{count} to mend; scenarios may run all the same.", 3: "Scenarios can not run here."}
    print(f"\n{said[code]}", file=sys.stdout)
    return code


def _lines(look: Look) -> list[str]:
    import textwrap

    first = f"{_WORDS[look.state]:<7}  {look.what:<19}  "
    lines = textwrap.wrap(look.text, WIDTH_CHARS, initial_indent=first, subsequent_indent=" " * len(first))
    if look.fix:
        lines += textwrap.wrap(f"-> {look.fix}", WIDTH_CHARS, initial_indent=" " * 9, subsequent_indent=" " * 12)
    return lines
