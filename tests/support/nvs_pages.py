"""A second reader of NVS partitions, written from ESP-IDF's description of the format, for judging images."""

from __future__ import annotations

import struct
from zlib import crc32

PAGE_BYTES = 4096
NUMBERS = {0x01: "<B", 0x11: "<b", 0x02: "<H", 0x12: "<h", 0x04: "<I", 0x14: "<i", 0x08: "<Q", 0x18: "<q"}
TEXT = 0x21


def entries(image: bytes) -> dict[tuple[str, str], int | str]:
    """(namespace, key) to value, for numbers and texts; every checksum is checked."""
    names: dict[int, str] = {}
    found: list[tuple[int, str, int | str]] = []
    for start in range(0, len(image), PAGE_BYTES):
        page = image[start : start + PAGE_BYTES]
        if page[:4] == b"\xff\xff\xff\xff":
            continue
        assert crc32(page[4:28], 0xFFFFFFFF) == struct.unpack_from("<I", page, 28)[0]
        states = int.from_bytes(page[32:64], "little")
        index = 0
        while index < 126:
            span = 1
            if states >> 2 * index & 0b11 == 0b10:
                entry = page[64 + 32 * index : 96 + 32 * index]
                namespace, kind, span, _, crc = struct.unpack_from("<BBBBI", entry)
                assert crc32(entry[:4] + entry[8:], 0xFFFFFFFF) == crc
                key = entry[8:24].split(b"\0")[0].decode()
                value = _value(page, index, kind, entry)
                if namespace == 0:
                    assert isinstance(value, int)
                    names[value] = key
                elif value is not None:
                    found.append((namespace, key, value))
            index += span
    return {(names[namespace], key): value for namespace, key, value in found}


def _value(page: bytes, index: int, kind: int, entry: bytes) -> int | str | None:
    if kind in NUMBERS:
        number: int = struct.unpack_from(NUMBERS[kind], entry, 24)[0]
        return number
    if kind != TEXT:
        return None
    size, _, crc = struct.unpack_from("<HHI", entry, 24)
    data = page[96 + 32 * index : 96 + 32 * index + size]
    assert crc32(data, 0xFFFFFFFF) == crc
    return data.rstrip(b"\0").decode()
