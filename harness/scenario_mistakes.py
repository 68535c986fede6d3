"""What pydantic says about a scenario, in the words and with the places of its author. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.errors import did_you_mean
from harness.matrix import PathMistake
from harness.scenario import Scenario
from harness.scenario_expect import RowsExpectation
from harness.scenario_steps import STEP_MODELS
from harness.units import LanguageError

_TAGGED: Final[dict[str, type[BaseModel]]] = {
    **{f"<{kind}>": model for kind, model in STEP_MODELS.items()},
    "<table>": RowsExpectation,
}
_NOTHING: Final = {"advance": "0s"}
_PART: Final = re.compile(r"steps\[\d+\]|devices\.[^.\[]+|[^.\[]+")
_BOUNDS: Final = {"ge": "must be at least", "le": "must be at most", "gt": "must be above", "lt": "must be below"}
_WANTED: Final = {
    "int_type": "a whole number is needed",
    "float_type": "a number is needed",
    "bool_type": "true or false is needed",
    "string_type": "text is needed",
    "list_type": "a list is needed",
    "dict_type": "a mapping is needed",
    "model_type": "a mapping is needed",
}


def mistakes_of(error: ValidationError, root: type[BaseModel] = Scenario) -> list[PathMistake]:
    """One mistake for every place where the tree is not a scenario (or whatever `root` describes)."""
    found: dict[tuple[str, str], PathMistake] = {}
    for details in error.errors(include_url=False):
        mistake = _mistake(details, root)
        found.setdefault((mistake.path, mistake.reason), mistake)
    return list(found.values())


def without_spoiled(tree: dict[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """A copy in which every step, group or field with a mistake is replaced by one without meaning.

    Places keep their index, so what is found in the copy has the path of the original.
    """
    copy: dict[str, Any] = {"version": 1, "name": "spoiled", "steps": [_NOTHING], **tree}
    spoiled = {match[0] for path in paths if (match := _PART.match(path))}
    for key in ("devices", "steps"):
        if key in spoiled:
            copy[key] = {} if key == "devices" else [_NOTHING]
    if isinstance(copy["steps"], list):
        copy["steps"] = [_NOTHING if f"steps[{index}]" in spoiled else step for index, step in enumerate(copy["steps"])]
    devices = copy.get("devices")
    if isinstance(devices, dict):
        copy["devices"] = {
            name: {"count": 10_000} if f"devices.{name}" in spoiled else group for name, group in devices.items()
        }
    for name in spoiled - {"steps", "devices", "version", "name"}:
        if "." not in name and "[" not in name:
            copy.pop(name, None)
    if "version" in spoiled or "name" in spoiled:
        copy |= {"version": 1, "name": "spoiled"}
    return copy


def _mistake(details: ErrorDetails, root: type[BaseModel]) -> PathMistake:
    path, model = _place(details["loc"], root)
    kind, value = details["type"], details["input"]
    context: Mapping[str, Any] = details.get("ctx") or {}
    if kind == "value_error" and isinstance(context.get("error"), LanguageError):
        error = context["error"]
        return PathMistake(path, error.reason, error.hint)
    if kind == "extra_forbidden":
        key = str(details["loc"][-1])
        return PathMistake(path, f"unknown key {key!r}", did_you_mean(key, _keys(model)))
    if kind == "missing":
        return PathMistake(path, "is required")
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _no_kind(path, value)
    if kind in ("literal_error", "enum"):
        choices = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
        return PathMistake(path, f"{_shown(value)} is not known", did_you_mean(str(value), choices.split(", ")))
    if kind in _WANTED:
        hint = "put it in quotes" if kind == "string_type" and not isinstance(value, dict | list) else None
        return PathMistake(path, f"{_WANTED[kind]}, found {_shown(value)}", hint)
    if kind == "string_pattern_mismatch":
        return PathMistake(path, f"{_shown(value)} is not written rightly", f"pattern {context.get('pattern')}")
    for bound, words in _BOUNDS.items():
        if bound in context:
            return PathMistake(path, f"{words} {context[bound]}, found {_shown(value)}")
    message = details["msg"]
    return PathMistake(path, f"{message[:1].lower()}{message[1:]}, found {_shown(value)}")


def _no_kind(path: str, value: object) -> PathMistake:
    if not isinstance(value, dict):
        return PathMistake(path, f"a step is a mapping, found {_shown(value)}", "for example - wake: yard")
    kinds = [kind for kind in STEP_MODELS if kind in value]
    if len(kinds) > 1:
        return PathMistake(
            path, f"a step has exactly one kind, found {' and '.join(kinds)}", "make each a step of its own"
        )
    words = [key for key in value if key != "note"] or [""]
    return PathMistake(path, f"no kind of step is called {words[0]!r}", did_you_mean(words[0], tuple(STEP_MODELS)))


def _place(loc: tuple[int | str, ...], root: type[BaseModel]) -> tuple[str, type[BaseModel] | None]:
    """The path in the author's words, and the model in which its last key stands."""
    path = ""
    model: type[BaseModel] | None = root
    for position, item in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(item, str) and item.startswith("<"):
            model = _TAGGED.get(item)
        elif isinstance(item, int):
            path += f"[{item}]"
        elif item != "[key]" and not _is_branch(item):
            path += f".{item}" if path else item
            if not last and model is not None:
                model = _model_at(model, item)
    return path, model


def _is_branch(item: str) -> bool:
    """Names that pydantic adds for the branches of a union; no key of the language looks like these."""
    return item in ("int", "str", "float", "bool") or "[" in item


def _model_at(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    for name, field in model.model_fields.items():
        if (field.alias or name) == key:
            return _model_in(field.annotation)
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The one model that an annotation holds; None where there are several, which are tagged."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    models = [found for part in get_args(annotation) if (found := _model_in(part)) is not None]
    return models[0] if len(models) == 1 else None


def _keys(model: type[BaseModel] | None) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items()) if model else ()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 50 else text[:47] + "..."
