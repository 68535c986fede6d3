"""What a board says, or keeps back, that is not allowed; the first of it stays.

Bad lines come from the console's fail list. Besides: a port that stays away, silence after a wake, another program than
the one that was flashed, a power switch that does not switch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from harness.blame import Blame
from harness.dut.console import Console, ConsoleError
from harness.machine import monotonic_s

SILENT_AT_MOST_S: Final = 60.0
"""A board that was woken says something within this time."""

GONE_AT_MOST_S: Final = 5.0
"""A port that stays away for longer is in trouble."""

_ELF: Final = re.compile(r"ELF file SHA256:\s+([0-9a-f]{8,64})")


class BoardTrouble:
    """Watches one board. `silent_since_s`: real time of the last wake, until the board has said something.

    `is_switching`: whether its power switch is at work. Without power it may be silent, and its port away.
    """

    def __init__(self, name: str, console: Console, is_switching: Callable[[], bool]) -> None:
        self.silent_since_s: float | None = None
        self._powered_since_s: float | None = monotonic_s()
        self._is_switching = is_switching
        self._name = name
        self._console = console
        self._allowed: tuple[str, ...] = ()
        self._error: ConsoleError | None = None
        self._wanted_elf: str | None = None

    def look(self) -> ConsoleError | None:
        """The first thing that is not allowed; None where all is well."""
        if self._error is None:
            self._error = self._found()
        return self._error

    def set_power(self, *, is_on: bool) -> None:
        """Its power was given or taken."""
        self._powered_since_s = monotonic_s() if is_on else None
        self.silent_since_s = None

    def add(self, error: ConsoleError) -> None:
        """Something that somebody else has noticed."""
        self._error = self._error or error

    def allow(self, names: Sequence[str]) -> None:
        """Lines of the fail list that are meant to come."""
        self._allowed = (*self._allowed, *names)
        self._console.transcript.allowed = self._allowed

    def forget(self) -> None:
        """Bad lines of before do not count: another program is about to be written."""
        self._console.transcript.bad_lines.clear()
        self._console.transcript.allowed = self._allowed

    def expect_program(self, elf_sha256: str | None) -> None:
        """The next boot must name this ELF file in its log."""
        self._wanted_elf = elf_sha256

    def heard(self, line: str, *, is_ready: bool) -> str | None:
        """A line has come; returns the ELF's hash where that line proves the program."""
        self.silent_since_s = None
        if self._wanted_elf is None:
            return None
        seen = _ELF.search(line)
        if seen is not None and self._wanted_elf.startswith(seen[1]):
            self._wanted_elf = None
            return seen[1]
        if seen is not None or is_ready:
            said = f"its ELF SHA-256 begins {seen[1]}" if seen is not None else "its boot log names no ELF file"
            wanted = self._wanted_elf[: len(seen[1]) if seen is not None else 9]
            self.add(
                ConsoleError(
                    f"{self._name} runs another program than the one flashed: {said}, expected {wanted}",
                    Blame.FIRMWARE,
                    hint="OTA data chose the other slot? flash with force: true",
                )
            )
            self._wanted_elf = None
        return None

    def _found(self) -> ConsoleError | None:
        bad = next((bad for bad in self._console.transcript.bad_lines if bad.kind.name not in self._allowed), None)
        if bad is not None:
            return self._console.failure(bad)
        if self._powered_since_s is None:
            return None
        now_s = monotonic_s()
        if self._is_switching():
            self._powered_since_s = now_s
            self.silent_since_s = None if self.silent_since_s is None else now_s
            return None
        away_s = min(self._console.away_s or 0.0, now_s - self._powered_since_s)
        if away_s > GONE_AT_MOST_S:
            return ConsoleError(f"{self._name}: {self._console.port} has been away for {away_s:.0f} s", Blame.CABLE)
        if self.silent_since_s is not None and now_s - self.silent_since_s > SILENT_AT_MOST_S:
            return ConsoleError(f"{self._name} was woken and has said nothing for {SILENT_AT_MOST_S:g} s", Blame.CABLE)
        return None
