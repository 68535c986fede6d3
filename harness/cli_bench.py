"""`wakestorm bench`: measurements, each a command of its own. They belong to quiet machines and long nights."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

APP_MAX_BYTES: Final = 1_900_000
"""What the app's partition of the fixtures has room for."""

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
        print(f"migrated in {report.took_s:.1f} s, {report.set_aside} set aside, {report.originals} originals")
        for revision in report.revisions:
            print(f"  {revision.name}: {revision.took_s:.1f} s, exclusive locks {revision.locked_ms:.0f} ms")
        print(f"device_images exclusively locked for {report.locked_ms:.0f} ms in all (at most {LOCKED_MS_MAX})")
        print(
            f"{report.written_meanwhile} images written meanwhile, the slowest waited {report.longest_write_ms:.0f} ms"
        )
        for mistake in report.mistakes:
            print(f"WRONG {mistake}")
    return 1 if report.mistakes else 0


@app.command()
def boards(
    count: Annotated[int, typer.Option("--boards", min=1, max=32, metavar="N", help="Virtual boards at a time.")] = 8,
    app_size: Annotated[str, typer.Option("--app", metavar="SIZE", help="The app's image, about; at most 1900kB.")] = (
        "1500kB"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Flash many virtual boards at once with the real esptool, see each boot, and tell who spent the CPU time.

    Aim: 8 boards with 1.5 MB each within 10 s on 2 cores that do nothing else. Exit code 1: a board was not flashed, or
    does not run what was flashed.

    \b
    Examples:
      wakestorm bench boards
      wakestorm bench boards --boards 2 --app 200kB --json
    """
    raise typer.Exit(_boards(count, app_size, as_json=as_json))


def _boards(count: int, app_size: str, *, as_json: bool) -> int:
    from dataclasses import asdict
    from tempfile import TemporaryDirectory

    from harness.dut.flash_benchmark import AIM_S, measure
    from harness.errors import UsageError
    from harness.jsonable import json_line
    from harness.units import parse_size_bytes

    app_bytes = parse_size_bytes(app_size)
    if app_bytes > APP_MAX_BYTES:
        raise UsageError(f"--app: {app_size} does not fit into the app's partition", hint="at most 1900kB")

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with TemporaryDirectory(prefix="wakestorm-bench-") as folder:
        report = measure(Path(folder), boards=count, app_bytes=app_bytes, on_line=tell)
    if as_json:
        print(json_line(asdict(report) | {"cpu_bound_s": report.cpu_bound_s, "aim_s": AIM_S}))
    else:
        spent = (
            ("esptool", report.esptool_cpu_s),
            ("virtual boards", report.boards_cpu_s),
            ("wakestorm itself", report.harness_cpu_s),
        )
        print(f"{report.boards} boards, {report.app_bytes:,} B of app, {report.written_bytes:,} B written in all")
        print(f"flashed and running after {report.flashed_s:.1f} s (aim for 8 boards: {AIM_S:g} s)")
        for who, seconds in spent:
            print(f"  CPU of {who:<17} {seconds:6.2f} s, {seconds / report.boards:.2f} s a board")
        print(
            f"  {report.cores} cores can't do it faster than in {report.cpu_bound_s:.1f} s; load was {report.load:.1f}"
        )
        for mistake in report.mistakes:
            print(f"WRONG {mistake}")
    return 1 if report.mistakes else 0
