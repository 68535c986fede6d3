"""`wakestorm boards`: what is plugged in, what the inventory knows, and what is wrong with each board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from harness.dut.inventory import BoardEntry

boards = typer.Typer(
    name="boards",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The boards of this desk: find them, list them, look what is wrong with them.",
)

BoardsFile = Annotated[
    Path,
    typer.Option(
        "--boards", metavar="FILE", envvar="WAKESTORM_BOARDS", show_envvar=True, help="The inventory of boards."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, a line for each.")]
INVENTORY = Path("boards.yaml")


@boards.command()
def scan(
    file: BoardsFile = INVENTORY,
    merge: Annotated[
        bool, typer.Option("--merge", help="Add what is new to the file; what stands there stays.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the serial ports, and which board each is. Opens none of them.

    \b
    Examples:
      wakestorm boards scan
      wakestorm boards scan --merge
    """
    from harness.dut.finding import system_ports
    from harness.dut.inventory import load_inventory
    from harness.dut.scanning import merged, sightings, write_atomically
    from harness.jsonable import json_line

    inventory = load_inventory(file) if file.exists() else None
    found = sightings(inventory, system_ports())
    for sighting in found:
        port = sighting.port
        if as_json:
            fields = {name: getattr(port, name) for name in ("device", "vid_pid", "serial_number", "usb_path", "kind")}
            print(json_line({**fields, "mac": port.mac, "board": sighting.board_id}))
        else:
            words = [port.vid_pid or "", port.serial_number or "", port.usb_path or "", port.kind]
            print(
                "  ".join(
                    [
                        port.device,
                        sighting.board_id or ("(new)" if port.vid_pid else "(no USB)"),
                        *(word for word in words if word),
                    ]
                )
            )
    if not found and not as_json:
        print("no serial port is there")
    if merge:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        result, added = merged(text, found, str(file))
        if added:
            write_atomically(file, result)
        typer.echo(f"{file}: {', '.join(added) + ' added' if added else 'nothing to add'}", err=True)


@boards.command(name="ls")
def list_boards(file: BoardsFile = INVENTORY, as_json: AsJson = False) -> None:
    """List the inventory: id, kind, port, who holds it.

    \b
    Examples:
      wakestorm boards ls
      wakestorm boards ls --json
    """
    from harness.dut.finding import system_ports
    from harness.dut.inventory import load_inventory
    from harness.jsonable import json_line

    ports = system_ports()
    rows = [_row(board_id, entry, ports) for board_id, entry in load_inventory(file).boards.items()]
    if as_json:
        for row in rows:
            print(json_line(row))
        return
    width = max((len(row["id"]) for row in rows), default=0)
    for row in rows:
        words = [row["id"].ljust(width), row["kind"].ljust(9), row["port"] or f"({row['problem'] or 'no port'})"]
        words += ["disabled"] if not row["enabled"] else []
        words += [f"held by {row['held_by']}"] if row["held_by"] else []
        print("  ".join(words + ([row["notes"]] if row["notes"] else [])))


def _row(board_id: str, entry: BoardEntry, ports: list[Any]) -> dict[str, Any]:
    from harness.dut.board_lock import holder_of
    from harness.dut.finding import BoardNotFound, port_of

    port, problem = None, None
    if entry.kind != "simulated":
        try:
            port = port_of(board_id, entry, ports)
        except BoardNotFound as error:
            problem = error.message
    holder = holder_of(port) if port else None
    return {
        "id": board_id,
        "kind": entry.kind,
        "chip": entry.chip,
        "port": port,
        "problem": problem,
        "enabled": entry.enabled,
        "held_by": str(holder) if holder else None,
        "notes": entry.notes,
    }
