"""Expect on a byte cursor: what a console said, kept whole, and how far it has been read. Pure.

Theory. Bytes come in pieces of any size and are appended; nothing is ever dropped that nobody has read. Two cursors go
over them: `expect` moves one to the end of its match and no further, so that the rest of a buffer is there for the
next; the fail list moves the other, line by line, at its own pace. A match that touches the end of what has come might
still grow (`heap=12` of `heap=1234`), so it counts only when its line is over, or where a prompt is waited for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from harness.dut.fail_list import FailLine, failing

KEPT_READ_BYTES: Final = 262_144
"""So much of what has been read stays for `last_lines`; the log file has everything."""

LINE_BYTES_MAX: Final = 65_536
"""A line without an end (a wrong baud rate makes them) is cut here."""


@dataclass(frozen=True, slots=True)
class ConsoleMatch:
    """What was found: its text, the groups of the pattern, and where it stands (bytes since the start)."""

    text: str
    groups: tuple[str | None, ...]
    named: dict[str, str | None]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of the fail list that was seen; `at` is its first byte, counted from the start."""

    kind: FailLine
    line: str
    at: int


@dataclass(slots=True)
class Transcript:
    """All that a console said. `cursor` is where the next `expect` begins."""

    allowed: tuple[str, ...] = ()
    cursor: int = 0
    bad_lines: list[BadLine] = field(default_factory=list)
    _base: int = 0
    _data: bytearray = field(default_factory=bytearray)
    _judged: int = 0

    @property
    def end(self) -> int:
        """Bytes that have come so far."""
        return self._base + len(self._data)

    def feed(self, data: bytes) -> list[str]:
        """Take bytes in; returns the lines that are whole now, without their ends."""
        self._data += data
        lines = []
        while (line := self._next_line()) is not None:
            at, raw = line
            text = shown(raw)
            kind = failing(raw, self.allowed)
            if kind is not None:
                self.bad_lines.append(BadLine(kind, text, at))
            lines.append(text)
        self._forget()
        return lines

    def _next_line(self) -> tuple[int, bytes] | None:
        """The next line that nobody has judged, and where it begins; None where it is not whole yet."""
        start = self._judged - self._base
        stop = self._data.find(b"\n", start)
        if stop < 0:
            if len(self._data) - start < LINE_BYTES_MAX:
                return None
            stop = start + LINE_BYTES_MAX - 1
        self._judged = self._base + stop + 1
        return self._base + start, bytes(self._data[start : stop + 1]).rstrip(b"\r\n")

    def _forget(self) -> None:
        """Lets go of what both cursors have passed long ago."""
        spare = min(self.cursor, self._judged) - KEPT_READ_BYTES - self._base
        if spare > KEPT_READ_BYTES:
            del self._data[:spare]
            self._base += spare

    def expect(self, pattern: re.Pattern[bytes], *, prompt: bool = False) -> ConsoleMatch | None:
        """The next match after the cursor, which moves to its end; None while there is none.

        With `prompt`, text that no line end follows counts too.
        """
        found = pattern.search(self._data, self.cursor - self._base)
        if found is None or (not prompt and not self._is_settled(found)):
            return None
        self.cursor = self._base + found.end()
        return ConsoleMatch(
            shown(found[0]),
            tuple(None if group is None else shown(group) for group in found.groups()),
            {name: None if group is None else shown(group) for name, group in found.groupdict().items()},
            self._base + found.start(),
            self.cursor,
        )

    def _is_settled(self, found: re.Match[bytes]) -> bool:
        return found.end() < len(self._data) or found[0].endswith(b"\n")

    def skip(self) -> None:
        """The next `expect` looks at what comes from now on."""
        self.cursor = self.end

    def bad_since(self, at: int) -> BadLine | None:
        """The first bad line that begins at or after that byte."""
        return next((bad for bad in self.bad_lines if bad.at >= at), None)

    def last_lines(self, count: int = 20) -> tuple[str, ...]:
        """The newest lines, an unfinished one included."""
        tail = bytes(self._data[-LINE_BYTES_MAX:])
        return tuple(shown(line) for line in tail.splitlines()[-count:])

    def lines_around(self, at: int, before: int, count: int) -> tuple[str, ...]:
        """At most `count` lines, with the one that begins at that byte behind `before` others; no bare ones."""
        start = max(0, at - self._base)
        earlier = [line for line in bytes(self._data[max(0, start - LINE_BYTES_MAX) : start]).splitlines() if line]
        later = [line for line in bytes(self._data[start : start + LINE_BYTES_MAX]).splitlines() if line]
        return tuple(shown(line) for line in (earlier[-before:] + later)[:count])


def pattern_of(text: str, *, literal: bool = False) -> re.Pattern[bytes]:
    """A pattern over bytes, from a regular expression or from plain text. Raises re.error."""
    return re.compile(re.escape(text.encode()) if literal else text.encode(), re.MULTILINE)


def shown(raw: bytes) -> str:
    """Bytes of a console as text: colour codes gone, whatever is no UTF-8 as its code."""
    return _COLOUR.sub(b"", raw).rstrip(b"\r\n").decode("utf-8", "backslashreplace").replace("\0", "\\x00")


_COLOUR: Final = re.compile(rb"\x1b\[[0-9;]*m")
