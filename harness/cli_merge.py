"""`wakestorm merge`: the command line only; see `harness.merging`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="The folders of all shards of one run.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where runs are kept.")] = Path("runs"),
) -> None:
    """Join the runs of all shards into one: ledger and verdict as a run without shards would have given them.

    Refuses shards that are missing, there twice, or of different runs.

    \b
    Examples:
      wakestorm merge runs/a runs/b --out runs
    """
    from harness.merging import FLEET
    from harness.merging import merge as merged_run
    from harness.verdict import exit_code

    folder, document = merged_run(folders, out)
    sums = [asdict(result.ledger) for result in document.scenarios]
    words = ", ".join(
        f"{sum(item[name] for item in sums)} {name}" for name in ("captured", "stored", "lost", "doubled")
    )
    what = "1 fleet" if document.bench == FLEET else _counted(len(document.scenarios), "scenario")
    typer.echo(f"{_counted(len(folders), 'shard')}, {what}; photos: {words}")
    typer.echo(f"{document.verdict.value}  {folder / 'ledger.csv'}")
    raise typer.Exit(exit_code(document.verdict))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
