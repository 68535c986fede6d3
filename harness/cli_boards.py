"""`wakestorm boards`: what is plugged in, what the inventory knows, and what is wrong with each board."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli_choices import BoardsFile

if TYPE_CHECKING:
    from harness.dut.doctor import Diagnosis
    from harness.dut.inventory import BoardEntry

boards = typer.Typer(
    name="boards",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The boards of this desk: find them, list them, look what is wrong with them.",
)

AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, a line for each.")]
INVENTORY = Path("boards.yaml")


@boards.command()
def scan(
    file: BoardsFile = INVENTORY,
    merge: Annotated[
        bool, typer.Option("--merge", help="Add what is new to the file, or make it; what stands there stays.")
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
    width = max((len(sighting.port.device) for sighting in found), default=0)
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
                        port.device.ljust(width),
                        sighting.board_id or ("(new)" if port.vid_pid else "(no USB)"),
                        *(word for word in words if word),
                    ]
                )
            )
    if not found and not as_json:
        print("no serial port is there")
    if merge:
        is_new = not file.exists()
        text = "" if is_new else file.read_text(encoding="utf-8")
        result, added = merged(text, found, str(file))
        if result != text:
            write_atomically(file, result)
        nothing = "made, without boards: nothing is plugged in on USB" if is_new else "nothing new on USB"
        typer.echo(f"{file}: {', '.join(added) + ' added' if added else nothing}", err=True)


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
    if not rows:
        typer.echo(f"{file}: no boards yet; `wakestorm boards scan --merge` adds what is plugged in", err=True)
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


@boards.command()
def doctor(
    names: Annotated[list[str] | None, typer.Argument(metavar="BOARD", help="Ids; without: all enabled.")] = None,
    file: BoardsFile = INVENTORY,
    as_json: AsJson = False,
) -> None:
    """Look what is wrong with boards, and say how to mend it. Resets each board.

    Port, permission, who has it open, lock, loader, chip, MAC, flash size, console, boot. Exit code 1: a problem.

    \b
    Examples:
      wakestorm boards doctor
      wakestorm boards doctor yard-1 --json
    """
    from concurrent.futures import ThreadPoolExecutor

    from harness.dut.doctor import examine
    from harness.dut.finding import system_ports
    from harness.dut.inventory import load_inventory
    from harness.errors import UsageError

    inventory = load_inventory(file)
    chosen = [(name, inventory.board(name)) for name in names or ()]
    chosen = chosen or [(name, entry) for name, entry in inventory.boards.items() if entry.enabled]
    if not chosen:
        raise UsageError(f"{file} has no enabled board", hint="set enabled: true, or name a board")
    ports = system_ports()
    with ThreadPoolExecutor(max(1, len(chosen))) as executor:
        diagnoses = list(executor.map(lambda one: examine(one[0], one[1], ports), chosen))
    for diagnosis in diagnoses:
        _show_diagnosis(diagnosis, as_json=as_json)
    raise typer.Exit(0 if all(diagnosis.is_well for diagnosis in diagnoses) else 1)


def _show_diagnosis(diagnosis: Diagnosis, *, as_json: bool) -> None:
    from harness.jsonable import json_line

    if as_json:
        findings = [
            {"what": one.what, "text": one.text, "blame": one.blame and one.blame.value, "fix": one.fix or None}
            for one in diagnosis.findings
        ]
        print(json_line({"board": diagnosis.board_id, "ok": diagnosis.is_well, "findings": findings}))
        return
    print(f"{'OK  ' if diagnosis.is_well else 'SICK'}  {diagnosis.board_id}")
    for one in diagnosis.findings:
        print(f"  {one.what}: {one.text}" if one.blame is None else f"  {one.what}: {one.blame}: {one.text}")
        if one.fix:
            print(f"    {one.fix}")


class PowerChoice(StrEnum):
    """What to do with a board's power."""

    on = "on"
    off = "off"
    cycle = "cycle"


@boards.command()
def power(
    name: Annotated[str, typer.Argument(metavar="BOARD", help="An id of the inventory.")],
    what: Annotated[PowerChoice, typer.Argument(metavar="on|off|cycle", help="cycle: off, then on.")],
    file: BoardsFile = INVENTORY,
) -> None:
    """Switch a board's power by what `power:` of the inventory names.

    \b
    Examples:
      wakestorm boards power yard-1 cycle
    """
    from harness.dut.inventory import load_inventory
    from harness.dut.power import power_switch
    from harness.errors import UsageError

    entry = load_inventory(file).board(name)
    if entry.power.type == "lines":
        raise UsageError(f"{name} is held by RTS, which lasts only while its port is open", hint="use it in a scenario")
    switch = power_switch(name, entry.power)
    if switch is None:
        raise UsageError(f"{name} has no power switch", hint="give power: in the inventory")
    if what is not PowerChoice.on:
        switch.off()
    if what is not PowerChoice.off:
        switch.on()
