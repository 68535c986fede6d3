"""`wakestorm originals`: figures, clean-up and back-fill of a database's originals; storms and rates of our own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

originals = typer.Typer(
    name="originals",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Stored bytes of images: figures, clean-up, back-fill; and storms that try to break them.",
)

EXIT_CODES_HELP = "Exit codes: 0 done; 1 something does not hold; 3 database or store not to be had; 64 wrong usage."
DatabaseUrl = Annotated[
    str,
    typer.Option(
        "--database-url",
        envvar="DATABASE_URL",
        show_envvar=True,
        metavar="URL",
        help="postgresql://user:password@host:5432/database",
    ),
]
Objects = Annotated[
    str,
    typer.Option(envvar="WAKESTORM_OBJECTS", show_envvar=True, metavar="DIR|URL", help="Where images are kept."),
]


@originals.command(epilog=EXIT_CODES_HELP)
def stats(database_url: DatabaseUrl = "") -> None:
    """Print how many originals there are, what they take and what sharing them saves, as JSON.

    \b
    Examples:
      wakestorm originals stats --database-url postgresql://ws_server@localhost/cameras
    """
    from server.cli import print_originals_stats

    raise typer.Exit(print_originals_stats(named_database(database_url)))


@originals.command(name="clean-up", epilog=EXIT_CODES_HELP)
def clean_up(
    database_url: DatabaseUrl = "",
    objects: Objects = "objects",
    older_than: Annotated[str, typer.Option(metavar="DURATION", help="Younger ones are left alone.")] = "24h",
    limit: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="At most so many originals.")] = 100,
) -> None:
    """Mend counts, remove originals without references and stored objects without a row; prints what it did.

    `wakestorm serve` does the same by itself; both at once do no harm.

    \b
    Examples:
      wakestorm originals clean-up --database-url postgresql://ws_server@localhost/cameras --objects s3://photos
    """
    from server.cli import clean_up_originals

    raise typer.Exit(clean_up_originals(named_database(database_url), objects, older_than, limit))


@originals.command(name="back-fill", epilog=EXIT_CODES_HELP)
def back_fill(database_url: DatabaseUrl = "", objects: Objects = "objects") -> None:
    """Give images from before originals theirs: their bytes are read, hashed and stored once.

    May be stopped and run again. Exit code 1 when bytes could not be read.

    \b
    Examples:
      wakestorm originals back-fill --database-url postgresql://ws_server@localhost/cameras --objects s3://photos
    """
    from server.cli import back_fill_originals

    raise typer.Exit(back_fill_originals(named_database(database_url), objects))


@originals.command(epilog=EXIT_CODES_HELP)
def storm(
    interleavings: Annotated[int, typer.Option(min=1, max=1_000_000, metavar="N", help="How many rounds.")] = 1_000,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Where all chance comes from.")] = 1,
    first: Annotated[int, typer.Option(min=0, metavar="N", help="The first round's number.")] = 0,
    kills: Annotated[bool, typer.Option(help="In every second round a server dies between two steps.")] = True,
) -> None:
    """Interleave uploads, deletions and clean-ups of two servers, statement by statement, and count references.

    On a PostgreSQL of its own, or the one of DATABASE_URL (in a database of its own).

    \b
    Examples:
      wakestorm originals storm --interleavings 1000
      wakestorm originals storm --seed 7 --first 512 --interleavings 1
    """
    from harness.bench.originals_storm import OriginalsStorm, kill_point
    from harness.bench.postgres import ephemeral_cluster, run_blocking
    from harness.machine import monotonic_s

    async def rounds(weather: OriginalsStorm) -> tuple[int, int]:
        wrong = steps = 0
        for number in range(first, first + interleavings):
            done = await weather.round(number, kill_point(seed, number) if kills and number % 2 else None)
            steps += done.steps
            if done.wrong:
                wrong += 1
                print(f"round {number}: {', '.join(done.actors)}; killed before step {done.killed_before}")
                print("".join(f"  {words}\n" for words in done.wrong), end="")
        return wrong, steps

    async def work() -> tuple[int, int]:
        async with OriginalsStorm.on(cluster, Path(folder), str(seed)) as weather:
            return await rounds(weather)

    start_s = monotonic_s()
    with ephemeral_cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        wrong, steps = run_blocking(work())
    print(
        f"{interleavings} interleavings of {steps} steps: {wrong} wrong, "
        f"{interleavings - wrong} with references equal to rows; {monotonic_s() - start_s:.1f} s"
    )
    raise typer.Exit(1 if wrong else 0)


@originals.command(epilog=EXIT_CODES_HELP)
def bench(
    count: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="Uploads of each kind.")] = 500,
    objects: Annotated[
        str, typer.Option(metavar="DIR|URL", help="Where bytes are kept; without: a folder that is gone afterwards.")
    ] = "",
) -> None:
    """Measure originals per second: new ones, references to one that is there, deletions.

    \b
    Examples:
      wakestorm originals bench --count 2000
    """
    from harness.bench.originals_rate import Rate, measured
    from harness.bench.originals_storm import fresh_database
    from harness.bench.postgres import ephemeral_cluster, run_blocking
    from harness.machine import monotonic_s

    async def work() -> list[Rate]:
        async with fresh_database(cluster) as database:
            return await measured(cluster, database, objects or folder, count, monotonic_s)

    with ephemeral_cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        for rate in run_blocking(work()):
            print(f"{rate.what}: {rate.per_second:.0f} a second ({rate.count} in {rate.seconds:.2f} s)")


def named_database(database_url: str) -> str:
    """The URL; raises UsageError where there is none."""
    from harness.errors import UsageError

    if not database_url:
        raise UsageError("no database is named", hint="give --database-url, or set DATABASE_URL")
    return database_url
