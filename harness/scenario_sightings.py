"""Where the shipped scenarios use a key: examples that are known to run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final

from harness.scenario_keys import Key, wanted_path
from harness.yaml_reader import YamlTree, read_yaml

LINES_MAX: Final = 14
SEEN_MAX: Final = 12
"""Pieces among which the best is chosen."""

_PART: Final = re.compile(r"steps\[\d+\]|devices\.[^.\[]+|[^.\[]+")


@dataclass(frozen=True, slots=True)
class Sighting:
    """A piece of a scenario file; `line` is where the key stands, counted from 1."""

    file: Path
    line: int
    lines: tuple[str, ...]


def sighting(key: Key, files: Sequence[Path]) -> Sighting | None:
    """A piece that uses the key and shows much of what is inside it; one that fits on a screen if there is any."""
    found = list(islice(_sightings(key, files), SEEN_MAX))
    fitting = [one for one in found if len(one.lines) <= LINES_MAX] or found
    return max(fitting, key=lambda one: (_told(key, one), -len(one.lines)), default=None)


def _sightings(key: Key, files: Sequence[Path]) -> Iterator[Sighting]:
    for file in sorted(files, key=lambda file: file.stat().st_size):
        if key.path[-1] in (text := file.read_text(encoding="utf-8-sig")):
            tree, lines = _read(file), text.splitlines()
            yield from (_piece(file, lines, tree, path) for path in islice(_paths(key, tree), 1))


@lru_cache(maxsize=64)
def _read(file: Path) -> YamlTree:
    return read_yaml(file.read_bytes(), str(file))


def _told(key: Key, piece: Sighting) -> int:
    text = "\n".join(piece.lines)
    return sum(f"{name}:" in text for name in key.children)


def _paths(key: Key, tree: YamlTree) -> Iterator[str]:
    for path in tree.lines:
        words = wanted_path(path)
        if words[:1] == ("devices",):
            words = (words[0], *words[2:])
        if words == key.path or (words == key.path[1:] and path.startswith("steps[")):
            yield path
    if key.owner == "FaultAction":  # a fault may be one word, which is a value and no key
        yield from (path for path in tree.lines if path.endswith(".do") and _value(tree, path) == key.path[-1])


def _value(tree: YamlTree, path: str) -> object:
    value = tree.value
    for word in re.findall(r"[^.\[\]]+", path):
        try:
            value = value[int(word)] if isinstance(value, list) else value[word]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return value


def _piece(file: Path, lines: list[str], tree: YamlTree, path: str) -> Sighting:
    """The step, the group of devices or the key of the file in which the path stands."""
    line = tree.lines[path]
    match = _PART.match(path)
    begin = tree.lines.get(match[0] if match else path, line)
    indent = len(lines[begin - 1]) - len(lines[begin - 1].lstrip())
    end = begin
    while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent):
        end += 1
    piece = lines[begin - 1 : end]
    while piece and not piece[-1].strip():
        piece.pop()
    return Sighting(file, line, tuple(text[indent:] for text in piece))
