"""`wakestorm flakes`: what the flake ledger says, and quarantine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

LEDGER: Final = Path("runs/flakes.jsonl")

Ledger = Annotated[Path, typer.Option("--flakes", metavar="FILE", help="The flake ledger; it only grows.")]

flakes = typer.Typer(
    name="flakes",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Scenarios that pass only sometimes: the ledger of all attempts, and quarantine.",
)


@flakes.command("ls")
def flakes_ls(ledger: Ledger = LEDGER) -> None:
    """List scenarios that failed an attempt, or are in quarantine.

    \b
    Examples:
      wakestorm flakes ls
    """
    from harness.flakes import RELEASE_AFTER, FlakeLedger

    for name, standing in sorted(FlakeLedger(ledger).standings().items()):
        if standing.failures or standing.is_quarantined:
            words = f"{name}  {standing.attempts} attempts, {standing.failures} failed"
            words += f", {standing.flakes} passed on a later attempt" if standing.flakes else ""
            if standing.is_quarantined:
                left = RELEASE_AFTER - standing.passes_in_a_row
                words += f"; in quarantine ({standing.quarantined_because}), {left} passes in a row release it"
            print(words)


@flakes.command("quarantine")
def flakes_quarantine(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="Its id, as `wakestorm ls` shows it.")],
    because: Annotated[str, typer.Option(metavar="TEXT", help="What is known of it.")],
    ledger: Ledger = LEDGER,
) -> None:
    """Let a scenario run and be shown, but not decide verdicts, until it has passed 10 times in a row.

    \b
    Examples:
      wakestorm flakes quarantine scenarios/hil/upgrade.yaml --because "loses bytes on the blue hub"
    """
    from harness.flakes import FlakeLedger

    FlakeLedger(ledger).quarantine(scenario, because)
