"""`wakestorm flakes`: what the flake ledger says, and quarantine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

LEDGER: Final = Path("runs/flakes.jsonl")

Ledger = Annotated[Path, typer.Option("--flakes", metavar="FILE", help="The flake ledger; it only grows.")]

flakes = typer.Typer(
    name="flakes",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Scenarios and tests that pass only sometimes: the ledger of all attempts, and quarantine.",
)


@flakes.command("ls")
def flakes_ls(ledger: Ledger = LEDGER) -> None:
    """List scenarios and tests that failed an attempt, or are in quarantine.

    The ledger is what `wakestorm run --flakes FILE` and `pytest --wakestorm-flakes FILE` write: a line an attempt.

    \b
    Examples:
      wakestorm flakes ls
    """
    from harness.flakes import RELEASE_AFTER, FlakeLedger

    standings = FlakeLedger(ledger).standings()
    if not ledger.exists():
        typer.echo(f"{ledger}: no ledger yet; `wakestorm run --flakes {ledger}` keeps one", err=True)
    elif not any(standing.failures or standing.is_quarantined for standing in standings.values()):
        typer.echo(f"{ledger}: nothing has failed in {len(standings)} scenarios", err=True)
    for name, standing in sorted(standings.items()):
        if standing.failures or standing.is_quarantined:
            words = f"{name}  {standing.attempts} attempts, {standing.failures} failed"
            words += f", {standing.flakes} passed on a later attempt" if standing.flakes else ""
            if standing.is_quarantined:
                left = RELEASE_AFTER - standing.passes_in_a_row
                words += f"; in quarantine ({standing.quarantined_because}), {left} passes in a row release it"
            print(words)


@flakes.command("quarantine")
def flakes_quarantine(
    scenario: Annotated[
        str, typer.Argument(metavar="ID", help="Of a scenario, as `wakestorm ls` shows it, or of a test of pytest.")
    ],
    because: Annotated[str, typer.Option(metavar="TEXT", help="What is known of it.")],
    ledger: Ledger = LEDGER,
) -> None:
    """Let a scenario or test run and be shown, but not decide verdicts, until it has passed 10 times in a row.

    \b
    Examples:
      wakestorm flakes quarantine scenarios/hil/upgrade.yaml --because "loses bytes on the blue hub"
      wakestorm flakes quarantine "tests/test_cam.py::test_boots[virtual]" --because "brownout, old cable"
    """
    from harness.flakes import RELEASE_AFTER, FlakeLedger

    _check_it_is_there(scenario)
    FlakeLedger(ledger).quarantine(scenario, because)
    typer.echo(
        f"{scenario} runs on and decides no verdict, until it has passed {RELEASE_AFTER} times in a row", err=True
    )


def _check_it_is_there(name: str) -> None:
    """Raises UsageError for an id of nothing, whose quarantine would do nothing."""
    from harness.errors import UsageError
    from harness.selection import scenario_files

    file, _, test = name.partition("::")
    if Path(file).suffix != ".py":
        scenario_files([name])
        return
    function = test.rpartition("::")[2].partition("[")[0]
    if not Path(file).is_file() or not re.search(
        rf"^\s*(async )?def {re.escape(function)}\(", Path(file).read_text(), re.M
    ):
        raise UsageError(
            f"{name}: no such test", hint="its id as `pytest -v` shows it, from the folder where pytest runs"
        )
