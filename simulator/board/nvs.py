"""Non-volatile storage (NVS) of ESP-IDF, read only: pages of 126 entries, integers, strings and blobs. Pure.

Format: ESP-IDF, "NVS Library", internals. What fails its CRC, and pages that aren't in use, are passed over, as the
library does. Encrypted storage isn't read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

PAGE_BYTES: Final = 4_096
_ENTRY_BYTES: Final = 32
_ENTRIES: Final = 126
_STATES_IN_USE: Final = (0xFFFF_FFFE, 0xFFFF_FFFC)
"""Active and full."""

_WRITTEN: Final = 0b10
_ERASED: Final = 0b00
_EMPTY: Final = 0b11
_INTEGERS: Final = {
    0x01: "<B",
    0x11: "<b",
    0x02: "<H",
    0x12: "<h",
    0x04: "<I",
    0x14: "<i",
    0x08: "<Q",
    0x18: "<q",
}
_TEXT: Final = 0x21
_BLOB_OLD: Final = 0x41
_BLOB_DATA: Final = 0x42
_BLOB_INDEX: Final = 0x48

Value = int | str | bytes

NO_FREE_PAGES: Final = "ESP_ERR_NVS_NO_FREE_PAGES (0x110d)"
NOT_ENOUGH_SPACE: Final = "ESP_ERR_NVS_NOT_ENOUGH_SPACE (0x1105)"


@dataclass(frozen=True, slots=True)
class _Entry:
    namespace: int
    kind: int
    chunk: int
    key: str
    data: bytes
    extra: bytes


def crc(data: bytes) -> int:
    """The CRC-32 of the library."""
    return zlib.crc32(data, 0xFFFF_FFFF)


def read_nvs(raw: bytes) -> dict[str, dict[str, Value]]:
    """Values by namespace and key; of two with one key the one that was written later."""
    names: dict[int, str] = {}
    values: dict[tuple[int, str], Value] = {}
    blobs: dict[tuple[int, str], dict[int, bytes]] = {}
    indexes: list[_Entry] = []
    for entry in _entries(raw):
        place = entry.namespace, entry.key
        if entry.namespace == 0:
            names[entry.data[0]] = entry.key
        elif entry.kind in _INTEGERS:
            values[place] = struct.unpack_from(_INTEGERS[entry.kind], entry.data)[0]
        elif entry.kind == _TEXT:
            values[place] = entry.extra.rstrip(b"\0").decode("utf-8", "replace")
        elif entry.kind == _BLOB_OLD:
            values[place] = entry.extra
        elif entry.kind == _BLOB_DATA:
            blobs.setdefault(place, {})[entry.chunk] = entry.extra
        elif entry.kind == _BLOB_INDEX:
            indexes.append(entry)
    for index in indexes:
        size_bytes, count, first = struct.unpack_from("<IBB", index.data)
        chunks = blobs.get((index.namespace, index.key), {})
        joined = b"".join(chunks.get(first + number, b"") for number in range(count))
        if len(joined) == size_bytes:
            values[index.namespace, index.key] = joined
    found: dict[str, dict[str, Value]] = {}
    for (namespace, key), value in values.items():
        if namespace in names:
            found.setdefault(names[namespace], {})[key] = value
    return found


def want_of_room(raw: bytes) -> str | None:
    """What the library would say to one more value; None where it fits.

    One page stays free for its clean-up: without that it does not even start.
    """
    pages = _pages_in_use(raw)
    free = len(raw) // PAGE_BYTES - len(pages)
    if not free:
        return NO_FREE_PAGES
    return NOT_ENOUGH_SPACE if free == 1 and not any(map(_has_room, pages)) else None


def _has_room(page: bytes) -> bool:
    """Erased entries come back by a clean-up; what a page that is full has left over doesn't count."""
    is_active = struct.unpack_from("<I", page)[0] == _STATES_IN_USE[0]
    states = int.from_bytes(page[32:64], "little")
    usable = (_ERASED, _EMPTY) if is_active else (_ERASED,)
    return any(states >> 2 * entry & 3 in usable for entry in range(_ENTRIES))


def _pages_in_use(raw: bytes) -> list[bytes]:
    """Oldest first."""
    pages = []
    for start in range(0, len(raw) - PAGE_BYTES + 1, PAGE_BYTES):
        page = raw[start : start + PAGE_BYTES]
        state, sequence = struct.unpack_from("<II", page)
        if state in _STATES_IN_USE and crc(page[4:28]) == struct.unpack_from("<I", page, 28)[0]:
            pages.append((sequence, page))
    return [page for _, page in sorted(pages, key=lambda item: item[0])]


def _entries(raw: bytes) -> Iterator[_Entry]:
    """The entries that count."""
    for page in _pages_in_use(raw):
        yield from _entries_of(page)


def _entries_of(page: bytes) -> Iterator[_Entry]:
    index = 0
    while index < _ENTRIES:
        state = page[32 + index // 4] >> (index % 4 * 2) & 3
        start = 64 + index * _ENTRY_BYTES
        raw = page[start : start + _ENTRY_BYTES]
        index += 1
        if state != _WRITTEN or crc(raw[:4] + raw[8:]) != struct.unpack_from("<I", raw, 4)[0]:
            continue
        namespace, kind, span, chunk = raw[:4]
        key, data = raw[8:24].split(b"\0", 1)[0].decode("utf-8", "replace"), raw[24:]
        extra = b""
        if kind in (_TEXT, _BLOB_OLD, _BLOB_DATA):
            size_bytes, stored_crc = struct.unpack("<H2xI", data)
            extra = page[start + _ENTRY_BYTES : start + _ENTRY_BYTES + size_bytes]
            index += max(0, span - 1)
            if len(extra) < size_bytes or crc(extra) != stored_crc:
                continue
        yield _Entry(namespace, kind, chunk, key, data, extra)
