"""esptool as a program (its licence is GPL): writes files and an NVS partition to a board's flash."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.blame import Blame
from harness.dut.console import ConsoleError

CONNECT_ATTEMPTS: Final = 2
TRIES: Final = 2
BAUD: Final = 460_800
WITHIN_S: Final = 180.0
_CAUSES: Final = (
    (re.compile(r"No more data to read|Invalid head of packet|No serial data received|Lost connection"), Blame.CABLE),
    (re.compile(r"Could not open|could not open port|PermissionError|No such file"), Blame.CABLE),
    (
        re.compile(r"MD5 of file does not match|Failed to write to target|flash.*(?:erase|write) fail"),
        Blame.BOARD,
    ),
    (re.compile(r"This chip is|Wrong boot mode|not supported on"), Blame.BOARD),
)


class FlashFailed(ConsoleError):
    """esptool could not write the flash."""


def write_flash(
    port: str, files: Sequence[tuple[int, Path]], settings: Sequence[str], *, name: str, reset: bool
) -> int:
    """Writes and verifies; returns the attempt that succeeded. With `reset` the board boots afterwards.

    Raises FlashFailed with the last lines that esptool printed.
    """
    words = [word for offset, path in files for word in (hex(offset), str(path))]
    after = "hard-reset" if reset else "no-reset-stub"
    command = [sys.executable, "-m", "esptool", "--chip", "esp32s3", "--port", port, "--baud", str(BAUD)]
    command += ["--connect-attempts", str(CONNECT_ATTEMPTS), "--after", after, "write-flash", *settings, *words]
    said = ""
    for attempt in range(1, TRIES + 1):
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=WITHIN_S,
            env=os.environ | {"NO_COLOR": "1"},
        )
        if ended.returncode == 0:
            return attempt
        said = ended.stdout
    lines = [line for line in said.splitlines() if line.strip()][-12:]
    blame = next((blame for pattern, blame in _CAUSES if pattern.search(said)), Blame.CABLE)
    raise FlashFailed(
        f"{name}: esptool could not write the flash over {port}", blame, hint="\n    ".join(["it said:", *lines])
    )
