"""The JSON Schema (draft 07) that editors complete scenario files from; generated from the models.

`python -m harness.scenario_schema` writes it, `--check` says whether the written one is current.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from harness.scenario import START_DEFAULT, Scenario
from harness.units import DURATION_PATTERN, SIZE_PATTERN, format_duration, format_size

ROOT: Final = Path(__file__).resolve().parent.parent
SCHEMA_PATH: Final = ROOT / "scenarios" / "scenario.schema.json"
WHOLE_PLACE: Final = {"type": "string", "pattern": r"^\$\{[a-z_][a-z0-9_]*\}$"}
"""A matrix value that takes the place of a number or a word."""

SOME_PLACE: Final = {"type": "string", "pattern": r"\$\{[^}]+\}"}
"""A text in which matrix values stand."""

_ANNOTATIONS: Final[tuple[str, ...]] = ("title", "description", "default", "examples")


def scenario_schema() -> dict[str, Any]:
    """The schema as plain JSON values, with `${label}` allowed wherever the matrix may put a value."""
    raw = Scenario.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    definitions = raw.pop("$defs")
    version = raw["properties"].pop("version")
    schema = _converted(raw)
    schema["properties"] = {"version": version | {"const": 1}, **schema["properties"]}
    schema["properties"]["start"]["default"] = START_DEFAULT.isoformat().replace("+00:00", "Z")
    schema["definitions"] = {name: _converted(definition) for name, definition in sorted(definitions.items())}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "wakestorm scenario", **schema}


def rendered() -> str:
    """The file's text; the same at every call."""
    return json.dumps(scenario_schema(), indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Writes the schema, or with `--check` compares it."""
    return write_or_check(SCHEMA_PATH, rendered(), arguments)


def write_or_check(path: Path, text: str, arguments: Sequence[str]) -> int:
    """Writes a generated file; with `--check` only says whether it is current (0) or not (1)."""
    if "--check" in arguments:
        current = path.is_file() and path.read_text(encoding="utf-8") == text
        if not current:
            print(f"{path.relative_to(ROOT)} is not current: run make generate", file=sys.stderr)
        return 0 if current else 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return 0


def _converted(schema: Any) -> Any:
    """One schema in the words of draft 07: no null branches, no siblings of $ref, defaults as people write them."""
    if not isinstance(schema, dict):
        return schema
    found = {key: value for key, value in schema.items() if not (key == "default" and value is None)}
    found.pop("discriminator", None)
    if "anyOf" in found:
        found["anyOf"] = [part for part in found["anyOf"] if part != {"type": "null"}]
        if len(found["anyOf"]) == 1:
            return _converted(_merged(found.pop("anyOf")[0], found))
    for key in ("properties", "patternProperties"):
        if key in found:
            found[key] = {name: _converted(part) for name, part in found[key].items()}
            found.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if key in found:
            found[key] = _converted(found[key])
    for key in ("anyOf", "oneOf"):
        if key in found:
            found[key] = [_converted(part) for part in found[key]]
    _write_default(found)
    if "$ref" in found and len(found) > 1:
        reference = found.pop("$ref")
        found["allOf"] = [{"$ref": reference}]
    return _with_place(found)


def _merged(inner: dict[str, Any], outer: dict[str, Any]) -> dict[str, Any]:
    """The only branch of a union with what was said about the union."""
    titled = {"title": inner["title"]} if "title" in inner else {}
    return inner | outer | titled


def _write_default(schema: dict[str, Any]) -> None:
    default = schema.get("default")
    if not isinstance(default, int) or isinstance(default, bool):
        return
    if schema.get("pattern") == DURATION_PATTERN:
        schema["default"] = format_duration(default)
    elif schema.get("pattern") == SIZE_PATTERN:
        schema["default"] = format_size(default)


def _with_place(schema: dict[str, Any]) -> dict[str, Any]:
    constrained = "const" in schema or "enum" in schema or "pattern" in schema
    if schema.get("type") in ("integer", "number", "boolean") or (constrained and schema.get("type") != "string"):
        place = WHOLE_PLACE
    elif constrained:
        place = SOME_PLACE
    else:
        return schema
    outside = {key: schema[key] for key in _ANNOTATIONS if key in schema}
    inside = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    return {**outside, "anyOf": [inside, place]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
