"""The matrix: every combination of its values, put in for `${label}` by plain substitution. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from harness.addresses import DEVICE_PLACE
from harness.errors import did_you_mean
from harness.scenario_types import Scalar
from harness.units import LanguageError

CASES_MAX: Final = 1_000

_RANGE: Final = re.compile(r"([0-9]{1,5})\.\.([0-9]{1,5})")
_LABEL: Final = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_PLACE: Final = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class PathMistake:
    """One thing wrong; `path` is relative to the file."""

    path: str
    reason: str
    hint: str | None = None


def cases_of(matrix: object) -> tuple[list[tuple[str, dict[str, Scalar]]], list[PathMistake]]:
    """Every (case id, values). The id is `[k=3,how=cut]`, empty without a matrix."""
    if matrix is None or not isinstance(matrix, dict):
        return [("", {})], []
    mistakes: list[PathMistake] = []
    axes: list[list[dict[str, Scalar]]] = []
    for label, values in matrix.items():
        try:
            axes.append(_axis(label, values))
        except LanguageError as error:
            mistakes.append(PathMistake(f"matrix.{label}", error.reason, error.hint))
    names = [name for axis in axes for name in axis[0]]
    mistakes += [
        PathMistake("matrix", f"the name {name} stands for two things", "rename one")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    total = 1
    for axis in axes:
        total *= len(axis)
    if total > CASES_MAX:
        mistakes.append(PathMistake("matrix", f"makes {total} cases", f"at most {CASES_MAX}"))
    if mistakes or not axes:
        return [("", {})], mistakes
    found = []
    for combination in product(*axes):
        values = {name: value for part in combination for name, value in part.items()}
        found.append(("[" + ",".join(f"{name}={_text(value)}" for name, value in values.items()) + "]", values))
    return found, []


def substituted(value: Any, values: Mapping[str, Scalar]) -> Any:
    """A copy with every `${name}` put in; a text that is just `${name}` becomes the value with its type."""
    if isinstance(value, dict):
        return {key: substituted(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [substituted(item, values) for item in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    whole = _PLACE.fullmatch(value)
    if whole is not None and whole[1] in values:
        return values[whole[1]]
    return _PLACE.sub(lambda place: _text(values[place[1]]) if place[1] in values else place[0], value)


def _names_kept(tree: Any) -> Iterator[str]:
    """What `keep` of some step takes from an answer."""
    if isinstance(tree, dict):
        if isinstance(tree.get("keep"), dict):
            yield from map(str, tree["keep"])
        for item in tree.values():
            yield from _names_kept(item)
    elif isinstance(tree, list):
        for item in tree:
            yield from _names_kept(item)


def name_mistakes(tree: dict[str, Any], names: list[str]) -> list[PathMistake]:
    """Places whose name nobody gives, and names that no place uses."""
    mistakes: list[PathMistake] = []
    used: set[str] = set()
    kept = {f"kept.{name}" for name in _names_kept(tree)}
    for path, text in texts_of(tree, ""):
        if path.startswith("matrix."):
            continue
        for place in _PLACE.findall(text):
            used.add(place)
            if place in kept or place in names:
                continue
            if DEVICE_PLACE.fullmatch(f"${{{place}}}") is None:
                hint = (
                    did_you_mean(place, names)
                    if names
                    else "matrix: names values; ${yard[0].mac} and ${yard[0].id} are known"
                )
                mistakes.append(PathMistake(path, f"nothing is called ${{{place}}}", hint))
    mistakes += [
        PathMistake("matrix", f"{name} is never used", f"write ${{{name}}} somewhere")
        for name in names
        if name not in used
    ]
    return mistakes


def _axis(label: str, values: object) -> list[dict[str, Scalar]]:
    if isinstance(values, str):
        match = _RANGE.fullmatch(values)
        if match is None:
            raise LanguageError(f"{values!r} is not a range", "for example 0..10, both ends included")
        first, last = int(match[1]), int(match[2])
        if last < first or last - first >= CASES_MAX:
            raise LanguageError(f"{values} is not a usable range", f"rising, at most {CASES_MAX} values")
        return [{label: number} for number in range(first, last + 1)]
    if not isinstance(values, list) or not values:
        raise LanguageError("is neither a list of values nor a range", "for example [1, 2, 3] or 0..10")
    axis: list[dict[str, Scalar]] = []
    for value in values:
        if isinstance(value, list) or (isinstance(value, dict) and not value):
            raise LanguageError("a value of the matrix is a scalar or a mapping of scalars", "no lists inside")
        entry = value if isinstance(value, dict) else {label: value}
        if any(isinstance(item, dict | list) for item in entry.values()):
            raise LanguageError("a mapping in the matrix holds scalars only", "use ${name} inside the structure")
        if any(_LABEL.fullmatch(name) is None for name in entry):
            raise LanguageError("a name of the matrix is not a plain word", "small letters, digits and _")
        if axis and set(entry) != set(axis[0]):
            raise LanguageError("the values of one label have different names", "give each the same names")
        axis.append(entry)
    return axis


def texts_of(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Every text in which something is to be put in, with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from texts_of(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts_of(item, f"{path}[{index}]")
    elif isinstance(value, str) and "${" in value:
        yield path, value


def _text(value: Scalar) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
