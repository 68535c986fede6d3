"""`wakestorm bench`: measurements, each a command of its own. They belong to quiet machines and long nights."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Measure: how long something takes, and what it keeps others from doing.",
)


@app.callback()
def bench() -> None:
    """Each measurement is a command."""


@app.command()
def migrate(
    rows: Annotated[
        int, typer.Option(min=100, max=100_000_000, metavar="N", help="Images in the database.")
    ] = 1_000_000,
    duplicates: Annotated[
        int, typer.Option(min=0, max=50, metavar="PERCENT", help="How many of them are duplicates.")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Migrate a database of old images with duplicates, and measure time and exclusive locks.

    On the server of DATABASE_URL if that is set, else on an embedded one; its database is made and dropped. Exit code
    1: exclusive locks on device_images took more than a second in all, or rows are missing.

    \b
    Examples:
      wakestorm bench migrate
      wakestorm bench migrate --rows 100000 --json
    """
    raise typer.Exit(_migrate(rows, duplicates, as_json=as_json))


def _migrate(rows: int, duplicates: int, *, as_json: bool) -> int:
    from dataclasses import asdict

    from harness.bench.migration_benchmark import LOCKED_MS_MAX, measure
    from harness.bench.postgres import ephemeral_cluster, run_blocking
    from harness.jsonable import json_line
    from harness.machine import token

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with ephemeral_cluster(os.environ) as cluster:
        report = run_blocking(
            measure(cluster, f"wakestorm_bench_{token()}", rows=rows, duplicate_percent=duplicates, on_line=tell)
        )
    if as_json:
        totals = {"took_s": report.took_s, "locked_ms": report.locked_ms, "mistakes": report.mistakes}
        print(json_line(asdict(report) | totals))
    else:
        print(f"{report.rows} images, {report.duplicates} duplicates")
        print(f"migrated in {report.took_s:.1f} s, {report.set_aside} set aside")
        print(f"device_images exclusively locked for {report.locked_ms:.0f} ms in all (at most {LOCKED_MS_MAX})")
        print(
            f"{report.written_meanwhile} images written meanwhile, the slowest waited {report.longest_write_ms:.0f} ms"
        )
        for mistake in report.mistakes:
            print(f"WRONG {mistake}")
    return 1 if report.mistakes else 0
