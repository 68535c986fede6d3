"""Files and an NVS partition to a board's flash in the middle of a run: written where they differ, verified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.dut.console import ConsoleError
from harness.dut.esptool import Esptool, has_modem_lines
from harness.dut.flash_trouble import UNKNOWN, last_words, trouble_of

TRIES: Final = 2
WITHIN_S: Final = 180.0


class FlashFailed(ConsoleError):
    """esptool could not write the flash."""


def write_flash(
    port: str, files: Sequence[tuple[int, Path]], settings: Sequence[str], *, name: str, reset: bool
) -> int:
    """Writes and verifies; returns the attempt that succeeded. With `reset` the board boots afterwards.

    Raises FlashFailed with cause, fix, and the last lines that esptool printed.
    """
    esptool = Esptool(port=port, has_lines=has_modem_lines(port))
    words = [word for offset, path in files for word in (hex(offset), str(path))]
    after = "hard-reset" if reset else "no-reset-stub"
    trouble, said = UNKNOWN, ""
    for attempt in range(1, TRIES + 1):
        options = ("--no-progress", "--skip-flashed", *settings, *words)
        ended = esptool.run("write-flash", *options, after=after, time_limit_s=WITHIN_S)
        if ended.code == 0:
            return attempt
        trouble, said = trouble_of(ended.text), ended.text
        if not trouble.retry:
            break
    lines = [line for line in said.splitlines() if line.strip()][-12:]
    raise FlashFailed(
        f"{name}: {trouble.cause} ({port}): {last_words(said)}",
        trouble.blame,
        hint="\n    ".join([trouble.fix, "esptool said:", *lines]),
    )
