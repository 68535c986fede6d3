"""`wakestorm firmware`: a folder of ESP32-S3 images without ESP-IDF."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

ASSETS_MAX_BYTES: Final = 1_900_000
"""What the app's partition has room for beside the code."""


def firmware(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the images go.")],
    version: Annotated[
        str, typer.Option(metavar="TEXT", help="3.5.0 resumes transfers, 3.0.0-no-resume does not.")
    ] = "3.5.0",
    assets: Annotated[str, typer.Option(metavar="SIZE", help="Makes the app larger by this.")] = "0B",
    damage: Annotated[
        str | None, typer.Option(metavar="KIND", help="Break it, such as bad-hash (docs/boards.md).")
    ] = None,
) -> None:
    """Build a set of ESP32-S3 images without ESP-IDF, for virtual boards and for trying `flash`.

    \b
    Examples:
      wakestorm firmware build-3.5.0
      wakestorm firmware build-bad --damage bad-checksum
    """
    from firmware_fixtures.esp32s3.build import BuildFailed
    from harness.errors import BenchUnavailable, UsageError

    try:
        _build(folder, version, assets, damage)
    except BuildFailed as error:
        raise BenchUnavailable(f"esptool could not make the images: {error}") from error
    except ValueError as error:
        raise UsageError(str(error), hint=getattr(error, "hint", None)) from error


def _build(folder: Path, version: str, assets: str, damage: str | None) -> None:
    from firmware_fixtures.esp32s3.build import Order, build
    from firmware_fixtures.esp32s3.damage import DAMAGES
    from harness.errors import UsageError, did_you_mean
    from harness.units import parse_size_bytes

    assets_bytes = parse_size_bytes(assets)
    if assets_bytes > ASSETS_MAX_BYTES:
        raise UsageError(f"--assets: {assets} does not fit into the app's partition", hint="at most 1900kB")
    if damage is not None and damage not in DAMAGES:
        raise UsageError(f"--damage: {damage!r} is not known", hint=did_you_mean(damage, tuple(DAMAGES)))
    if folder.exists() and not (folder / "flasher_args.json").exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty and holds no firmware", hint="name a new folder")
    made = build(Order(version=version, assets_bytes=assets_bytes), folder)
    print(f"{folder}: {made.order.project} {version}, ELF SHA-256 {made.elf_sha256[:16]}")
    if damage is not None:
        DAMAGES[damage](made)
        print(f"{damage}: {(DAMAGES[damage].__doc__ or '').splitlines()[0]}")
