"""`wakestorm bench hostile`: attacks on doors and input, counted."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

EXIT_CODES_HELP = "Exit codes: 0 every aim was met, or could not be measured here; 1 one was missed."


def register(bench: typer.Typer) -> None:
    """Adds the command to `wakestorm bench`."""
    bench.command(epilog=EXIT_CODES_HELP)(hostile)


def hostile(
    quick: Annotated[
        bool, typer.Option("--quick", help="A part of each attack, for a look: 3 minutes instead of 15.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Attack the doors and the input of everything here, and print for each attack what it achieved.

    Each line has what was found beside its limit, and PASS or FAIL. Uses brokers, a server and a database of its own,
    on loopback. What is missing here, such as mosquitto, is said and not counted.

    \b
    Examples:
      wakestorm bench hostile
      wakestorm bench hostile --quick
      wakestorm bench hostile --json
    """
    import asyncio
    from dataclasses import asdict

    from harness.hostile.figures import figures, shown
    from harness.jsonable import json_line

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    found = asyncio.run(figures(tell, is_quick=quick))
    print(
        json_line([asdict(figure) | {"verdict": figure.verdict} for figure in found])
        if as_json
        else "\n".join(shown(found))
    )
    raise typer.Exit(1 if any(figure.holds is False for figure in found) else 0)
