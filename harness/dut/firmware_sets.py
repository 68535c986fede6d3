"""The firmware that a run flashes: a build folder as ESP-IDF leaves it, or a version that is built here once and kept.

What is built is kept in the machine's temporary folder, under a name that says what it was made from, so that runs and
workers share it; it is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Final

from harness.dut.build_folder import ARGUMENTS, BuildFolder, read_build_folder
from harness.errors import UsageError

_FIXTURES: Final = Path(__file__).parents[2] / "firmware_fixtures" / "esp32s3"


def firmware_folder(word: str) -> BuildFolder:
    """The build folder of that path, else the built version of that name. Raises UsageError."""
    return read_build_folder(Path(word) if (Path(word) / ARGUMENTS).is_file() else _built(word))


def _built(version: str) -> Path:
    """A set of that version; made where there is none yet."""
    from firmware_fixtures.esp32s3.build import BuildFailed, Order, build
    from simulator.profile import BASES

    order = Order(version=version)
    if f"{order.project}@{version}" not in BASES:
        known = ", ".join(name.partition("@")[2] for name in BASES)
        raise UsageError(f"no build folder and no version is called {version!r}", hint=f"versions: {known}")
    kept = Path(gettempdir(), f"wakestorm-firmware-{os.getuid()}", f"{version}-{_made_from()}")
    if (kept / ARGUMENTS).is_file():
        return kept
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = Path(mkdtemp(dir=kept.parent))
    try:
        build(order, draft)
        draft.rename(kept)
    except BuildFailed as error:
        raise UsageError(f"firmware {version} can not be built: {error}") from error
    except OSError:
        if not (kept / ARGUMENTS).is_file():  # else another run was quicker
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return kept


def _made_from() -> str:
    digest = hashlib.sha256()
    for path in sorted(_FIXTURES.iterdir()):
        if path.suffix in (".py", ".elf"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
