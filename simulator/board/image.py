"""ESP32-S3 application images as they lie in flash: read, and verified as the second-stage bootloader does. Pure.

Format and the words of each refusal: ESP-IDF, components/bootloader_support (esp_image_format.c).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from simulator.board.slip import checksum

MAGIC: Final = 0xE9
CHIP_ESP32S3: Final = 9
DESCRIPTION_MAGIC: Final = 0xABCD_5432
_HEADER: Final = struct.Struct("<BBBBI")
_HEADER_BYTES: Final = 24
_SEGMENTS_MAX: Final = 16
_SEGMENT_BYTES_MAX: Final = 1 << 24
_PAGE_BYTES: Final = 1 << 16
_DESCRIPTION: Final = struct.Struct("<II8s32s32s16s16s32s32s")


Cells = bytes | memoryview
"""What lies in flash, by offset."""


class BadImage(Exception):
    """An image that doesn't boot. `lines` are (tag, text) as the bootloader logs them."""

    def __init__(self, *lines: tuple[str, str]) -> None:
        super().__init__("; ".join(text for _, text in lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Segment:
    """`data_offset` is its place in flash, `address` where it runs."""

    data_offset: int
    address: int
    length: int

    @property
    def is_mapped(self) -> bool:
        """Executed or read from flash, through the cache."""
        return 0x3C00_0000 <= self.address < 0x3E00_0000 or 0x4200_0000 <= self.address < 0x4400_0000

    @property
    def is_loaded(self) -> bool:
        """Copied to RAM."""
        return not self.is_mapped and self.address >= 0x1000_0000


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDescription:
    """What `esp_app_desc_t` says."""

    version: str
    project: str
    compile_time: str
    compile_date: str
    idf_version: str
    elf_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A header and its segments. `spi_mode` and `size_code` are the header's codes, `length` counts hash and all."""

    offset: int
    entry: int
    spi_mode: int
    size_code: int
    segments: tuple[Segment, ...]
    length: int

    @property
    def flash_size_mb(self) -> int:
        return 1 << (self.size_code & 7)


def read_image(flash: Cells, offset: int, limit: int, *, revision: int, checks_hash: bool = True) -> Image:
    """The image at `offset`, in a partition of `limit` bytes; raises BadImage.

    `revision` is the chip's, major * 100 + minor. A bootloader's own hash is looked at by the ROM only.
    """
    header = bytes(flash[offset : offset + _HEADER_BYTES])
    if len(header) < _HEADER_BYTES or header[0] != MAGIC:
        raise BadImage(("esp_image", f"image at 0x{offset:x} has invalid magic byte (nothing flashed here?)"))
    _, count, spi_mode, size_code, entry = _HEADER.unpack_from(header)
    _check_chip(header, revision)
    if count > _SEGMENTS_MAX:
        raise BadImage(("esp_image", f"image at 0x{offset:x} segment count {count} exceeds max {_SEGMENTS_MAX}"))
    segments, end = _segments(flash, offset, count)
    length = (end - offset + 16) & ~15
    _check_sum(flash, segments, offset + length - 1)
    has_hash = header[23] == 1
    total = length + 32 * has_hash
    if total > limit:
        raise BadImage(("esp_image", f"Image length {total} doesn't fit in partition length {limit}"))
    if has_hash and checks_hash:
        calculated, stored = appended_hash(flash, offset, length)
        if calculated != stored:
            raise BadImage(("esp_image", "Image hash failed - image is corrupt"))
    return Image(
        offset=offset,
        entry=entry,
        spi_mode=spi_mode,
        size_code=size_code >> 4,
        segments=segments,
        length=total,
    )


def appended_hash(flash: Cells, offset: int, length: int) -> tuple[bytes, bytes]:
    """(calculated, stored) SHA-256 of an image whose `length` doesn't count the hash."""
    end = offset + length
    return hashlib.sha256(flash[offset:end]).digest(), bytes(flash[end : end + 32])


def _check_chip(header: bytes, revision: int) -> None:
    (chip,) = struct.unpack_from("<H", header, 12)
    if chip != CHIP_ESP32S3:
        raise BadImage(("boot_comm", f"mismatch chip ID, expected {CHIP_ESP32S3}, found {chip}"))
    (lowest, highest) = struct.unpack_from("<HH", header, 15)
    there = f"but chip is v{revision // 100}.{revision % 100}"
    if revision < lowest:
        raise BadImage(("boot_comm", f"Image requires chip rev >= v{lowest // 100}.{lowest % 100}, {there}"))
    if highest not in (0, 0xFFFF) and revision > highest:
        raise BadImage(("boot_comm", f"Image requires chip rev <= v{highest // 100}.{highest % 100}, {there}"))


def _segments(flash: Cells, offset: int, count: int) -> tuple[tuple[Segment, ...], int]:
    segments = []
    place = offset + _HEADER_BYTES
    for index in range(count):
        if place + 8 > len(flash):
            raise BadImage(("esp_image", f"bootloader_flash_read failed at 0x{place:08x}"))
        address, length = struct.unpack_from("<II", flash, place)
        place += 8
        if length % 4 or length >= _SEGMENT_BYTES_MAX or place + length > len(flash):
            raise BadImage(("esp_image", f"invalid segment length 0x{length:x}"))
        segment = Segment(place, address, length)
        if segment.is_mapped and place % _PAGE_BYTES != address % _PAGE_BYTES:
            text = f"Segment {index} load address 0x{address:08x}, doesn't match data 0x{place:08x}"
            raise BadImage(("esp_image", text))
        segments.append(segment)
        place += length
    return tuple(segments), place


def _check_sum(flash: Cells, segments: tuple[Segment, ...], place: int) -> None:
    found = 0xEF
    for segment in segments:
        found = checksum(flash[segment.data_offset : segment.data_offset + segment.length], found)
    stored = flash[place] if place < len(flash) else -1
    if found & 0xFF != stored:
        raise BadImage(("esp_image", f"Checksum failed. Calculated 0x{found & 0xFF:x} read 0x{stored & 0xFF:x}"))


def read_description(flash: Cells, image: Image) -> AppDescription | None:
    """The description at the start of an app's first segment; None where there is none."""
    if not image.segments:
        return None
    start = image.segments[0].data_offset
    raw = flash[start : start + _DESCRIPTION.size]
    if len(raw) < _DESCRIPTION.size:
        return None
    magic, _, _, version, project, time, date, idf, elf = _DESCRIPTION.unpack(raw)
    if magic != DESCRIPTION_MAGIC:
        return None
    return AppDescription(
        version=_text(version),
        project=_text(project),
        compile_time=_text(time),
        compile_date=_text(date),
        idf_version=_text(idf),
        elf_sha256=elf.hex(),
    )


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
