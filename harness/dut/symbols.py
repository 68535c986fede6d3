"""The symbol store: programs with their symbols, by the SHA-256 of the file, which is what a panic names.

A folder with one file each, `<sha256>.elf`; a file is written whole or not at all. Several runs may share it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.dut.panic import Frame, Panic, decoded
from harness.errors import UsageError

VARIABLE: Final = "WAKESTORM_SYMBOLS"
_MAGIC: Final = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class SymbolStore:
    """A folder of ELF files."""

    folder: Path

    def add(self, path: Path) -> str:
        """Keep a copy of this ELF file; returns its SHA-256. Raises UsageError."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path} can not be read: {error.strerror}") from error
        if not data.startswith(_MAGIC):
            raise UsageError(
                f"{path} is no ELF file, it begins with {data[:4].hex(' ') or 'nothing'}",
                hint="of an ESP-IDF build it is build/<project>.elf, not the .bin",
            )
        sha256 = hashlib.sha256(data).hexdigest()
        target = self.folder / f"{sha256}.elf"
        if not target.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = self.folder / f".{sha256}.{os.getpid()}.part"
            draft.write_bytes(data)
            draft.replace(target)
        return sha256

    def names(self) -> list[str]:
        """The hashes of all files, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.elf"))

    def find(self, sha256_prefix: str) -> Path | None:
        """The file whose hash begins so; None where there is none, or more than one."""
        found = [path for path in self.folder.glob(f"{sha256_prefix}*.elf") if sha256_prefix]
        return found[0] if len(found) == 1 else None

    def explain(self, panic: Panic) -> list[str]:
        """The panic's backtrace in words, or why there is none."""
        path = self.find(panic.elf_sha256)
        if path is None:
            return [f"no symbols for ELF {panic.elf_sha256}: `wakestorm symbols add <project>.elf`"]
        return [str(frame) for frame in self.frames(panic, path)]

    @staticmethod
    def frames(panic: Panic, path: Path) -> list[Frame]:
        """The backtrace, by the symbols of that file; bare addresses where it is damaged."""
        from elftools.common.exceptions import ELFError

        try:
            return decoded(panic.addresses, path.read_bytes())
        except ELFError:
            return [Frame(address) for address in panic.addresses]


def symbol_store(environment: Mapping[str, str]) -> SymbolStore:
    """The user's store: WAKESTORM_SYMBOLS, else below XDG_DATA_HOME."""
    named = environment.get(VARIABLE)
    if named:
        return SymbolStore(Path(named))
    data = environment.get("XDG_DATA_HOME")
    base = Path(data) if data else Path.home() / ".local" / "share"
    return SymbolStore(base / "wakestorm" / "symbols")
