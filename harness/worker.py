"""A worker process of a suite: takes plans from its connection, one at a time, and gives events back.

Started by `suite` as `python -P -m harness.worker FD BENCH [NUMBER]` with PYTHONHASHSEED=0. Its standard error is the
run's errors.log; nothing it prints reaches the terminal.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import shutil
import signal
import sys
import traceback
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from harness.bench.one_core import share_one_core
from harness.errors import BenchUnavailable
from harness.events import Event, to_json
from harness.jobs import Job, Told, Unavailable
from harness.run_one import run_one
from harness.runner import Runner
from harness.stepwise import StepwiseRunner


def serve(connection: Connection) -> None:
    """Runs jobs until the other side hangs up."""

    def emit(event: Event) -> None:
        connection.send(Told(event=to_json(event)))

    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return
        job.folder.mkdir(parents=True, exist_ok=True)
        runner = partial(StepwiseRunner, connection) if job.is_stepwise else Runner
        try:
            database, folder, explain = job.database, job.folder, job.explain
            emit(
                run_one(
                    *(job.plan, job.around),
                    database=database,
                    folder=folder,
                    emit=emit,
                    explain=explain,
                    runner=runner,
                )
            )
        except BenchUnavailable as error:
            traceback.print_exception(error)
            connection.send(Unavailable(message=error.message, hint=error.hint))
        finally:
            shutil.rmtree(job.folder, ignore_errors=True)


def main() -> None:
    """Reads the file descriptor of its connection, its bench and its number from the command line."""
    faulthandler.register(signal.SIGUSR1)  # the suite asks a worker that hangs for its stack
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the suite decides what a Ctrl-C means
    sys.path.append(str(Path.cwd()))  # hooks of the user's own; last, so that nothing there hides a package
    os.dup2(2, 1)  # what a hook prints goes to the log
    if sys.argv[2] == "embedded" and sys.argv[3:]:
        share_one_core(int(sys.argv[3]))
    try:
        importlib.import_module(f"harness.bench.{sys.argv[2]}")  # while the suite still prepares PostgreSQL
        serve(Connection(int(sys.argv[1])))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # to take a large heap apart in order takes half a second
    except (BrokenPipeError, ConnectionResetError):
        sys.exit(1)


if __name__ == "__main__":
    main()
