"""docs/faults.md and the texts of `wakestorm faults`, from the rows of the catalogue.

`python -m harness.fault_table` writes the page, `--check` says whether the written one is current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from harness.scenario_schema import ROOT, write_or_check
from simulator.catalogue import BENCHES, LAYERS, FaultRow, rows

PAGE: Final = ROOT / "docs" / "faults.md"

_INTRODUCTION: Final = """\
# Faults

Generated from `simulator/faults` by `make generate`; `wakestorm faults` prints the same table, `wakestorm faults NAME`
explains one. Every fault heals; after the steps of a scenario everything is healed, and every photo must be stored
within two wakes.

Source names the list that asks for the fault. A bench that can't do one refuses the
scenario before it runs and says why.
"""
_TITLES: Final = {
    "link": "Link: between device and broker",
    "device": "Device",
    "fleet": "Fleet",
    "broker": "Broker",
    "server": "Server",
    "database": "Database",
    "store": "Object store",
}


def as_data(row: FaultRow) -> dict[str, Any]:
    """The row as plain data; `benches` says `true`, or why not."""
    data = asdict(row)
    for bench in BENCHES:
        data.pop(f"not_{bench}")
    data["settings"] = [asdict(setting) for setting in row.settings]
    return data | {"benches": {bench: row.reason_against(bench) or True for bench in BENCHES}}


def rendered() -> str:
    """The page; the same at every call."""
    lines = [_INTRODUCTION]
    every = rows()
    for layer in LAYERS:
        found = [row for row in every if row.layer == layer]
        if found:
            lines.append(f"## {_TITLES[layer]}\n")
            lines += _table(found)
            for row in found:
                lines += _section(row)
    return "\n".join(lines).rstrip("\n") + "\n"


def main(arguments: Sequence[str]) -> int:
    """Writes the page, or with `--check` compares it."""
    return write_or_check(PAGE, rendered(), arguments)


def _table(found: Sequence[FaultRow]) -> Iterator[str]:
    yield f"| fault | what it does | {' | '.join(BENCHES)} | source |"
    yield "|---|---|" + "---|" * (len(BENCHES) + 1)
    for row in found:
        marks = " | ".join("no" if row.reason_against(bench) else "yes" for bench in BENCHES)
        yield f"| [`{row.name}`](#{row.name}) | {row.does} | {marks} | {row.source} |"
    yield ""


def _section(row: FaultRow) -> Iterator[str]:
    yield f"### {row.name}\n"
    yield f"{row.does} Heals {row.heals}.\n"
    if row.settings:
        yield "| setting | unit | default | meaning |\n|---|---|---|---|"
        for item in row.settings:
            yield f"| `{item.name}` | {item.unit} | {item.default or 'required'} | {item.does} |"
        yield ""
    yield f"```yaml\n{row.example}\n```\n"
    yield from (f"- Not on {bench}: {why}." for bench in BENCHES if (why := row.reason_against(bench)))
    yield f"- Proved by [{row.scenario.removeprefix('scenarios/')}](../{row.scenario}).\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
