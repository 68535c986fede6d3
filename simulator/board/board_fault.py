"""What can go wrong with a board, as frozen data: on the serial line, with its straps, in its flash. Pure.

A fault is written `kind`, `kind:command:nth` or `kind:address`: `lost-reply:flash_defl_data:3`, `worn-sector:0x20000`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from simulator.board.protocol import Op


class FaultKind(StrEnum):
    """The kinds; each says what it strikes in `_MEANINGS`."""

    LOST_REPLY = "lost-reply"
    ERROR_STATUS = "error-status"
    BAD_MD5 = "bad-md5"
    NOISE = "noise"
    PANIC = "panic"
    UNPLUG = "unplug"
    BAUD_MISMATCH = "baud-mismatch"
    STUCK_IN_DOWNLOAD = "stuck-in-download"
    NO_DOWNLOAD = "no-download"
    WORN_SECTOR = "worn-sector"
    CORRUPT_IMAGE = "corrupt-image"


MEANINGS: Final[dict[FaultKind, str]] = {
    FaultKind.LOST_REPLY: "a command is carried out, its answer never arrives",
    FaultKind.ERROR_STATUS: "a command is refused with an error status",
    FaultKind.BAD_MD5: "the chip answers with a wrong MD5 of its flash",
    FaultKind.NOISE: "stray bytes before an answer",
    FaultKind.PANIC: "a panic's text instead of an answer",
    FaultKind.UNPLUG: "the port vanishes",
    FaultKind.BAUD_MISMATCH: "the line runs at another speed than was agreed",
    FaultKind.STUCK_IN_DOWNLOAD: "the boot strap is held low: every reset ends in the loader",
    FaultKind.NO_DOWNLOAD: "the boot strap never gets low: the loader can't be reached",
    FaultKind.WORN_SECTOR: "a sector that doesn't erase any more",
    FaultKind.CORRUPT_IMAGE: "a bit of the flash flips before the next start",
}

OF_COMMANDS: Final = frozenset(
    {FaultKind.LOST_REPLY, FaultKind.ERROR_STATUS, FaultKind.NOISE, FaultKind.PANIC, FaultKind.UNPLUG}
)
OF_ADDRESSES: Final = frozenset({FaultKind.WORN_SECTOR, FaultKind.CORRUPT_IMAGE})


class UnknownBoardFault(ValueError):
    """The text names no fault; it says what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFault:
    """One fault. `nth` counts the commands `op` from 1; without `op`, all commands."""

    kind: FaultKind
    op: Op | None = None
    nth: int = 1
    address: int = 0

    @property
    def text(self) -> str:
        """As `parse` reads it."""
        if self.kind in OF_COMMANDS:
            return f"{self.kind}:{'any' if self.op is None else self.op.name.lower()}:{self.nth}"
        if self.kind in OF_ADDRESSES:
            return f"{self.kind}:{self.address:#x}"
        return f"{self.kind}:{self.nth}" if self.kind is FaultKind.BAD_MD5 else str(self.kind)


def parse(text: str) -> BoardFault:
    """Raises UnknownBoardFault."""
    name, *rest = text.strip().split(":")
    try:
        kind = FaultKind(name)
    except ValueError:
        close = get_close_matches(name, [kind.value for kind in FaultKind], n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(FaultKind)}"
        raise UnknownBoardFault(f"no board fault {name!r}; {hint}") from None
    try:
        if kind in OF_ADDRESSES and len(rest) == 1:
            return BoardFault(kind=kind, address=int(rest[0], 0))
        if kind in OF_COMMANDS and len(rest) in (1, 2):
            op = None if rest[0] == "any" else Op[rest[0].upper()]
            return BoardFault(kind=kind, op=op, nth=int(rest[1]) if len(rest) == 2 else 1)
        if kind is FaultKind.BAD_MD5 and len(rest) <= 1:
            return BoardFault(kind=kind, nth=int(rest[0]) if rest else 1)
    except (KeyError, ValueError) as error:
        raise UnknownBoardFault(f"{text}: {error} is neither a command nor a number; {_form(kind)}") from None
    if rest or kind in OF_ADDRESSES | OF_COMMANDS:
        raise UnknownBoardFault(f"{text}: {_form(kind)}")
    return BoardFault(kind=kind)


def _form(kind: FaultKind) -> str:
    if kind in OF_ADDRESSES:
        return f"write {kind}:ADDRESS, as in {kind}:0x20000"
    if kind in OF_COMMANDS:
        return f"write {kind}:COMMAND[:NTH], as in {kind}:flash_defl_data:3; COMMAND may be `any`"
    return f"write {kind}[:NTH]" if kind is FaultKind.BAD_MD5 else f"write {kind} alone"


@dataclass(slots=True)
class ArmedBoardFaults:
    """The faults of one board, and how many commands of each kind it has seen."""

    faults: list[BoardFault] = field(default_factory=list)
    _seen: dict[int | None, int] = field(default_factory=dict)

    def arm(self, fault: BoardFault) -> None:
        """Counting starts now for the whole board."""
        self.faults.append(fault)
        self._seen.clear()

    def heal(self) -> None:
        """Nothing is wrong any more."""
        self.faults.clear()
        self._seen.clear()

    def has(self, kind: FaultKind) -> bool:
        return any(fault.kind is kind for fault in self.faults)

    def take(self, kind: FaultKind) -> list[BoardFault]:
        """The faults of that kind, which are then spent."""
        taken = [fault for fault in self.faults if fault.kind is kind]
        self.faults = [fault for fault in self.faults if fault.kind is not kind]
        return taken

    def strike(self, op: int) -> BoardFault | None:
        """The fault that this command meets, which is then spent."""
        for key in (op, None):
            self._seen[key] = self._seen.get(key, 0) + 1
        for fault in self.faults:
            is_md5 = fault.kind is FaultKind.BAD_MD5
            wanted = Op.SPI_FLASH_MD5 if is_md5 else fault.op
            is_met = (fault.kind in OF_COMMANDS or is_md5) and wanted in (None, op)
            if is_met and self._seen[wanted] == fault.nth:
                self.faults.remove(fault)
                return fault
        return None
