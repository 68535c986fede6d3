"""The faults that are written as steps (`database: deadlock`): from their words to their frozen data. Pure.

Each stands in `simulator/faults/<target>_<word>.py` as FAULT, a class whose fields are its settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any, Final

from simulator.faults import CATALOGUE
from simulator.levers import Fault

HEALING: Final = ("start", "restart", "resume", "heal")
"""Words that are no faults: restart is stop and start, the others end what was done to the target."""


def words_of(target: str) -> tuple[str, ...]:
    """The words that may stand behind `server:`, `broker:`, `database:` or `store:`."""
    found = (name.removeprefix(f"{target}_") for name in CATALOGUE if name.startswith(f"{target}_"))
    return (*found, *HEALING)


def fault_class(target: str, do: str) -> type[Fault] | None:
    """The class behind the word; None for those that heal."""
    if do in HEALING:
        return None
    found: type[Fault] = import_module(CATALOGUE[f"{target}_{do}"]).FAULT
    return found


def settings_of(found: type[Fault]) -> dict[str, Any]:
    """The settings of a fault with their defaults."""
    return {item.name: item.default for item in fields(found)}  # type: ignore[arg-type]


def new_fault(target: str, do: str, settings: Mapping[str, Any]) -> Fault | None:
    """The fault with these settings; None for words that heal."""
    found = fault_class(target, do)
    return None if found is None else found(**settings)
