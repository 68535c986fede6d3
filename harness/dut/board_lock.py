"""One holder for a board at a time, over all processes of a machine: flock, and who holds it written inside.

The kernel lets go when the holder ends, however that ends; a file that stays behind means nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Final

from harness.errors import BenchUnavailable
from harness.machine import run_name

FOLDER_VARIABLE: Final = "WAKESTORM_LOCKS"
_TEXT_BYTES_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a board, and since when (UTC)."""

    pid: int
    user: str
    run: str
    since: str
    board: str

    def __str__(self) -> str:
        day, _, time = self.since.removesuffix("Z").partition("T")
        return f"{self.user}, process {self.pid}, {self.run}, since {day} {time.replace('-', ':')} UTC"


class BoardHeld(BenchUnavailable):
    """Somebody else has the board."""

    def __init__(self, board: str, port: str, holder: Holder | None) -> None:
        who = str(holder) if holder else "another process that has not said who it is yet"
        hint = f"wait for it, or end process {holder.pid}" if holder else "try again"
        super().__init__(f"{board} ({port}) is held by {who}", hint=hint)
        self.holder = holder


def this_holder(board: str, run: str) -> Holder:
    """This process as a holder; `run` says what it does, such as a run's name."""
    return Holder(os.getpid(), _user(), run, run_name(), board)


def lock_path(port: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The file that stands for a port; a link and what it points to are one port."""
    device = port if "://" in port else str(Path(port).resolve())
    words = re.sub(r"[^A-Za-z0-9]+", "-", device).strip("-")[-60:]
    return _folder(environment) / f"{words}.{hashlib.sha256(device.encode()).hexdigest()[:8]}.lock"


@contextlib.contextmanager
def held(board: str, port: str, run: str, environment: Mapping[str, str] = os.environ) -> Iterator[Holder]:
    """The board is ours inside. Raises BoardHeld at once when it is somebody else's."""
    path = lock_path(port, environment)
    descriptor = _opened(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BoardHeld(board, port, _written(descriptor)) from None
        holder = this_holder(board, run)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, (json.dumps(asdict(holder)) + "\n").encode(), 0)
        yield holder
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder_of(port: str, environment: Mapping[str, str] = os.environ) -> Holder | None:
    """Who has the port right now; None when it is free, or its holder has not written yet."""
    path = lock_path(port, environment)
    if not path.exists():
        return None
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written(descriptor)
    finally:
        os.close(descriptor)
    return None


def _folder(environment: Mapping[str, str]) -> Path:
    return Path(environment.get(FOLDER_VARIABLE) or Path(gettempdir(), "wakestorm-locks"))


def _opened(path: Path) -> int:
    """Every user of the machine may lock; nobody may remove what another made (sticky folder)."""
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(PermissionError):
                path.parent.chmod(0o1777)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        hint = f"set {FOLDER_VARIABLE} to a folder that this user may write"
        raise BenchUnavailable(f"no lock can be taken in {path.parent}: {error.strerror}", hint=hint) from error
    with contextlib.suppress(PermissionError):
        os.fchmod(descriptor, 0o666)
    return descriptor


def _written(descriptor: int) -> Holder | None:
    try:
        return Holder(**json.loads(os.pread(descriptor, _TEXT_BYTES_MAX, 0)))
    except (ValueError, TypeError):
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
