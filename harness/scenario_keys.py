"""Every key of the scenario language as a path, `expect.rows.table`: what `wakestorm explain` looks things up in.

Made from the JSON Schema of the models, so it can not say anything else than they do. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from harness.scenario_schema import SOME_PLACE, WHOLE_PLACE, scenario_schema
from harness.scenario_steps import STEP_MODELS

DEPTH_MAX: Final = 7
_INDEX: Final = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True, slots=True)
class Key:
    """One key: where it stands, what it holds. `model` is the mapping behind it, if it holds one."""

    path: tuple[str, ...]
    owner: str
    meaning: str
    kind: str
    default: str
    is_required: bool
    model: str
    model_meaning: str
    children: tuple[str, ...]
    siblings: tuple[str, ...] = ()
    """Of a kind of step: the keys that may stand beside it."""

    @property
    def name(self) -> str:
        """`expect.rows.table`."""
        return ".".join(self.path)


class KeyTree:
    """All keys by path."""

    def __init__(self) -> None:
        self._schema = scenario_schema()
        self._definitions: dict[str, Any] = self._schema["definitions"]
        self.keys: dict[tuple[str, ...], Key] = {}
        for name, part in self._schema["properties"].items():
            if name != "steps":
                self._add((name,), "Scenario", part, name in self._schema["required"])
        self._add(("steps",), "Scenario", self._schema["properties"]["steps"], is_required=True, deeper=False)
        for kind, model in STEP_MODELS.items():
            self._add_step(kind, self._definitions[model.__name__], model.__name__)

    def children(self, key: Key) -> list[Key]:
        """The keys inside."""
        return [self.keys[*key.path, name] for name in key.children if (*key.path, name) in self.keys]

    def beside(self, key: Key) -> list[Key]:
        """The keys that may stand beside a kind of step."""
        return [self.keys[*key.path, name] for name in key.siblings]

    def top(self) -> list[Key]:
        """The keys of the file itself."""
        return [self.keys[name,] for name in self._schema["properties"]]

    def find(self, text: str, *, exact: bool = True) -> list[Key]:
        """The keys that `text` may mean, one for each meaning; a path as an error names it will do."""
        wanted = wanted_path(text)
        if exact and wanted in self.keys:
            return [self.keys[wanted]]
        fitting = [key for key in self.keys.values() if _ends_with(key.path, wanted)]
        if not fitting:
            fitting = [key for key in self.keys.values() if _is_within(wanted, key.path)]
        if not fitting and len(wanted) > 1:  # a name of the author's own, such as a column
            return [key for key in self.find(".".join(wanted[:-1])) if not key.children and _is_open(key)]
        fewest: dict[tuple[str, str], Key] = {}
        for key in sorted(fitting, key=lambda key: len(key.path)):
            fewest.setdefault((key.path[-1], f"{key.meaning} {key.kind}"), key)
        return list(fewest.values())

    def also(self, key: Key) -> list[Key]:
        """Other keys of the same word, of other meaning."""
        return [other for other in self.find(key.path[-1], exact=False) if other.meaning != key.meaning]

    def nearest(self, text: str) -> list[str]:
        """Paths whose last word looks like that of `text`."""
        wanted = wanted_path(text)
        last_words = {key.path[-1] for key in self.keys.values()}
        close = get_close_matches(wanted[-1] if wanted else text, sorted(last_words), n=3, cutoff=0.6)
        found: list[str] = []
        for word in close:
            behind = [key for key in self.find(word) if set(wanted[:-1]) <= set(key.path)] or self.find(word)
            found += [key.name for key in behind]
        return list(dict.fromkeys(found))[:4]

    def _add_step(self, kind: str, definition: dict[str, Any], owner: str) -> None:
        properties = definition["properties"]
        beside = tuple(name for name in properties if name != kind)
        self._add((kind,), owner, properties[kind], is_required=True, said=definition["description"], siblings=beside)
        for name in beside:
            self._add((kind, name), owner, properties[name], name in definition.get("required", []))

    def _add(
        self,
        path: tuple[str, ...],
        owner: str,
        part: dict[str, Any],
        is_required: bool,
        *,
        said: str = "",
        siblings: tuple[str, ...] = (),
        deeper: bool = True,
    ) -> None:
        models = [name for name in _models(part) if name not in _STEP_NAMES]
        definition = self._definitions[models[0]] if models and deeper else {}
        inner: dict[str, Any] = definition.get("properties", {})
        if len(path) >= DEPTH_MAX:
            inner = {}
        self.keys[path] = Key(
            path=path,
            owner=owner,
            meaning=said or part.get("description", ""),
            kind=kind_of(part),
            default=yaml_word(part["default"]) if "default" in part else "",
            is_required=is_required,
            model=models[0] if models else "",
            model_meaning=definition.get("description", ""),
            children=tuple(inner),
            siblings=siblings,
        )
        for name, below in inner.items():
            self._add((*path, name), models[0], below, name in definition.get("required", []))


_STEP_NAMES: Final = frozenset(model.__name__ for model in STEP_MODELS.values())


def wanted_path(text: str) -> tuple[str, ...]:
    """`steps[0].faults[0].who` as (faults, who): without numbers, and without the word that all steps share."""
    words = tuple(word for word in _INDEX.sub("", text.strip().rstrip(":")).split(".") if word)
    return words[1:] if len(words) > 1 and words[0] == "steps" else words


def kind_of(part: dict[str, Any], *, markdown: bool = False) -> str:
    """What a value may be, in a few words; in Markdown with links to the mappings of the reference page."""
    title = part.get("title", "")
    if title and title == title.lower():
        return str(title) if markdown else str(title).replace("`", "")
    if "$ref" in part:
        name = part["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})" if markdown else "mapping"
    for word in ("anyOf", "oneOf", "allOf"):
        if word in part:
            kinds = [kind_of(one, markdown=markdown) for one in part[word] if one not in (WHOLE_PLACE, SOME_PLACE)]
            return "steps" if len(kinds) > 8 else " or ".join(dict.fromkeys(kinds))
    values = [part["const"]] if "const" in part else part.get("enum")
    if values:
        return ", ".join(f"`{yaml_word(value)}`" if markdown else yaml_word(value) for value in values)
    if part.get("type") == "array":
        return f"list of {kind_of(part.get('items', {}), markdown=markdown)}"
    if part.get("type") == "object":
        entry = next(iter(part.get("patternProperties", {}).values()), part.get("additionalProperties"))
        return f"mapping of {kind_of(entry, markdown=markdown)}" if isinstance(entry, dict) and entry else "mapping"
    truth = "`true`, `false`" if markdown else "true, false"
    words = {"string": "text", "integer": "number", "number": "number", "boolean": truth}
    return words.get(part.get("type", ""), "anything")


def yaml_word(value: object) -> str:
    """A plain value as YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_open(key: Key) -> bool:
    """Whether authors choose the keys inside."""
    return key.kind in ("anything", "list of anything") or "mapping" in key.kind


def _models(part: dict[str, Any]) -> Iterator[str]:
    """The mappings that a value may hold, however they are wrapped."""
    if "$ref" in part:
        yield part["$ref"].rsplit("/", 1)[1]
    for word in ("anyOf", "oneOf", "allOf"):
        for one in part.get(word, ()):
            yield from _models(one)
    for word in ("items", "additionalProperties"):
        if isinstance(part.get(word), dict):
            yield from _models(part[word])
    for one in part.get("patternProperties", {}).values():
        yield from _models(one)


def _ends_with(path: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return bool(wanted) and path[-len(wanted) :] == wanted


def _is_within(wanted: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether `path` is `wanted` without the names that authors choose: devices.yard.image is devices.image."""
    rest = iter(wanted)
    return bool(wanted) and path[-1] == wanted[-1] and path[0] == wanted[0] and all(word in rest for word in path)
