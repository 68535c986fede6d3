"""Builds a folder as ESP-IDF's build leaves it: `flasher_args.json`, images, and the ELF that backtraces decode with.

`esptool elf2image` is run as a program (its licence is GPL).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from firmware_fixtures.esp32s3.elf import described
from firmware_fixtures.esp32s3.partitions import LAYOUT, TABLE_OFFSET, Partition, ota_data, partition_table

HERE: Final = Path(__file__).parent
WITH_RESUME: Final = "3.5.0"
WITHOUT_RESUME: Final = "3.0.0-no-resume"
PROJECT: Final = "esp32s3-cam"
"""`<project>@<version>` is the name of the simulated camera's profile that a virtual board runs."""

BOOTLOADER_OFFSET: Final = 0x0
BOOTLOADER_FILE: Final = "bootloader/bootloader.bin"
TABLE_FILE: Final = "partition_table/partition-table.bin"
OTA_DATA_FILE: Final = "ota_data_initial.bin"
SETTINGS: Final = {"flash_mode": "dio", "flash_size": "8MB", "flash_freq": "80m"}


class BuildFailed(Exception):
    """esptool could not make an image; the text is what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to build. `assets_bytes` makes the app larger; it compresses to about half."""

    version: str = WITH_RESUME
    project: str = PROJECT
    assets_bytes: int = 0
    layout: tuple[Partition, ...] = LAYOUT
    slot: str = "ota_0"
    ota_sequence: int = 0


@dataclass(frozen=True, slots=True)
class FirmwareSet:
    """A folder that `wakestorm flash --firmware` takes."""

    folder: Path
    order: Order
    elf_sha256: str

    @property
    def app(self) -> Path:
        """The app's image."""
        return self.folder / f"{self.order.project}.bin"

    @property
    def elf(self) -> Path:
        """The app's ELF file, whose SHA-256 the image and the boot log carry."""
        return self.folder / f"{self.order.project}.elf"

    @property
    def bootloader(self) -> Path:
        """The second stage bootloader's image."""
        return self.folder / BOOTLOADER_FILE

    @property
    def table(self) -> Path:
        """The partition table."""
        return self.folder / TABLE_FILE


def build(order: Order, folder: Path) -> FirmwareSet:
    """Writes the set into the folder, making it. The same order gives the same bytes with the same esptool."""
    for part in ("bootloader", "partition_table"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    elf = described(
        (HERE / "camera.elf").read_bytes(),
        version=order.version,
        project=order.project,
        assets_bytes=order.assets_bytes,
    )
    made = FirmwareSet(folder, order, hashlib.sha256(elf).hexdigest())
    made.elf.write_bytes(elf)
    image_of(HERE / "bootloader.elf", made.bootloader)
    image_of(made.elf, made.app, "--elf-sha256-offset", "0xb0", "--max-rev-full", "99")
    made.table.write_bytes(partition_table(order.layout))
    (folder / OTA_DATA_FILE).write_bytes(ota_data(order.ota_sequence))
    told = flasher_args(order)
    (folder / "flasher_args.json").write_text(json.dumps(told, indent=4) + "\n", encoding="utf-8")
    lines = [" ".join(told["write_flash_args"]), *(f"{offset} {file}" for offset, file in told["flash_files"].items())]
    (folder / "flash_args").write_text("\n".join(lines) + "\n", encoding="utf-8")  # for `esptool ... @flash_args`
    return made


def image_of(elf: Path, image: Path, *options: str, chip: str = "esp32s3") -> None:
    """One ELF file to one flash image. Raises BuildFailed."""
    settings = [word for key, value in SETTINGS.items() for word in ("--" + key.replace("_", "-"), value)]
    command = [sys.executable, "-m", "esptool", "--chip", chip, "elf2image", *settings, *options, "-o"]
    ended = subprocess.run(
        [*command, str(image.absolute()), str(elf.absolute())],
        capture_output=True,
        text=True,
        check=False,
        cwd=image.parent,  # an esptool.cfg where the user stands is none of ours
    )
    if ended.returncode or not image.is_file():
        raise BuildFailed(((ended.stderr or ended.stdout).strip().splitlines() or ["it said nothing"])[-1])


def flasher_args(order: Order) -> dict[str, Any]:
    """The content of `flasher_args.json`, as ESP-IDF 5 writes it."""
    offsets = {partition.name: partition.offset for partition in order.layout}
    places = {
        "bootloader": (BOOTLOADER_OFFSET, BOOTLOADER_FILE),
        "partition-table": (TABLE_OFFSET, TABLE_FILE),
        "otadata": (offsets["otadata"], OTA_DATA_FILE),
        "app": (offsets[order.slot], f"{order.project}.bin"),
    }
    return {
        "write_flash_args": [word for key, value in SETTINGS.items() for word in (f"--{key}", value)],
        "flash_settings": dict(SETTINGS),
        "flash_files": {hex(offset): file for offset, file in sorted(places.values())},
        **{
            name: {"offset": hex(offset), "file": file, "encrypted": "false"} for name, (offset, file) in places.items()
        },
        "extra_esptool_args": {"after": "hard_reset", "before": "default_reset", "stub": True, "chip": "esp32s3"},
    }
