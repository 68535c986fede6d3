"""A panic on the console: its backtrace, and what the program's symbols make of it. Pure, on pyelftools.

The panic handler of ESP-IDF prints `Backtrace: pc:sp pc:sp ...` and `ELF file SHA256: ` with the first digits of the
program's hash, by which `symbols` finds the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

_BACKTRACE: Final = re.compile(r"\bBacktrace:\s*((?:0x[0-9a-fA-F]{8}:0x[0-9a-fA-F]{8}\s*)+)")
_FRAME: Final = re.compile(r"0x([0-9a-fA-F]{8}):0x[0-9a-fA-F]{8}")
_SHA: Final = re.compile(r"ELF file SHA256:\s*([0-9a-f]{8,64})")
_CAUSE: Final = re.compile(r"Guru Meditation Error: Core\s+(\d) panic'ed \(([^)]+)\)|(abort\(\) was called at PC \S+)")
_REGION_MASK: Final = 0x3FFF_FFFF
_REGION_CODE: Final = 0x4000_0000
"""The two highest bits of a windowed return address are the size of its window."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One level of a backtrace; `function` and `line` are empty where the symbols don't know."""

    address: int
    function: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        where = f" at {self.file}:{self.line}" if self.file else ""
        return f"0x{self.address:08x}: {self.function or '??'}{where}"


@dataclass(slots=True)
class Panic:
    """What a panic said, as far as it has come."""

    cause: str = ""
    addresses: tuple[int, ...] = ()
    elf_sha256: str = ""

    @property
    def is_whole(self) -> bool:
        """Backtrace and hash are there."""
        return bool(self.addresses and self.elf_sha256)


@dataclass(slots=True)
class PanicReader:
    """Finds panics in a row of lines."""

    _panic: Panic = field(default_factory=Panic)

    def feed(self, line: str) -> Panic | None:
        """The panic that this line makes whole."""
        panic = self._panic
        if found := _CAUSE.search(line):
            self._panic = Panic(found[3] or f"core {found[1]}: {found[2]}")
        elif found := _BACKTRACE.search(line):
            panic.addresses = tuple(int(frame[1], 16) for frame in _FRAME.finditer(found[1]))
        elif found := _SHA.search(line):
            panic.elf_sha256 = found[1]
        if panic.is_whole and panic is self._panic:
            self._panic = Panic()
            return panic
        return None


def panics_in(lines: Iterable[str]) -> list[Panic]:
    """Every whole panic of a log."""
    reader = PanicReader()
    return [panic for line in lines if (panic := reader.feed(line)) is not None]


def decoded(addresses: Sequence[int], elf: bytes) -> list[Frame]:
    """The frames of a backtrace by the program's own symbols and line table. Raises elftools' ELFError."""
    from elftools.elf.elffile import ELFFile

    image = ELFFile(BytesIO(elf))
    functions = _functions(image)
    rows = _line_rows(image)
    frames = []
    for index, raw in enumerate(addresses):
        address = (raw & _REGION_MASK) | _REGION_CODE
        looked_at = address if index == 0 else address - 1  # a return address stands behind its call
        file, line = _line_of(rows, looked_at)
        frames.append(Frame(address, _function_of(functions, looked_at), file, line))
    return frames


def _functions(image: ELFFile) -> list[tuple[int, int, str]]:
    """(start, end, name), sorted."""
    table: Any = image.get_section_by_name(".symtab")
    if table is None:
        return []
    found = [
        (symbol["st_value"], symbol["st_value"] + symbol["st_size"], symbol.name)
        for symbol in table.iter_symbols()
        if symbol["st_info"]["type"] == "STT_FUNC"
    ]
    return sorted(found)


def _function_of(functions: list[tuple[int, int, str]], address: int) -> str:
    return next((name for start, end, name in functions if start <= address < max(end, start + 1)), "")


def _line_rows(image: ELFFile) -> list[tuple[int, int, str, int]]:
    """(start, end, file, line) of every row of the line tables."""
    if not image.has_dwarf_info():
        return []
    dwarf: Any = image.get_dwarf_info()
    rows: list[tuple[int, int, str, int]] = []
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        before: Any = None
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            if before is not None and before.address < state.address:
                rows.append((before.address, state.address, _file_of(program, before.file), before.line))
            before = None if state.end_sequence else state
    return rows


def _file_of(program: Any, number: int) -> str:
    files = program["file_entry"]
    index = number if program["version"] >= 5 else number - 1
    if not 0 <= index < len(files):
        return ""
    return str(files[index].name.decode("utf-8", "replace"))


def _line_of(rows: list[tuple[int, int, str, int]], address: int) -> tuple[str, int]:
    return next(((file, line) for start, end, file, line in rows if start <= address < end), ("", 0))
