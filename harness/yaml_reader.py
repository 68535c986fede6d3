"""YAML text to plain values, bounded in every direction, with the line of every value.

Built on PyYAML's event parsers, libyaml's where it is there, and on nothing above them: no composer (which dies of deep
nesting), no resolver, no constructor. There are no aliases, anchors, tags, merge keys or second documents, so the size
of the result is bounded by the size of the text. Where YAML 1.1 would guess (`no`, `12:30`, `010`), it asks for quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from harness.errors import Mistake

TEXT_SIZE_BYTES_MAX: Final = 262_144
DEPTH_MAX: Final = 20
NODES_MAX: Final = 20_000
NODES_AGAIN_MAX: Final = 5_000
"""So many values are read a second time to say better what is wrong."""

INTEGER_DIGITS_MAX: Final = 18
MISTAKES_MAX: Final = 200
"""After so many the rest of a file is not read."""

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_TRAP_WORDS: Final = frozenset({"yes", "no", "on", "off"})
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]{1,3})?")
_TRAP_NUMBER: Final = re.compile(
    r"[-+]?(0[0-9_]+|0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|[0-9][0-9_]*_[0-9_]*|[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?"
    r"|[0-9]*\.?[0-9]*[eE][-+]?[0-9]+|\.[0-9]+|[0-9]+\.|\.(inf|Inf|INF)|\.(nan|NaN|NAN))"
)


@dataclass(slots=True)
class YamlTree:
    """What stands in a file: values, the line of every path (from 1), and everything that is wrong so far."""

    value: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    whole: bool = False
    """False when the text could not be read to its end."""


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


_FASTEST: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Stop(Exception):
    """The rest of the text is not worth reading."""


def child(path: str, key: str | int) -> str:
    """The path of an entry: `steps[3].wake`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def read_yaml(data: bytes, file: str) -> YamlTree:
    """Reads one document. Never raises for bad text: what is wrong stands in `mistakes`.

    libyaml reads ten times faster; where a text stops being YAML for it, PyYAML's own parser says why, whose words and
    places are better, unless that is so far down that reading it again would take long.
    """
    reader = _Reader(file)
    error = reader.parse(data, _FASTEST)
    if error is None:
        return reader.tree
    if _FASTEST is not yaml.SafeLoader and reader.nodes <= NODES_AGAIN_MAX:
        again = _Reader(file, nodes_max=reader.nodes + NODES_AGAIN_MAX)
        found = again.parse(data, yaml.SafeLoader)
        if again.nodes <= again.nodes_max:
            reader, error = again, found
    if error is not None:
        reader.syntax_mistake(error, data)
    return reader.tree


class _Reader:
    def __init__(self, file: str, nodes_max: int = NODES_MAX) -> None:
        self.file = file
        self.tree = YamlTree()
        self.nodes = 0
        self.nodes_max = nodes_max
        self.events: Iterator[yaml.Event] = iter(())

    def mistake(self, line: int, path: str, reason: str, hint: str | None = None) -> None:
        self.tree.mistakes.append(Mistake(self.file, line, path, reason, hint))
        if len(self.tree.mistakes) >= MISTAKES_MAX:
            raise _Stop

    def parse(self, data: bytes, loader: Any) -> yaml.YAMLError | None:
        """Reads as far as it goes; why the text stopped being YAML, if it did."""
        try:
            self._read(data, loader)
        except _Stop:
            pass
        except yaml.YAMLError as error:
            return error
        return None

    def _read(self, data: bytes, loader: Any) -> None:
        if len(data) > TEXT_SIZE_BYTES_MAX:
            self.mistake(1, "", f"the file has {len(data)} bytes", f"at most {TEXT_SIZE_BYTES_MAX}")
            raise _Stop
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.mistake(data.count(b"\n", 0, error.start) + 1, "", "is not UTF-8", "save the file as UTF-8")
            raise _Stop from error
        self.events = iter(yaml.parse(text, Loader=loader))
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.mistake(_line(event), "", "a second document begins here", "one scenario a file")
                    raise _Stop
            elif isinstance(event, yaml.NodeEvent):
                self.tree.value = self._node(event, "", 1)
        if not documents or self.tree.value is None:
            self.mistake(1, "", "the file is empty", "start with version: 1")
            raise _Stop
        self.tree.whole = True

    def _node(self, event: yaml.NodeEvent, path: str, depth: int) -> Any:
        line = _line(event)
        self.tree.lines.setdefault(path, line)
        self.nodes += 1
        if self.nodes > self.nodes_max:
            self.mistake(line, "", f"the file has more than {self.nodes_max} values")
            raise _Stop
        if depth > DEPTH_MAX:
            self.mistake(line, "", f"nested deeper than {DEPTH_MAX} levels")
            raise _Stop
        if isinstance(event, yaml.AliasEvent):
            self.mistake(line, path, f"alias *{event.anchor} is not allowed", "write the value out, or use matrix")
            return None
        if event.anchor is not None:
            self.mistake(line, path, f"anchor &{event.anchor} is not allowed", "write the value out, or use matrix")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.mistake(line, path, f"tag {tag[:60]} is not allowed", "leave it out; quotes make text")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        assert isinstance(event, yaml.ScalarEvent)
        return self._scalar(event, path, line)

    def _sequence(self, path: str, depth: int) -> list[Any]:
        found: list[Any] = []
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            assert isinstance(event, yaml.NodeEvent)
            found.append(self._node(event, child(path, len(found)), depth + 1))
        return found

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            assert isinstance(event, yaml.NodeEvent)
            key = self._key(event, path, depth)
            place = child(path, key)
            if key in found:
                first = self.tree.lines[place]
                self.mistake(_line(event), place, "stands twice", f"first in line {first}")
            self.tree.lines.setdefault(place, _line(event))
            value = next(self.events)
            assert isinstance(value, yaml.NodeEvent)
            found[key] = self._node(value, place, depth + 1)
        return found

    def _key(self, event: yaml.NodeEvent, path: str, depth: int) -> str:
        line = _line(event)
        if isinstance(event, yaml.ScalarEvent):
            if event.value == "<<" and not event.style:
                self.mistake(line, path, "merge key << is not allowed", "write the values out, or use matrix")
            if event.anchor is not None or event.tag is not None:
                self.mistake(line, path, "anchors and tags are not allowed at keys")
            self.nodes += 1
            return event.value
        self.mistake(line, path, "a key must be plain text", "a value that holds ${name} must be in quotes")
        self._node(event, path, depth + 1)
        return f"({line})"

    def _scalar(self, event: yaml.ScalarEvent, path: str, line: int) -> Any:
        text = event.value
        if event.style:
            return text
        if text in _NULL:
            return None
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if _INTEGER.fullmatch(text):
            if len(text.lstrip("+-")) <= INTEGER_DIGITS_MAX:
                return int(text)
            self.mistake(line, path, f"a number of {len(text)} digits is too large", "put it in quotes if it is text")
        elif _FLOAT.fullmatch(text):
            return self._float(text, path, line)
        elif text.lower() in _TRAP_WORDS:
            self.mistake(line, path, f"{text} is true or false to some readers", f'write true, false or "{text}"')
        elif _TRAP_NUMBER.fullmatch(text):
            self.mistake(
                line, path, f"{text[:40]} is a number to some readers", "put it in quotes, or write it plainly"
            )
        return text

    def _float(self, text: str, path: str, line: int) -> float | str:
        value = float(text) if len(text) <= 40 else float("inf")
        if value in (float("inf"), float("-inf")):
            self.mistake(line, path, f"{text[:40]} is too large a number", "put it in quotes if it is text")
            return text
        return value

    def syntax_mistake(self, error: yaml.YAMLError, data: bytes) -> None:
        """One mistake for the place where the text stops being YAML."""
        if not isinstance(error, yaml.MarkedYAMLError):
            reason = f"is not YAML: {str(error).splitlines()[0]}"
            self.tree.mistakes.append(Mistake(self.file, 1, "", reason, None))
            return
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        lines = data.decode("utf-8", "replace").splitlines()
        here = lines[line - 1] if line <= len(lines) else ""
        reason = f"is not YAML: {error.problem or error.context or 'unreadable'}"
        self.tree.mistakes.append(Mistake(self.file, line, "", reason, _hint(here, lines[: line - 1])))


def _hint(here: str, above: list[str]) -> str | None:
    """What is probably meant on a line at which the text stops being YAML."""
    indent = len(here) - len(here.lstrip())
    said = here.strip()
    indents = {len(line) - len(line.lstrip()) for line in above if line.strip() and line.strip()[0] != "#"}
    if "\t" in here[:indent]:
        return "indent with spaces, not tabs"
    if re.search(r"(?<![\"'\w])\$\{", here):
        return 'inside { } and [ ] put "${name}" in quotes'
    if bracketed := re.search(r"[{,]\s*\w+: (\w+\[[^\]]*\][\w.]*)", here):
        return f'inside {{ }} put "{bracketed[1]}" in quotes'
    if colon := re.match(r"(?:- )?(\w+): ([^\"'\[{|>].*: .*)", said):
        return f"a text with a colon in it needs quotes, after {colon[1]}: here"
    if above and indent not in indents | {_indent_within(above)}:
        near = sorted(indents, key=lambda other: abs(other - indent))[:2]
        return f"this line is indented by {indent} spaces, the lines above by {' or '.join(map(str, sorted(near)))}"
    return None


def _indent_within(above: list[str]) -> int:
    """Where the first line inside the last one would begin."""
    last = next((line for line in reversed(above) if line.strip()), "")
    return len(last) - len(last.lstrip()) + 2
