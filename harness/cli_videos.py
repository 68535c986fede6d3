"""`wakestorm videos`: how fast videos are taken in."""

from __future__ import annotations

import tempfile
from typing import Annotated

import typer

videos = typer.Typer(
    name="videos", no_args_is_help=True, rich_markup_mode=None, help="Videos: how fast they are taken in."
)


@videos.callback()
def _group() -> None:
    """Keeps `bench` a command of its own."""


@videos.command(epilog="Exit codes: 0 done; 3 no PostgreSQL to be had; 64 wrong usage.")
def bench(
    size_mb: Annotated[int, typer.Option(min=1, max=4_000, metavar="MB", help="Size of each video.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, max=1_000, metavar="N", help="Videos; medians are printed.")] = 5,
    objects: Annotated[
        str, typer.Option(metavar="DIR|URL", help="Where bytes are kept; without: a folder that is gone afterwards.")
    ] = "",
) -> None:
    """Measure the upload of videos: parts of 8 MiB, then put together, hashed, probed and stored.

    One upload at a time, over the server's HTTP application without sockets, on a PostgreSQL of its own.

    \b
    Examples:
      wakestorm videos bench
      wakestorm videos bench --size-mb 500 --rounds 3 --objects s3://videos
    """
    from harness.bench.originals_storm import fresh_database
    from harness.bench.postgres import ephemeral_cluster, run_blocking
    from harness.bench.videos_rate import VideoRate, measured
    from harness.machine import monotonic_s

    async def work() -> VideoRate:
        async with fresh_database(cluster) as database:
            return await measured(cluster, database, objects or folder, size_mb * 1_000_000, rounds, monotonic_s)

    with ephemeral_cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        rate = run_blocking(work())
    print(f"parts: {rate.parts_mb_per_s:.0f} MB/s, completing: {rate.complete_mb_per_s:.0f} MB/s")
    print(f"whole upload: {rate.whole_mb_per_s:.0f} MB/s (median of {rounds} videos of {size_mb} MB)")
