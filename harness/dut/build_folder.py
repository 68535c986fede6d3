"""A folder that ESP-IDF's build left, or `wakestorm firmware`: which file goes where, and what is in it.

Images are looked at as they will lie in the flash, before a board is touched: a broken file is no broken board.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import UsageError
from simulator.board.image import AppDescription, BadImage, Image, Segment, read_description, read_image
from simulator.board.partition import TABLE_OFFSET, BadTable, Partition, read_table

ARGUMENTS: Final = "flasher_args.json"
SECTOR_BYTES: Final = 0x1000
FLASH_MB_DEFAULT: Final = 16
DESCRIPTION_AT: Final = 0x20
_APP: Final = 0
_REVISION_AT: Final = 15


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes for one place of the flash. `flaw` says why nothing could boot from them; None for sound ones."""

    name: str
    offset: int
    data: bytes
    path: Path | None = None
    flaw: str | None = None

    @property
    def end(self) -> int:
        """One past the last byte, rounded up to a sector: flash is erased in those."""
        return self.offset + -(-len(self.data) // SECTOR_BYTES) * SECTOR_BYTES

    @property
    def md5(self) -> str:
        """As the chip calculates it."""
        return hashlib.md5(self.data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class BuildFolder:
    """What is to be flashed. `app` is None where the set has no readable app."""

    folder: Path
    chip: str
    regions: tuple[Region, ...]
    partitions: tuple[Partition, ...]
    app: AppDescription | None
    elf: Path | None

    def partition(self, label: str) -> Partition | None:
        """The row of the partition table, by name."""
        return next((row for row in self.partitions if row.label == label), None)

    @property
    def title(self) -> str:
        """Project and version, else the folder."""
        return f"{self.app.project} {self.app.version}" if self.app else str(self.folder)


def read_build_folder(folder: Path) -> BuildFolder:
    """Reads the folder. Raises UsageError with the file that is missing or makes no sense."""
    source = folder / ARGUMENTS
    arguments = _arguments(source)
    try:
        files = {int(offset, 0): folder / str(name) for offset, name in arguments["flash_files"].items()}
        size_mb = _size_mb(arguments.get("flash_settings", {}))
        chip = str(arguments.get("extra_esptool_args", {}).get("chip", "esp32s3"))
        names = {
            str(part["file"]): name for name, part in arguments.items() if isinstance(part, dict) and "file" in part
        }
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(f"{source}: is not what ESP-IDF writes: {error!r}", hint="build the project again") from error
    regions = [
        Region(names.get(path.relative_to(folder).as_posix(), path.stem), offset, _bytes(path), path)
        for offset, path in sorted(files.items())
    ]
    _refuse_overlaps(regions, source, size_mb << 20)
    flash = bytearray(b"\xff" * (size_mb << 20))
    for region in regions:
        flash[region.offset : region.offset + len(region.data)] = region.data
    return _examined(folder, chip, regions, bytes(flash))


def _examined(folder: Path, chip: str, regions: list[Region], flash: bytes) -> BuildFolder:
    """The set with what is in it, and what is wrong with it."""
    table: tuple[Partition, ...] = ()
    table_flaw = None
    try:
        table = read_table(flash)
    except BadTable as error:
        table_flaw = str(error)
    rooms = {row.offset: row.size_bytes for row in table if row.type == _APP}
    found: list[Region] = []
    app, elf = None, None
    for region in regions:
        flaw = table_flaw if region.offset == TABLE_OFFSET else None
        if region.name in ("app", "bootloader") or region.offset in rooms:
            room = rooms.get(region.offset, TABLE_OFFSET if region.name == "bootloader" else len(flash) - region.offset)
            try:
                read_image(flash, region.offset, room, revision=_revision(region.data))
            except BadImage as error:
                flaw = str(error)
        if region.name == "app":
            app = _description(flash, region.offset)
            if region.path is not None and region.path.with_suffix(".elf").is_file():
                elf = region.path.with_suffix(".elf")
        found.append(Region(region.name, region.offset, region.data, region.path, flaw))
    return BuildFolder(folder, chip, tuple(found), table, app, elf)


def _description(flash: bytes, offset: int) -> AppDescription | None:
    """Behind the image's header and that of its first segment, also where the image as a whole is broken."""
    first = Segment(offset + DESCRIPTION_AT, 0, 0)
    return read_description(flash, Image(offset=offset, entry=0, spi_mode=0, size_code=0, segments=(first,), length=0))


def _arguments(source: Path) -> dict[str, Any]:
    try:
        found = json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "name the build folder of an ESP-IDF project, or make one with `wakestorm firmware`"
        raise UsageError(f"{source}: no such file", hint=hint) from None
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{source}: is not JSON: {error}", hint="build the project again") from error
    if not isinstance(found, dict):
        raise UsageError(f"{source}: is not what ESP-IDF writes: no mapping", hint="build the project again")
    return found


def _size_mb(settings: dict[str, str]) -> int:
    match = re.fullmatch(r"(\d+)MB", str(settings.get("flash_size", "")))
    return int(match[1]) if match else FLASH_MB_DEFAULT


def _revision(image: bytes) -> int:
    """The oldest chip that the image runs on; whether this one is older is for esptool to see."""
    return int(struct.unpack_from("<H", image, _REVISION_AT)[0]) if len(image) >= _REVISION_AT + 2 else 0


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        hint = f"{ARGUMENTS} names it; build the project again"
        raise UsageError(f"{path}: {error.strerror}", hint=hint) from error
    if not data:
        raise UsageError(f"{path} is empty", hint="build the project again")
    return data


def _refuse_overlaps(regions: list[Region], source: Path, size_bytes: int) -> None:
    for region, after in zip(regions, [*regions[1:], None], strict=True):
        limit = after.offset if after is not None else size_bytes
        if region.end > limit:
            where = f"in {after.name}" if after is not None else f"behind the flash's {size_bytes >> 20} MB"
            raise UsageError(
                f"{source}: {region.name} at {region.offset:#x} ends at {region.end:#x}, {where}",
                hint="build the project again, or correct the partition table",
            )
