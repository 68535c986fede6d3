"""Checkpoints on disk: `<run>/checkpoint/`, all that a resume needs, gone when the soak has ended by itself.

`order.json` says what is soaked; `history.jsonl`, `samples.jsonl` and `objects/` grow; `day-0007/` is the newest
checkpoint: the database's rows, the state of everything else, and `manifest.json`, which names every file with its
hash. A checkpoint is made under another name and moved, so it is there whole or not at all; the one before it goes only
then.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.errors import UsageError
from harness.jsonable import json_line
from harness.report.files import written_whole
from harness.soak.bench import ParkedBench
from harness.soak.order import SoakOrder
from harness.soak.parked import CheckpointDamaged, packed, unpacked

FOLDER: Final = "checkpoint"
ORDER: Final = "order.json"
HISTORY: Final = "history.jsonl"
SAMPLES: Final = "samples.jsonl"
"""A line a day; in memory they would be a leak of our own."""

MANIFEST: Final = "manifest.json"
STATE: Final = "state.bin"
VERSION: Final = 1

KEPT_SHARE: Final = 10
"""A kill loses at most a tenth of what was lived, or a day. A copy of the whole database each day would cost the more
the longer the soak is, and a server that is restarted each day never shows that it leaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """What `manifest.json` says of the days so far. `history_bytes`: the history is as long as that."""

    day: int
    history_bytes: int
    cpu_s: float
    wall_s: float
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One that was read."""

    rows: Path
    progressed: Progressed
    bench: ParkedBench
    life: dict[str, Any]


def is_due(day: int) -> bool:
    """Whether the bench is parked and written down at the end of that day (from 1); every run does the same."""
    last = 0
    while last < day:
        last += max(1, last // KEPT_SHARE)
    return last == day


def write_order(folder: Path, order: SoakOrder, database: str, wakestorm: str) -> None:
    """The first file of a soak."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"version": VERSION, "wakestorm": wakestorm, "order": asdict(order), "database": database}
    written_whole(folder / ORDER, json_line(document) + "\n")


def read_order(folder: Path, wakestorm: str) -> tuple[SoakOrder, str]:
    """What is soaked, and the name of its database. Raises UsageError where nothing can be resumed there."""
    try:
        document = msgspec.json.decode((folder / ORDER).read_bytes())
        if document["version"] != VERSION or document["wakestorm"] != wakestorm:
            raise UsageError(
                f"{folder.parent} was begun by wakestorm {document['wakestorm']}, this is {wakestorm}",
                hint="resume it with the version that began it",
            )
        return SoakOrder(**document["order"]), str(document["database"])
    except FileNotFoundError:
        reason = "it ended by itself" if (folder.parent / "soak.json").is_file() else "it is no folder of a soak"
        raise UsageError(
            f"{folder.parent} can not be resumed: {reason}", hint="name the folder of a run that was killed or stopped"
        ) from None
    except (msgspec.DecodeError, KeyError, TypeError, OSError) as error:
        raise UsageError(f"{folder / ORDER} can not be read: {type(error).__name__}: {error}") from None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process soaks in a folder. Raises UsageError where another one does; the lock ends with its process."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder.parent} is being soaked by another process", hint="wait for it") from None
        yield
    finally:
        os.close(handle)


def add_sample(folder: Path, sample: dict[str, Any]) -> None:
    """One more day."""
    with (folder / SAMPLES).open("a", encoding="utf-8") as file:
        file.write(json_line(sample) + "\n")


def samples_of(folder: Path, days: int) -> list[dict[str, Any]]:
    """The first `days` of them; what another process added after its last checkpoint is cut off."""
    path = folder / SAMPLES
    lines = path.read_bytes().splitlines()[:days] if path.exists() else []
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return [msgspec.json.decode(line) for line in lines]


# -- writing and reading ---------------------------------------------------------------------------------


def begin(folder: Path, day: int) -> Path:
    """An empty folder for the files of a checkpoint; `commit` makes it one."""
    draft = folder / f"day-{day:04}.part"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    return draft


def commit(draft: Path, progressed: Progressed, bench: ParkedBench, life: dict[str, Any]) -> None:
    """The draft, with the rows in it, becomes the newest checkpoint; the others go."""
    (draft / STATE).write_bytes(packed({"bench": bench, "life": life}))
    files = {path.name: _hash_of(path) for path in sorted(draft.iterdir())}
    manifest = {"version": VERSION, "progressed": asdict(progressed), "files": files}
    (draft / MANIFEST).write_text(json_line(manifest) + "\n", encoding="utf-8")
    done = draft.with_suffix("")
    shutil.rmtree(done, ignore_errors=True)
    draft.replace(done)
    for other in _folders(draft.parent):
        if other != done:
            shutil.rmtree(other)


def newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint; None where the soak was ended before its first. Raises CheckpointDamaged."""
    whole = [path for path in _folders(folder) if not path.suffix]
    for half in set(_folders(folder)) - set(whole[-1:]):
        shutil.rmtree(half)
    return _read(whole[-1]) if whole else None


def _read(path: Path) -> Checkpoint:
    try:
        manifest = msgspec.json.decode((path / MANIFEST).read_bytes())
        for name, expected in manifest["files"].items():
            if _hash_of(path / name) != expected:
                raise CheckpointDamaged(f"{path / name} is not what was written there")
        progressed = Progressed(**manifest["progressed"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError) as error:
        raise CheckpointDamaged(f"{path} is not whole: {type(error).__name__}: {error}") from None
    state = unpacked((path / STATE).read_bytes())
    return Checkpoint(rows=path, progressed=progressed, bench=state["bench"], life=state["life"])


def _folders(folder: Path) -> list[Path]:
    return sorted(folder.glob("day-*"))


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
