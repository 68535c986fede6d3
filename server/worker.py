"""`wakestorm worker`: does background jobs of videos, by Celery. `wakestorm serve` starts one for its own jobs."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from server.carrier import TASK, celery_app
from server.clock import SystemClock
from server.command_line import run_app
from server.ids import random_ids
from server.job_runner import JobRunner
from server.jobs import Jobs
from server.log import stream_log
from server.objects import ObjectStore
from server.offload import PR_SET_PDEATHSIG, PoolOffload
from server.store import DATABASE_ERRORS, Store, open_pool

WORK_LIMIT_S: Final = 4 * 3_600.0
WORK_MEMORY_BYTES_MAX: Final = 4 << 30

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker finds rows and bytes, and what its jobs' rows say of it."""

    database_url: str
    objects_url: str
    host: str


@app.command(
    epilog="Exit codes: 0 stopped by SIGTERM or Ctrl-C; 64 wrong command line; 70 a bug ended the worker.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
def worker(
    database_url: Annotated[
        str,
        typer.Option(envvar=["WAKESTORM_DATABASE_URL", "DATABASE_URL"], metavar="URL", help="That of the server."),
    ] = "",
    objects: Annotated[
        str, typer.Option(envvar="WAKESTORM_OBJECTS", metavar="DIR|URL", help="Where the server keeps bytes.")
    ] = "objects",
    jobs: Annotated[
        str,
        typer.Option(
            envvar="WAKESTORM_JOBS", metavar="URL", help="As of the server: filesystem:///folder, redis://, amqp://."
        ),
    ] = "",
    concurrency: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Jobs at a time.")] = 1,
    parent: Annotated[int, typer.Option(hidden=True)] = 0,
) -> None:
    """Do background jobs of videos: proxies of 480 lines at 10 frames a second.

    Any number of workers may run on any machines; a killed one's job is taken over within a minute.

    \b
    Examples:
      wakestorm serve --jobs redis://queue/0 & wakestorm worker --jobs redis://queue/0 --concurrency 2
      wakestorm worker --jobs filesystem:///var/lib/wakestorm/jobs --objects s3://videos
    """
    if parent:
        _end_with(parent)
    for value, option in ((database_url, "--database-url"), (jobs, "--jobs")):
        if not value:
            raise typer.BadParameter(f"missing; for the server's own jobs {_NONE_NEEDED}", param_hint=option)
    place = Place(database_url, objects, f"{socket.gethostname()}/{os.getpid()}")
    try:
        carried = celery_app(jobs)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--jobs") from None

    def run_job(job_id: str) -> None:
        with contextlib.suppress(*DATABASE_ERRORS):  # its lease runs out, and it is sent again
            asyncio.run(work_on(place, UUID(job_id)))

    carried.task(name=TASK)(run_job)
    options: dict[str, Any] = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
    pool = {"pool": "threads", "concurrency": concurrency} if concurrency > 1 else {"pool": "solo"}
    started = carried.Worker(hostname=f"wakestorm@{place.host}", loglevel="WARNING", **options, **pool)
    print(f"wakestorm worker: {place.host}, jobs by {jobs.partition('://')[0]}", file=sys.stderr, flush=True)
    started.start()
    raise typer.Exit(int(started.exitcode or 0))


_NONE_NEEDED: Final = "no worker has to be started: `wakestorm serve` does them"


async def work_on(place: Place, job_id: UUID) -> bool:
    """One job, with doors of its own; whether this worker did it."""
    offload = PoolOffload(threads=2, work_limit_s=WORK_LIMIT_S, memory_bytes_max=WORK_MEMORY_BYTES_MAX)
    try:
        async with await open_pool(place.database_url, size=2, timeout=10) as pool:
            clock = SystemClock()
            runner = JobRunner(
                jobs=Jobs(Store(pool), clock, random_ids()),
                objects=ObjectStore(place.objects_url, offload),
                offload=offload,
                clock=clock,
                log=stream_log(as_json=True),
                host=place.host,
            )
            return await runner.run(job_id)
    finally:
        offload.abandon()


def _end_with(parent: int) -> None:
    """A server that is killed must not leave its worker behind."""
    with contextlib.suppress(OSError, AttributeError):  # another system than Linux
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise typer.Exit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the worker; returns the exit code. Errors are one line on standard error."""
    return run_app(app, "wakestorm worker", arguments)


if __name__ == "__main__":
    sys.exit(main())
