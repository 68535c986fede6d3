"""What is plugged in against what `boards.yaml` knows: new ports become entries, everything a person wrote stays.

Text is only ever added, so comments and order survive; the result is read back before the file is replaced.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.dut.finding import NATIVE_USB, SystemPort, matches
from harness.dut.inventory import Inventory, inventory_of
from harness.errors import UsageError

NEW_FILE: Final = """\
# Boards of this desk; docs/boards.md explains every key.
version: 1
boards: {}
# Boards stand here in place of {}, such as a virtual one of `wakestorm board --pty /tmp/cam`:
#  desk: {kind: virtual, match: {port: /tmp/cam}}
"""
_TOP_KEY: Final = re.compile(r"^boards:\s*(\{\s*\})?\s*(#.*)?$")


@dataclass(frozen=True, slots=True)
class Sighting:
    """One port, and the board of the inventory that it is; None for a stranger."""

    port: SystemPort
    board_id: str | None


def sightings(inventory: Inventory | None, ports: Iterable[SystemPort]) -> list[Sighting]:
    """Every port with its board. A port that two entries match belongs to the first."""
    boards = inventory.boards if inventory else {}
    return [
        Sighting(
            port,
            next((name for name, entry in boards.items() if entry.match and matches(entry.match, port)), None),
        )
        for port in ports
    ]


def entry_text(board_id: str, port: SystemPort) -> str:
    """The lines of a new entry, indented by two; disabled, since a port is not yet a camera."""
    match = [f'mac: "{port.mac}"'] if port.mac else []
    if not match and port.serial_number and not re.fullmatch(r"0*1?", port.serial_number):
        match.append(f'serial_number: "{port.serial_number}"')  # 0001 stands on every second cheap bridge
    if port.vid_pid and port.vid_pid != NATIVE_USB:
        match.append(f'vid_pid: "{port.vid_pid}"')
    if port.usb_path and len(match) < 2 and not port.mac:
        match.append(f'usb_path: "{port.usb_path}"')
    if not match:
        match.append(f'port: "{port.device}"')
    return (
        f"  {board_id}:\n"
        f"    kind: board\n"
        f"    match: {{{', '.join(match)}}}\n"
        f"    enabled: false  # set to true when this is a camera\n"
        f'    notes: "{port.kind}, seen on {port.device}"\n'
    )


def new_id(port: SystemPort, taken: Iterable[str]) -> str:
    """A free id that says a little: the end of the MAC or serial number, else the name of the device."""
    mark = (port.mac or port.serial_number or "")[-4:] or Path(port.device).name
    base = "board-" + (re.sub(r"[^a-z0-9]+", "-", mark.lower()).strip("-") or "new")
    known = set(taken)
    numbered = (base if number == 1 else f"{base}-{number}" for number in range(1, len(known) + 2))
    return next(name for name in numbered if name not in known)


def merged(text: str, found: Sequence[Sighting], file: str) -> tuple[str, list[str]]:
    """The text with an entry for every stranger on USB, and the new ids. Nothing becomes an inventory without boards.

    Raises ScenarioError or UsageError.
    """
    text = text if text.strip() else NEW_FILE
    taken = list(inventory_of(text.encode(), file).boards)
    added: list[str] = []
    entries = ""
    for sighting in found:
        if sighting.board_id is None and sighting.port.vid_pid is not None:
            board_id = new_id(sighting.port, taken)
            taken.append(board_id)
            added.append(board_id)
            entries += entry_text(board_id, sighting.port)
    if not added:
        return text, []
    result = _with_entries(text, entries, file)
    read_back = inventory_of(result.encode(), file)
    if any(board_id not in read_back.boards for board_id in added):
        raise UsageError(f"{file} is written in a way that nothing can be added to", hint="put each board on own lines")
    return result, added


def write_atomically(path: Path, text: str) -> None:
    """The file is the old one or the new one, whatever happens."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    if path.exists():
        beside.chmod(path.stat().st_mode)
    beside.replace(path)


def _with_entries(text: str, entries: str, file: str) -> str:
    """The entries at the end of the block of `boards:`, indented as the others are."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    top = next((number for number, line in enumerate(lines) if _TOP_KEY.match(line.rstrip("\n"))), None)
    if top is None:
        raise UsageError(f"{file}: `boards:` does not stand on a line of its own", hint="write one board a line")
    lines[top] = re.sub(r"\s*\{\s*\}", "", lines[top])
    end = top + 1
    indent = 0
    for number in range(top + 1, len(lines)):
        line = lines[number]
        if line.strip() and not line.startswith((" ", "#")):
            break
        if line.strip() and line.startswith(" "):
            indent = indent or (0 if line.lstrip().startswith("#") else len(line) - len(line.lstrip()))
            end = number + 1
    shifted = "".join(" " * (indent or 2) + line[2:] for line in entries.splitlines(keepends=True))
    return "".join([*lines[:end], shifted, *lines[end:]])
