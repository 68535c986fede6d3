"""The catalogue of faults: a row for each, whatever layer it strikes, with its heal, its scenario and its source. Pure.

A row stands as `ROW` in the fault's own file (`simulator/faults/<name>.py`); `faults.CATALOGUE` names the file. The
table of `wakestorm faults` and docs/faults.md are made of the rows, and so is the refusal of a bench that can't do one.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Final, Literal

from simulator.faults import CATALOGUE, TEMPLATE

Layer = Literal["link", "device", "fleet", "broker", "server", "database", "store"]
LAYERS: Final[tuple[Layer, ...]] = ("link", "device", "fleet", "broker", "server", "database", "store")

BenchName = Literal["embedded", "processes", "board"]
BENCHES: Final[tuple[BenchName, ...]] = ("embedded", "processes", "board")


class UnknownFault(Exception):
    """No fault, setting or address is called that; the text says what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting as it is written in a scenario; `unit` is duration, size, count, one of a few words, ..."""

    name: str
    unit: str
    default: str
    does: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """One fault.

    `example` is a piece of a scenario file (`steps:` or `devices:`). `sign` is how a plan shows that it has the fault:
    `action:lose`, `step:broker:crash`, `power:loss`, `wifi:down`, `profile:curly-quotes`, `trait:card_capacity_bytes`.
    `source` quotes the design's section 5 or the list B2. An empty `not_*` means that this bench can do it; else it
    says why not.
    """

    name: str
    layer: Layer
    does: str
    example: str
    heals: str
    scenario: str
    sign: str
    source: str
    settings: tuple[Setting, ...] = ()
    not_embedded: str = ""
    not_processes: str = ""
    not_board: str = ""

    def reason_against(self, bench: BenchName) -> str:
        """Why this bench can't do it; empty where it can."""
        reasons = {"embedded": self.not_embedded, "processes": self.not_processes, "board": self.not_board}
        return reasons[bench]


def row_of(module_name: str) -> FaultRow:
    """The row of that module."""
    row: FaultRow = import_module(module_name).ROW
    return row


def rows() -> tuple[FaultRow, ...]:
    """Every fault, by layer, then in the order of the catalogue; the template is none."""
    found = [row_of(entry.split(":")[0]) for name, entry in CATALOGUE.items() if name != TEMPLATE]
    return tuple(sorted(found, key=lambda row: LAYERS.index(row.layer)))


def row_named(name: str) -> FaultRow:
    """Raises UnknownFault, which names the nearest one."""
    by_name = {row.name: row for row in rows()}
    if name not in by_name:
        close = get_close_matches(name, by_name, n=1)
        hint = f", did you mean {close[0]!r}?" if close else f"; there are {', '.join(by_name)}"
        raise UnknownFault(f"no fault is called {name!r}{hint}")
    return by_name[name]
