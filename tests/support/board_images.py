"""Images, tables and settings as they lie in an ESP32-S3's flash, packed by hand: a second opinion on the builder."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ELF_SHA256: Final = hashlib.sha256(b"an ELF").hexdigest()
NVS, OTA_DATA, OTA_0, OTA_1 = 0x9000, 0xF000, 0x20000, 0x60000
SLOT_BYTES: Final = 0x40000
CODE_ADDRESS: Final = 0x4200_0020
CHAINS: Final = {"panic": (0x4200_0100, 0x4200_0200), "watchdog": (0x4200_0300,), "abort": (0x4200_0400,)}
TRACES: Final = (
    b"WSTRACE\0"
    + struct.pack("<II", len(CHAINS), 2)
    + b"".join(
        struct.pack("<12sI2I", reason.encode(), len(chain), *chain, *(0,) * (2 - len(chain)))
        for reason, chain in CHAINS.items()
    )
)


def image(
    segments: Sequence[tuple[int, bytes]], *, entry: int = 0x4037_4000, chip: int = 9, hashed: bool = True
) -> bytes:
    """An image of (address, data): header, segments, checksum at the end of a 16-byte line, SHA-256."""
    raw = struct.pack("<BBBBI", 0xE9, len(segments), 2, 0x3F, entry)
    raw += struct.pack("<B3sHBHH4sB", 0xEE, bytes(3), chip, 0, 0, 99, bytes(4), hashed)
    xor = 0xEF
    for address, data in segments:
        raw += struct.pack("<II", address, len(data)) + data
        for byte in data:
            xor ^= byte
    raw += bytes(15 - len(raw) % 16) + bytes([xor])
    return raw + hashlib.sha256(raw).digest() if hashed else raw


def bootloader(**options: int) -> bytes:
    """A second stage that says which ESP-IDF made it."""
    description = struct.pack("<B3sI32s24s16s", 80, bytes(3), 1, b"v5.4.1", b"Nov 21 2026 09:20:00", bytes(16))
    return image(
        [(0x3FCE_2820, description.ljust(256, b"\0")), (0x403C_8700, bytes(512))], entry=0x403C_8908, **options
    )


def app(
    project: str = "esp32s3-cam", version: str = "3.5.0", *, offset: int = OTA_0, chip: int = 9, size: int = 0
) -> bytes:
    """An app for the slot at `offset`: description and call chains, RAM, code that is mapped."""
    description = struct.pack(
        "<II8s32s32s16s16s32s32s80s",
        0xABCD_5432,
        0,
        bytes(8),
        version.encode(),
        project.encode(),
        b"09:20:00",
        b"Nov 21 2026",
        b"v5.4.1",
        bytes.fromhex(ELF_SHA256),
        bytes(80),
    )
    rodata = (description + TRACES).ljust(512, b"\0")
    before = 24 + 8 + len(rodata) + 8 + 64 + 8
    padding = (CODE_ADDRESS - before - 8) % 0x1_0000
    return image(
        [(0x3C00_0020, rodata), (0x4037_4000, bytes(64)), (0, bytes(padding)), (CODE_ADDRESS, bytes(max(1024, size)))],
        chip=chip,
    )


def table(rows: Sequence[tuple[str, int, int, int, int]]) -> bytes:
    """A partition table of (label, type, subtype, offset, size), with its MD5."""
    raw = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subtype, offset, size, label.encode(), 0)
        for label, kind, subtype, offset, size in rows
    )
    return (raw + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(raw).digest()).ljust(0xC00, b"\xff")


TWO_SLOTS: Final = (
    ("nvs", 1, 2, NVS, 0x6000),
    ("otadata", 1, 0, OTA_DATA, 0x2000),
    ("ota_0", 0, 0x10, OTA_0, SLOT_BYTES),
    ("ota_1", 0, 0x11, OTA_1, SLOT_BYTES),
)


@cache
def _nvs(csv: str) -> bytes:
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "nvs.csv"), Path(folder, "nvs.bin")
        source.write_text(csv, encoding="utf-8")
        subprocess.run(
            [sys.executable, "-m", "esp_idf_nvs_partition_gen", "generate", str(source), str(target), "0x6000"],
            check=True,
            capture_output=True,
        )
        return target.read_bytes()


def nvs(values: Mapping[str, str | int], namespace: str = "wakestorm") -> bytes:
    """A storage made by Espressif's own generator."""
    rows = ["key,type,encoding,value", f"{namespace},namespace,,"]
    for key, value in values.items():
        encoding = "string" if isinstance(value, str) else "u16" if key == "broker_port" else "u32"
        quoted = '"' + value.replace('"', '""') + '"' if isinstance(value, str) else value
        rows.append(f"{key},data,{encoding},{quoted}")
    return _nvs("\n".join(rows) + "\n")


def flash_of(parts: Mapping[int, bytes], size_bytes: int = 1 << 20) -> bytearray:
    """A flash with these bytes at these offsets."""
    cells = bytearray(b"\xff" * size_bytes)
    for offset, data in parts.items():
        cells[offset : offset + len(data)] = data
    return cells


def flashed(settings: Mapping[str, str | int] | None = None, **more: bytes) -> dict[int, bytes]:
    """A bootable set: one app in slot 0; `app_0`, `app_1`, `table`, `bootloader` replace or add parts."""
    parts = {
        0: more.get("bootloader", bootloader()),
        0x8000: more.get("table", table(TWO_SLOTS)),
        OTA_0: more.get("app_0", app()),
    }
    if "app_1" in more:
        parts[OTA_1] = more["app_1"]
    if "ota_data" in more:
        parts[OTA_DATA] = more["ota_data"]
    if settings is not None:
        parts[NVS] = nvs(settings)
    return parts


def firmware_folder(folder: Path, settings: Mapping[str, str | int] | None = None) -> Path:
    """A build folder with its `flasher_args.json`, as ESP-IDF leaves one."""
    folder.mkdir()
    files = {}
    for offset, data in flashed(settings).items():
        files[hex(offset)] = f"{offset:x}.bin"
        (folder / f"{offset:x}.bin").write_bytes(data)
    content = {
        "write_flash_args": ["--flash_mode", "dio", "--flash_size", "8MB", "--flash_freq", "80m"],
        "flash_settings": {"flash_mode": "dio", "flash_size": "8MB", "flash_freq": "80m"},
        "flash_files": files,
        "app": {"offset": "0x20000", "file": "20000.bin", "encrypted": "false"},
        "extra_esptool_args": {"after": "hard_reset", "before": "default_reset", "stub": True, "chip": "esp32s3"},
    }
    (folder / "flasher_args.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
