"""Lines of a YAML file around one that is marked. Pure."""

from __future__ import annotations

import textwrap
from typing import Final

BEFORE: Final = 2
AFTER: Final = 5
LINE_LENGTH_CHARS_MAX: Final = 66
PARTS_MAX: Final = 6


def excerpt(source: str, line: int | None) -> tuple[str, ...]:
    """The lines around `line` (from 1), which is marked with `>`; of what follows only what belongs to it."""
    lines = source.splitlines()
    if line is None or not 1 <= line <= len(lines):
        return ()
    own = _indent(lines[line - 1])
    last = line
    while last < min(len(lines), line + AFTER) and (_indent(lines[last]) > own or not lines[last].strip()):
        last += 1
    first = max(1, line - BEFORE)
    width = len(str(last))
    shown: list[str] = []
    for number in range(first, last + 1):
        whole = lines[number - 1]
        parts = _wrapped(whole) if number == line else [_cut(whole)]
        shown.append(f"{'>' if number == line else ' '} {number:>{width}} | {parts[0]}".rstrip())
        shown += [f"{'>' if number == line else ' '} {'':{width}} | {part}" for part in parts[1:]]
    if last < len(lines) and _indent(lines[last]) > own:
        shown.append(f"  {'':{width}} | ...")
    return tuple(shown)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _wrapped(line: str) -> list[str]:
    """The whole line, further parts indented by two more."""
    indent = " " * _indent(line)
    parts = textwrap.wrap(
        line, LINE_LENGTH_CHARS_MAX, subsequent_indent=indent + "  ", break_on_hyphens=False, drop_whitespace=True
    )
    return parts[:PARTS_MAX] if len(parts) <= PARTS_MAX else [*parts[:PARTS_MAX], indent + "  ..."]


def _cut(line: str) -> str:
    return line if len(line) <= LINE_LENGTH_CHARS_MAX else line[: LINE_LENGTH_CHARS_MAX - 3] + "..."
