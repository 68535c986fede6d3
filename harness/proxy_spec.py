"""Faults of a line as words of a command line: `latency=200ms,jitter=50ms,from=10s,for=30s`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from harness.errors import UsageError, did_you_mean
from harness.scenario_faults import LINK_ACTIONS, FaultAction
from harness.scenario_mistakes import mistakes_of
from harness.units import LanguageError, format_duration, parse_duration_ms
from simulator.catalogue import row_named
from simulator.fault import fault_named
from simulator.stream import StreamFault

WHEN: Final = ("from", "for", "every")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFault:
    """A fault and when it lasts: `from_ms` after the start, `for_ms` (None: for good), again every `every_ms`."""

    name: str
    fault: StreamFault
    from_ms: int
    for_ms: int | None
    every_ms: int | None

    @property
    def once(self) -> bool:
        """It is over when it has struck one connection."""
        return self.fault.strikes_once and self.for_ms is None

    def __str__(self) -> str:
        words = [self.name, *([f"from {format_duration(self.from_ms)}"] if self.from_ms else [])]
        words += [f"for {format_duration(self.for_ms)}"] if self.for_ms is not None else []
        words += [f"every {format_duration(self.every_ms)}"] if self.every_ms is not None else []
        return ", ".join(words)


def parse_line_fault(text: str) -> LineFault:
    """`NAME[=VALUE][,SETTING=VALUE]...`, settings as in a scenario, and from, for, every. Raises UsageError."""
    first, *others = text.split(",")
    name, mark, value = first.partition("=")
    if name not in LINK_ACTIONS:
        raise UsageError(
            f"--fault {text}: no fault of the line is called {name!r}", hint=did_you_mean(name, LINK_ACTIONS)
        )
    words = {row_named(name).settings[0].name: value} if mark and row_named(name).settings else {}
    if mark and not words:
        raise UsageError(f"--fault {text}: {name} has no settings", hint=f"write --fault {name}")
    for other in others:
        key, mark, value = other.partition("=")
        if not mark or key in words:
            raise UsageError(f"--fault {text}: {other!r} is not SETTING=VALUE", hint=f"wakestorm faults {name}")
        keys = (*(setting.name for setting in row_named(name).settings), *WHEN)
        if key not in keys:
            raise UsageError(f"--fault {text}: {name} has no {key!r}", hint=did_you_mean(key, keys))
        words[key] = value
    when = {key: _duration(text, key, words.pop(key, None)) for key in WHEN}
    for_ms, every_ms = when["for"], when["every"]
    if every_ms is not None and every_ms <= (for_ms or 0):
        raise UsageError(f"--fault {text}: every is not above for", hint="it must end before it begins again")
    fault = fault_named(name, **_settings(text, name, words))
    return LineFault(name=name, fault=fault, from_ms=when["from"] or 0, for_ms=for_ms, every_ms=every_ms)


def _duration(text: str, key: str, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        found = parse_duration_ms(value)
    except LanguageError as error:
        raise UsageError(f"--fault {text}: {key}: {error.reason}", hint=error.hint) from None
    if not found and key != "from":
        raise UsageError(f"--fault {text}: {key} is nothing", hint="for example 30s")
    return found


def _settings(text: str, name: str, words: dict[str, str]) -> dict[str, Any]:
    """The settings as the scenario language reads them."""
    typed = {key: int(value) if value.isdecimal() else value for key, value in words.items()}
    try:
        action = FaultAction.model_validate({name: typed})
    except ValidationError as error:
        mistake = mistakes_of(error)[0]
        where = mistake.path.removeprefix(name).strip(".")
        hint = mistake.hint or f"wakestorm faults {name} shows its settings"
        raise UsageError(f"--fault {text}: {where + ': ' if where else ''}{mistake.reason}", hint=hint) from None
    found: dict[str, Any] = getattr(action, name).model_dump()
    return found
