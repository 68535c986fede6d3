"""A virtual board in a process of its own, and esptool as the user runs it: what tests of boards need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

ROOT: Final = Path(__file__).parent.parent.parent
QUIET: Final = {"NO_COLOR": "1", "COLUMNS": "200", "TERM": "dumb"}


@dataclass(frozen=True, slots=True)
class RunningBoard:
    """Its port, as pyserial takes it, and its process."""

    port: str
    process: subprocess.Popen[str]


@contextmanager
def running_board(*options: str) -> Iterator[RunningBoard]:
    """Start `python -m simulator.board`; it is gone afterwards."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "simulator.board", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            port = _out(process).readline().strip()
            assert port, f"the board did not start: {process.communicate(timeout=10)}"
            yield RunningBoard(port, process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.communicate(timeout=10)


def _out(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool said and how it ended."""

    code: int
    output: str


PATIENT: Final = "timeout = 20\nsync_timeout = 0.5\nmem_end_rom_timeout = 5\n"
"""esptool's own time limits (0.1 to 3 s) are for a chip, not for a process on a machine that is busy with others."""


def esptool(
    port: str | None, *arguments: str, python: str = sys.executable, module: str = "esptool", config: str = PATIENT
) -> ToolResult:
    """Run esptool (or `module`) as a program; `config` is what its esptool.cfg says, "" for its own defaults."""
    where = ["--chip", "esp32s3", *(("--port", port) if port else ())]
    environment = os.environ | QUIET
    environment.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory(prefix="esptool-") as folder:
        environment["ESPTOOL_CFGFILE"] = str(Path(folder, "esptool.cfg"))
        Path(folder, "esptool.cfg").write_text(f"[esptool]\n{config}", encoding="utf-8")
        done = subprocess.run(
            [python, "-m", module, *where, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    return ToolResult(done.returncode, done.stdout + done.stderr)
