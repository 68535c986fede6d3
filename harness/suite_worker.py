"""A worker process as its suite sees it, and the folder in which scenarios work."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import Final

from harness.jobs import Job
from harness.machine import monotonic_s

SHARED_MEMORY: Final = Path("/dev/shm")
SHARED_MEMORY_NEEDED_BYTES: Final = 500_000_000
FOLDER_PREFIX: Final = "wakestorm-run-"

STACK_WITHIN_S: Final = 1.0

_LAUNCHER: Final = Path(__file__).parent / "bench" / "die_with_parent.py"


class Worker:
    """One child process and what it is doing. It imports the code of `bench` before it is asked for anything.

    With a `number` it keeps to a core of its own, as far as there are some.
    """

    def __init__(self, errors_log: Path, bench: str, number: int | None = None) -> None:
        self.number = number
        self.connection, theirs = Pipe()
        command = [sys.executable, "-P", "-m", "harness.worker", str(theirs.fileno()), bench]
        if number is not None:
            command.append(str(number))
        with theirs, errors_log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-I", "-S", str(_LAUNCHER), str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PYTHONHASHSEED": "0", "PYTHONPATH": _import_path()},
                start_new_session=True,  # a Ctrl-C in the terminal reaches the suite alone
            )
        self.job: Job | None = None
        self.since_s = 0.0
        self.place = ""
        """How far its scenario has come, as `:LINE (steps[N], KIND)`; empty before the first step."""

    def begin(self, job: Job) -> None:
        """Hands the job over."""
        self.job, self.since_s, self.place = job, monotonic_s(), ""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # noticed at the next look
            self.connection.send(job)

    def dump_stack(self) -> None:
        """It writes to errors.log where it is in its code, also where it hangs for good."""
        self._process.send_signal(signal.SIGUSR1)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STACK_WITHIN_S)

    def end(self, *, at_once: bool = False) -> int:
        """Ends the process and returns its exit code."""
        self.connection.close()
        if at_once:
            self._process.kill()
        try:
            return self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


@contextlib.contextmanager
def working_folder() -> Iterator[Path]:
    """A folder for objects and logs of the scenarios, in shared memory where there is room."""
    base: str | None = None
    with contextlib.suppress(OSError):
        if shutil.disk_usage(SHARED_MEMORY).free >= SHARED_MEMORY_NEEDED_BYTES and os.access(SHARED_MEMORY, os.W_OK):
            base = str(SHARED_MEMORY)
    base = base or tempfile.gettempdir()
    _sweep(Path(base))
    prefix = f"{FOLDER_PREFIX}{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=base, ignore_cleanup_errors=True) as name:
        yield Path(name)


def _sweep(base: Path) -> None:
    """Removes the folders of our own runs that were killed before they could."""
    for folder in base.glob(f"{FOLDER_PREFIX}*-*"):
        owner = folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _import_path() -> str:
    """What this process imports from, for the children: they start with -P, in whatever folder."""
    return os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry and Path(entry).is_dir())
