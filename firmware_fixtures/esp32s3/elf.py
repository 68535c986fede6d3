"""Writes a version, a project name and a size into a prebuilt Xtensa ELF file, by its section table."""

from __future__ import annotations

import hashlib
import struct
from typing import Final

DESCRIPTION_SECTION: Final = ".flash.appdesc"
ASSETS_SECTION: Final = ".flash.assets"
VERSION_AT: Final = 16
PROJECT_AT: Final = 48
NAME_BYTES_MAX: Final = 31
"""Version and project are 32 bytes with a closing zero (ESP-IDF, esp_app_desc_t)."""

_HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
_SECTION: Final = struct.Struct("<10I")


def described(elf: bytes, *, version: str, project: str, assets_bytes: int = 0) -> bytes:
    """The same program under another name, and with as many bytes of assets (at least 16, a multiple of 16)."""
    table = _sections(elf)
    at = _SECTION.unpack_from(elf, table[DESCRIPTION_SECTION])[4]
    data = bytearray(elf)
    data[at + VERSION_AT : at + VERSION_AT + 32] = _text(version)
    data[at + PROJECT_AT : at + PROJECT_AT + 32] = _text(project)
    size = max(16, (assets_bytes + 15) // 16 * 16)
    if size > 16:
        header = table[ASSETS_SECTION]
        fields = list(_SECTION.unpack_from(data, header))
        data += bytes(-len(data) % 16)
        fields[4], fields[5] = len(data), size
        _SECTION.pack_into(data, header, *fields)
        data += assets(size, seed=f"{project}@{version}")
    return bytes(data)


def assets(size: int, *, seed: str) -> bytes:
    """Bytes that compress about as firmware does, to half their size; the same for the same seed."""
    noise = hashlib.shake_128(seed.encode()).digest((size + 255) // 256 * 112)
    blocks = (noise[place : place + 112] + bytes(144) for place in range(0, len(noise), 112))
    return b"".join(blocks)[:size]


def _text(value: str) -> bytes:
    encoded = value.encode()
    if len(encoded) > NAME_BYTES_MAX:
        raise ValueError(f"{value!r} has {len(encoded)} bytes, at most {NAME_BYTES_MAX} have room")
    return encoded.ljust(32, b"\0")


def _sections(elf: bytes) -> dict[str, int]:
    """Where the header of each section stands in the file, by name."""
    header = _HEADER.unpack_from(elf)
    table, size, count, names_index = header[6], header[11], header[12], header[13]
    names_at = _SECTION.unpack_from(elf, table + names_index * size)[4]
    found = {}
    for index in range(count):
        place = table + index * size
        start = names_at + _SECTION.unpack_from(elf, place)[0]
        found[elf[start : elf.index(b"\0", start)].decode()] = place
    return found
