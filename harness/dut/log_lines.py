"""Lines as ESP-IDF writes them, `I (1234) tag: text`: read, filtered, coloured. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from harness.errors import UsageError

Level = Literal["E", "W", "I", "D", "V"]
LEVELS: Final[tuple[Level, ...]] = ("E", "W", "I", "D", "V")
"""From grave to chatty."""

LEVEL_WORDS: Final[dict[str, str]] = {"E": "error", "W": "warning", "I": "info", "D": "debug", "V": "verbose"}

_LINE: Final = re.compile(r"^([EWIDV]) \((\d+|[\d:.]+)\) ([^:]{1,64}): ?(.*)$")
_COLOURS: Final[dict[str, str]] = {"E": "\x1b[31m", "W": "\x1b[33m", "I": "\x1b[32m", "D": "\x1b[36m", "V": "\x1b[2m"}
_PLAIN: Final = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log; `time` is milliseconds since the boot, or a time of day as it was written."""

    level: Level
    time: str
    tag: str
    text: str


def log_line(line: str) -> LogLine | None:
    """The line's parts; None for what is no line of the log (the ROM, a panic, somebody's printf)."""
    found = _LINE.match(line)
    if found is None:
        return None
    level: Level = found[1]  # type: ignore[assignment]  # the pattern allows nothing else
    return LogLine(level, found[2], found[3].strip(), found[4])


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The highest level that is shown, by tag; lines without a tag (ROM, panics) always are. None: nothing."""

    most: Level | None = "V"
    by_tag: dict[str, Level | None] = field(default_factory=dict)

    @classmethod
    def parse(cls, words: Sequence[str]) -> LogFilter:
        """`camera:D wifi:N *:W` as idf.py monitor has it; tags that nobody names are hidden without `*`.

        Raises UsageError.
        """
        levels: dict[str, Level | None] = {}
        for word in " ".join(words).split():
            tag, mark, letter = word.partition(":")
            level = _level(letter if mark else "*")
            if not tag or level == "":
                hint = "TAG or TAG:LEVEL with a level of N E W I D V; *:LEVEL for all other tags"
                raise UsageError(f"--filter {word}: not a filter", hint=hint)
            levels[tag] = level
        return cls(levels.pop("*", None if levels else "V"), levels)

    def shows(self, line: str) -> bool:
        """Whether this line is shown."""
        parts = log_line(line)
        if parts is None:
            return True
        most = self.by_tag.get(parts.tag, self.most)
        return most is not None and LEVELS.index(parts.level) <= LEVELS.index(most)


def _level(letter: str) -> Level | Literal[""] | None:
    """A level of a filter; None for N, nothing; "" for what is none."""
    if letter.upper() == "N":
        return None
    known = ("V" if letter == "*" else letter).upper()
    return next((level for level in LEVELS if level == known), "")


def coloured(line: str) -> str:
    """The line in the colour of its level."""
    parts = log_line(line)
    return line if parts is None else f"{_COLOURS[parts.level]}{line}{_PLAIN}"
