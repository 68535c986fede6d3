"""`wakestorm explain`: what a key of the scenario language means, with an example that is known to run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from harness.scenario_keys import Key, KeyTree

WIDTH_CHARS: Final = 79
REFERENCE: Final = "docs/scenario-reference.md"


def _keys(incomplete: str) -> list[str]:
    from harness.scenario_keys import KeyTree

    return [key.name for key in KeyTree().keys.values() if key.name.startswith(incomplete)]


def explain(
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY", help="Such as expect.rows, image.size, or a path that an error named.", autocompletion=_keys
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Show what a key of the scenario language means; without KEY all keys of a file, and all kinds of steps.

    \b
    Examples:
      wakestorm explain
      wakestorm explain expect.rows
      wakestorm explain devices.yard.image.size
      wakestorm explain "steps[0].faults[0].at"
    """
    raise typer.Exit(explain_command(key, as_json=as_json))


def explain_command(text: str | None, *, as_json: bool) -> int:
    """One key, the list of those that the word may mean, or the overview. Raises UsageError for a word unknown."""
    from harness.jsonable import json_line
    from harness.scenario_keys import KeyTree

    tree = KeyTree()
    found = tree.find(text) if text is not None else []
    if text is not None and not found:
        raise _unknown(text, tree)
    if as_json:
        for key in found or list(tree.keys.values()):
            print(json_line(_data(key)))
        return 0
    if text is None:
        lines = _overview(tree)
    elif len(found) > 1:
        lines = _several(text, found)
    else:
        lines = _explained(found[0], tree)
    print("\n".join(lines))
    return 0


def _unknown(text: str, tree: KeyTree) -> Exception:
    from harness.checks import CATALOGUE
    from harness.errors import UsageError
    from harness.tables import TABLES
    from simulator.faults import CATALOGUE as FAULTS

    for names, hint in (
        (FAULTS, f"it is a fault: `wakestorm faults {text}`"),
        (CATALOGUE, f"it is a check: {CATALOGUE.get(text, '')}"),
        (TABLES, f"it is a table: {text} in docs/schema.md"),
    ):
        if text in names:
            return UsageError(f"explain {text}: no key is called that", hint=hint)
    if "@" in text:
        hint = f"it looks like a profile: `wakestorm profiles {text}`"
        return UsageError(f"explain {text}: no key is called that", hint=hint)
    near = tree.nearest(text)
    hint = f"did you mean {' or '.join(near)}?" if near else "`wakestorm explain` lists the keys"
    return UsageError(f"explain {text}: no key is called that", hint=hint)


def _data(key: Key) -> dict[str, object]:
    return {
        "key": key.name,
        "meaning": key.meaning,
        "value": key.kind,
        "default": key.default or None,
        "required": key.is_required,
        "keys": list(key.children),
        "beside": list(key.siblings),
    }


def _overview(tree: KeyTree) -> Iterator[str]:
    from harness.scenario_steps import STEP_MODELS

    yield "The keys of a scenario file:\n"
    yield from _listed(tree.top())
    yield "\nThe kinds of steps:\n"
    yield from _listed([tree.keys[kind,] for kind in STEP_MODELS])
    yield "\n`wakestorm explain KEY` explains one; `explain expect.rows` one inside another."
    yield f"All of them: {REFERENCE}"


def _several(text: str, found: list[Key]) -> Iterator[str]:
    yield f"{len(found)} keys are called `{text}`:\n"
    yield from _listed(found, full=True)
    yield f"\nFor one of them: wakestorm explain {found[0].name}"


def _explained(key: Key, tree: KeyTree) -> Iterator[str]:
    yield key.name
    yield from _wrapped(key.meaning, "  ")
    if key.model_meaning and key.model_meaning != key.meaning:
        yield from _wrapped(key.model_meaning, "  ")
    yield ""
    yield from _wrapped(key.kind, "  value    ", "           ")
    if key.is_required:
        yield "  default  none, it is required"
    elif key.default:
        yield f"  default  {key.default}"
    for title, keys in (("inside it", tree.children(key)), ("beside it", tree.beside(key))):
        if keys:
            yield f"\n  {title}"
            yield from _listed(keys, indent="    ")
    yield from _example(key)
    if key.owner == "FaultAction":
        yield f"\n  which benches can do it, and more: wakestorm faults {key.path[-1]}"
    if key.path == ("devices", "profile"):
        yield "\n  the profiles there are: wakestorm profiles"
    others = [other.name for other in tree.also(key)]
    if others and len(others) <= 8:
        yield ""
        yield from _wrapped(", ".join(others), f"  also called `{key.path[-1]}`: ", "    ")


def _example(key: Key) -> Iterator[str]:
    from harness.loader import discover
    from harness.scenario_sightings import LINES_MAX, sighting
    from harness.selection import SCENARIOS, SHIPPED

    folder = SHIPPED / SCENARIOS
    found = sighting(key, discover([folder])) if folder.is_dir() else None
    if found is None:
        return
    shown = found.lines[:LINES_MAX]
    yield f"\n  example, {_shown(found.file, SHIPPED)}:{found.line}\n"
    yield from (f"    {line}" for line in shown)
    if len(found.lines) > len(shown):
        yield "    ..."


def _shown(file: Path, root: Path) -> str:
    return str(file.relative_to(root))


def _listed(keys: list[Key], *, full: bool = False, indent: str = "  ") -> Iterator[str]:
    names = [key.name if full else key.path[-1] for key in keys]
    width = min(24, max(len(name) for name in names))
    for name, key in zip(names, keys, strict=True):
        said = f"{key.meaning} (required)" if key.is_required and not key.siblings else key.meaning
        yield from _wrapped(said, f"{indent}{name:<{width}}  ", " " * (width + len(indent) + 2))


def _wrapped(text: str, first: str, rest: str | None = None) -> list[str]:
    import textwrap

    return textwrap.wrap(text, WIDTH_CHARS, initial_indent=first, subsequent_indent=first if rest is None else rest)
