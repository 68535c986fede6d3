"""`wakestorm profiles`: the device models that scenarios may name, and one of them in detail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from simulator.profile import Profile

WIDTH_CHARS: Final = 79
_SHOWN_FIRST: Final = ("name", "summary", "dialect", "firmware_version", "battery")
_UNITS: Final = (("_bytes", "B"), ("_ms", "ms"), ("_v", "V"), ("_dbm", "dBm"))


def _names(incomplete: str) -> list[str]:
    from simulator.profile import PROFILES

    return [name for name in PROFILES if name.startswith(incomplete)]


def profiles(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Show this profile; misbehaviour is added with +.", autocompletion=_names),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """List device profiles: firmware, dialect and habits; with NAME everything about one.

    \b
    Examples:
      wakestorm profiles
      wakestorm profiles esp32s3-cam@3.5.0
      wakestorm profiles esp32s3-cam@paper-v4+counter-restarts --json
    """
    raise typer.Exit(profiles_command(name, as_json=as_json))


def profiles_command(name: str | None, *, as_json: bool) -> int:
    """The table (JSON: one object a line), or one profile. Raises UsageError for a name that is none."""
    from harness.errors import UsageError
    from harness.jsonable import json_line
    from simulator.profile import PROFILES, UnknownProfile, profile_named

    if name is not None:
        try:
            profile = profile_named(name)
        except UnknownProfile as error:
            raise UsageError(str(error), hint="`wakestorm profiles` lists them all") from None
        print(json_line(_data(profile)) if as_json else "\n".join(_detail(profile)))
    elif as_json:
        for profile in PROFILES.values():
            print(json_line(_data(profile)))
    else:
        print("\n".join(_table()))
    return 0


def _table() -> Iterator[str]:
    from simulator.profile import BASES, MISBEHAVIOURS

    yield "Firmware:\n"
    yield from _rows([(name, f"{profile.summary} (dialect {profile.dialect})") for name, profile in BASES.items()])
    yield "\nMisbehaviour, any number of them behind a firmware:\n"
    yield from _rows([(f"+{word}", summary) for word, (summary, _) in MISBEHAVIOURS.items()])
    yield "\nIn a scenario: `profile: esp32s3-cam@3.5.0+metadata-storm`."
    yield "`wakestorm profiles NAME` shows one in detail."


def _detail(profile: Profile) -> Iterator[str]:
    from harness.scenario_devices import Traits
    from server.wire.dialects import DIALECTS

    yield from (profile.name, *_wrapped(profile.summary, "  "), "")
    yield f"  firmware  {profile.firmware_version}"
    yield f"  dialect   {profile.dialect}"
    dialect = DIALECTS[profile.dialect]
    yield from _rows([(item.name, _text(getattr(dialect, item.name))) for item in fields(dialect)[1:]], "    ")
    usual = profile_defaults(profile)
    settable = {item.alias or name for name, item in Traits.model_fields.items()}
    yield "\n  habits (* differs from most devices; + can be changed by `traits:` of a group)"
    rows = []
    for item in fields(profile):
        if item.name in _SHOWN_FIRST:
            continue
        value = getattr(profile, item.name)
        mark = "*" if value != usual[item.name] else " "
        word = without_unit(item.name)
        changed = "+" if word in settable or item.name in settable else " "
        rows.append((f"{mark}{changed} {word}", _text(value, item.name)))
    yield from _rows(rows, "    ")
    yield "\n  in a scenario\n"
    yield f'    devices:\n      yard: {{profile: "{profile.name}"}}'


def profile_defaults(profile: Profile) -> dict[str, Any]:
    """What a device of the newest firmware does."""
    from simulator.profile import BASES

    newest = next(iter(BASES.values()))
    return {item.name: getattr(newest, item.name) for item in fields(profile)}


def without_unit(name: str) -> str:
    """`ack_wait_ms` as the scenario language calls it: `ack_wait`."""
    return next((name.removesuffix(end) for end, _ in _UNITS if name.endswith(end)), name)


def _text(value: Any, name: str = "") -> str:
    from harness.units import format_duration, format_size

    if value is None or value == frozenset():
        return "-"
    if name.endswith("_ms"):
        return format_duration(value)
    if name.endswith("_bytes"):
        return format_size(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value))
    if isinstance(value, tuple):
        return " to ".join(str(item) for item in value)
    unit = next((unit for end, unit in _UNITS if name.endswith(end)), "")
    return f"{getattr(value, 'value', value)} {unit}".rstrip()


def _data(profile: Profile) -> dict[str, Any]:
    data = {item.name: getattr(profile, item.name) for item in fields(profile)}
    data["battery"] = {item.name: getattr(profile.battery, item.name) for item in fields(profile.battery)}
    data["encoding_quirks"] = sorted(profile.encoding_quirks)
    return data


def _rows(rows: list[tuple[str, str]], indent: str = "  ") -> Iterator[str]:
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        first = f"{indent}{name:<{width}}  "
        yield from _wrapped(text, first, " " * len(first)) or [first.rstrip()]


def _wrapped(text: str, first: str, rest: str = "  ") -> list[str]:
    import textwrap

    return textwrap.wrap(text, WIDTH_CHARS, initial_indent=first, subsequent_indent=rest)
