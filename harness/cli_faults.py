"""`wakestorm faults`: the table of everything that can go wrong, and one fault explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from simulator.catalogue import FaultRow


def _names(incomplete: str) -> list[str]:
    from simulator.faults import CATALOGUE

    return [name for name in CATALOGUE if name.startswith(incomplete)]


def faults(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Explain this fault, with an example.", autocompletion=_names),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(metavar="LAYER", help="link, device, fleet, broker, server or database only.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """List everything that can go wrong: what it does, how it heals, which bench can do it.

    \b
    Examples:
      wakestorm faults
      wakestorm faults power_loss
      wakestorm faults --layer link --json
    """
    raise typer.Exit(faults_command(name, layer, as_json=as_json))


def faults_command(name: str | None, layer: str | None, *, as_json: bool) -> int:
    """The table (JSON: one object a line), or one fault explained. Raises UsageError for a name that is none."""
    from harness.errors import UsageError, did_you_mean
    from harness.jsonable import json_line
    from simulator.catalogue import LAYERS, rows

    if layer is not None and layer not in LAYERS:
        raise UsageError(f"--layer {layer}: there is no such layer", hint=did_you_mean(layer, LAYERS))
    if name is not None:
        row = _row(name)
        print(json_line(_data(row)) if as_json else "\n".join(_explained(row)))
        return 0
    found = [row for row in rows() if layer in (None, row.layer)]
    if as_json:
        for row in found:
            print(json_line(_data(row)))
    else:
        _print_table(found)
    return 0


def _row(name: str) -> FaultRow:
    from harness.errors import UsageError
    from simulator.catalogue import UnknownFault, row_named

    try:
        return row_named(name)
    except UnknownFault as error:
        raise UsageError(str(error), hint="`wakestorm faults` lists them all") from None


def _data(row: FaultRow) -> object:
    from harness.fault_table import as_data

    return as_data(row)


def _print_table(found: Sequence[FaultRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    from simulator.catalogue import BENCHES

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("fault", no_wrap=True)
    table.add_column("layer", no_wrap=True)
    table.add_column("what it does", ratio=1)
    table.add_column("on", no_wrap=True)
    for row in found:
        able = ["-" if row.reason_against(bench) else bench[0] for bench in BENCHES]
        table.add_row(row.name, row.layer, row.does, "".join(able))
    console = Console(soft_wrap=False)
    console.print(table)
    benches = ", ".join(f"{bench[0]} {bench}" for bench in BENCHES)
    console.print(f"\n{len(found)} faults; on: {benches}; `wakestorm faults NAME` explains one", highlight=False)


def _explained(row: FaultRow) -> Iterator[str]:
    from simulator.catalogue import BENCHES

    yield f"{row.name} ({row.layer}): {row.does}"
    yield f"  heals     {row.heals}"
    for item in row.settings:
        default = f"default {item.default}" if item.default else "required"
        yield f"  {item.name:<9} {item.unit}, {default}: {item.does}"
    for bench in BENCHES:
        yield f"  {bench:<9} {row.reason_against(bench) or 'yes'}"
    yield f"  source    {row.source}"
    yield f"  proved by {row.scenario}"
    yield "\n" + row.example
