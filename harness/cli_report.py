"""`wakestorm report`, `diff` and `replay`: what to do with a run that is over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

LATEST: Final = Path("runs/latest")
DIFF_CODES: Final = (
    "Exit codes: 0 verdicts and ledgers are the same; 1 they differ, or with --exact the histories do; 64 wrong usage."
)
REPLAY_CODES: Final = (
    "Exit codes: those of `run`; 2 also when everything passed and a history differs from the recorded one."
)


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")] = LATEST,
    full: Annotated[bool, typer.Option("--full", help="Show passed scenarios whole too, up to 64 MB.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write there; without it RUN/report.html.")
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write the HTML report of a run again: one file without network, verdicts first.

    `wakestorm run` writes it too. Failed scenarios stand there whole; with --full the passed ones do.

    \b
    Examples:
      wakestorm report
      wakestorm report runs/2026-01-05T22-00-00Z --full --out night.html
    """
    from harness.errors import UsageError
    from harness.report.folder import read_run
    from harness.report.html import made_report

    folder = read_run(run).path
    try:
        path = made_report(folder, full=full, target=out)
    except OSError as error:
        raise UsageError(f"{out or folder}: {error.strerror or error}") from error
    assert path is not None, "read_run has found verdict.json"
    shown = path if out is not None else run / path.name
    print(f"{shown}  ({_size_text(path.stat().st_size)})")
    if open_it:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())


def _size_text(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1_000_000 else f"{size_bytes / 1e3:.0f} kB"


def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="The folder of the run before.")],
    now: Annotated[Path, typer.Argument(metavar="B", help="The folder of the run after.")] = LATEST,
    exact: Annotated[bool, typer.Option("--exact", help="Differing histories count too.")] = False,
) -> None:
    """Compare two runs: verdicts, ledgers, the first line of each history that differs, times as ratios.

    \b
    Examples:
      wakestorm diff runs/2026-01-05T22-00-00Z
      wakestorm diff runs/before runs/after --exact
    """
    from harness.comparing import diff_command

    raise typer.Exit(diff_command(before, now, exact=exact))


def replay(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN[:SCENARIO]", help="A run's folder; a scenario's id, or a part that only it has."),
    ] = str(LATEST),
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, metavar="N", help="Scenarios at a time. Default: one for each core.")
    ] = None,
) -> None:
    """Play scenarios of a run again with their seeds, and say where a replay differs from what was recorded.

    In the embedded bench the history must be the same, byte for byte, on the same versions and architecture. In the
    processes bench time is real: there only verdicts are compared.

    \b
    Examples:
      wakestorm replay
      wakestorm replay runs/2026-01-05T22-00-00Z
      wakestorm replay "runs/latest:scenarios/resume/last-ack-lost.yaml"
    """
    from harness.comparing import replay_command

    raise typer.Exit(replay_command(run, workers))


def register(app: typer.Typer, exit_codes: str) -> None:
    """Adds the commands."""
    app.command(epilog=exit_codes)(report)
    app.command(epilog=DIFF_CODES)(diff)
    app.command(epilog=REPLAY_CODES)(replay)
