"""Pictures that lie or explode when they are decoded, each with whether it may be stored. The same ones every time.

A device's picture has to be a JPEG of at most 8 million pixels, by its header, before anything decodes it; then it is
decoded in a limited process. What decodes although it is cut is a picture: the wire carries no hash. What is only odd
(a comment with HTML, a broken EXIF block) may be stored: it is served with its type and `nosniff`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from simulator.rng import Rng

PIXELS_BEYOND: Final = ((12_000, 12_000), (65_500, 65_500), (65_535, 65_535), (8_001, 1_000), (4_001, 2_000))
SCANS: Final = 3_000
"""Of a progressive picture of 7.8 million pixels: each scan is decoded over all of it, from a few bytes."""


@dataclass(frozen=True, slots=True)
class Bomb:
    """A picture; `may_stay`: a JPEG that decodes within the limits, whatever else it holds."""

    name: str
    data: bytes
    may_stay: bool = False


def bombs() -> list[Bomb]:
    """All of them; at least 40."""
    return [*_sizes(), *_strangers(), *_cut(), *_flipped(), *_odd(), *_metadata(), _scans()]


@cache
def _jpeg(width: int = 64, height: int = 48, *, is_progressive: bool = False) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    picture = Image.linear_gradient("L").resize((width, height))
    picture.save(out, "JPEG", quality=30, progressive=is_progressive)
    return out.getvalue()


def _frame_at(data: bytes) -> int:
    """Where the frame header's marker stands."""
    at = 2
    while data[at + 1] not in (0xC0, 0xC2):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def _claiming(width: int, height: int) -> bytes:
    data = bytearray(_jpeg())
    at = _frame_at(bytes(data))
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _sizes() -> Iterator[Bomb]:
    for width, height in (*PIXELS_BEYOND, (0, 48), (64, 0), (0, 0)):
        yield Bomb(f"header of {width} x {height}", _claiming(width, height))
    yield Bomb("header of 65,535 x 1", _claiming(65_535, 1))
    yield Bomb("header of 2,800 x 2,800 with the data of 64 x 48", _claiming(2_800, 2_800), may_stay=True)
    yield Bomb("header in 20 bytes", b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xdc\xff\xdc\x01\x01\x11\x00\xff\xd9")


def _strangers() -> Iterator[Bomb]:
    """Other formats, bare and between the markers of a JPEG."""
    for name, data in (
        ("PNG of 169 million pixels", _png(13_000, 13_000)),
        ("GIF", b"GIF89a\xff\xff\xff\xff\x80\x00\x00" + bytes(20) + b";"),
        ("BMP", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 65_535, 65_535, 1, 24, 0, 0, 0, 0, 0, 0)),
        ("TIFF", b"II*\x00\x08\x00\x00\x00\xff\xff" + bytes(100)),
        ("WebP", b"RIFF\xff\xff\xff\x7fWEBPVP8X" + bytes(10)),
        ("EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n"),
        ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("HTML", b"<!doctype html><script>alert(1)</script>"),
        ("ZIP", b"PK\x03\x04" + bytes(60)),
    ):
        yield Bomb(name, data)
        yield Bomb(f"{name} between JPEG markers", b"\xff\xd8" + data + b"\xff\xd9")


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress(bytes(width + 1) * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) + chunk(
        b"IDAT", rows
    ) + chunk(b"IEND", b"")  # fmt: skip


def _cut() -> Iterator[Bomb]:
    whole = _jpeg(200, 150)
    for share in (1, 3, 5, 7):
        yield Bomb(
            f"cut after {share} eighths, with an end marker",
            whole[: len(whole) * share // 8] + b"\xff\xd9",
            may_stay=share > 1,
        )
    yield Bomb("no end marker", whole[:-2])
    yield Bomb("no start marker", whole[2:])
    yield Bomb("two bytes", b"\xff\xd8")
    yield Bomb("start and end", b"\xff\xd8\xff\xd9")


def _flipped() -> Iterator[Bomb]:
    """Bits flipped in the header: some still decode, and then they are pictures."""
    chance, whole = Rng("hostile pictures"), _jpeg(200, 150)
    for number in range(8):
        data = bytearray(whole)
        for _ in range(4):
            data[chance.between(2, 300)] ^= 1 << chance.between(0, 7)
        yield Bomb(f"bits flipped in the header, {number + 1}", bytes(data), may_stay=True)


def _odd() -> Iterator[Bomb]:
    """Frames and scans that no camera writes."""
    data = _jpeg()
    at = _frame_at(data)
    yield Bomb("precision of 12 bits", data[: at + 4] + b"\x0c" + data[at + 5 :])
    yield Bomb("255 components", data[: at + 9] + b"\xff" + data[at + 10 :])
    yield Bomb("no component", data[: at + 9] + b"\x00" + data[at + 10 :])
    for marker, words in ((0xC3, "lossless"), (0xC9, "arithmetic"), (0xC5, "hierarchical")):
        changed = data[: at + 1] + bytes([marker]) + data[at + 2 :]
        yield Bomb(f"a frame that is {words}", changed, may_stay=words == "arithmetic")
    yield Bomb("a scan before its frame", data[:2] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + data[2:])
    yield Bomb("start markers all over", b"\xff\xd8" * 20_000 + data)
    yield Bomb("fill bytes all over", data[:2] + b"\xff" * 60_000 + data[2:], may_stay=True)
    yield Bomb("a segment longer than the file", data[:2] + b"\xff\xe1\xff\xff" + data[2:])


def _metadata() -> Iterator[Bomb]:
    """Sound pictures with segments that explode in those who read them."""
    data = _jpeg()

    def with_segment(marker: int, body: bytes, count: int = 1) -> bytes:
        segment = bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
        return data[:2] + segment * count + data[2:]

    loop = b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + struct.pack("<HHHII", 65_535, 0x8769, 4, 1, 8)
    big = b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + struct.pack("<HHHII", 1, 0x010E, 2, 2**31 - 1, 26) + bytes(4)
    yield Bomb("EXIF that points to itself", with_segment(0xE1, loop), may_stay=True)
    yield Bomb("EXIF with a text of 2 GB", with_segment(0xE1, big), may_stay=True)
    yield Bomb("EXIF that is cut", with_segment(0xE1, b"Exif\x00\x00II*\x00"), may_stay=True)
    yield Bomb("ICC, part 255 of 1", with_segment(0xE2, b"ICC_PROFILE\x00\xff\x01" + bytes(60_000)), may_stay=True)
    yield Bomb("ICC in 100 parts", with_segment(0xE2, b"ICC_PROFILE\x00\x01\xff" + bytes(9_000), 100), may_stay=True)
    frames = b"MPF\x00II*\x00\x08\x00\x00\x00" + struct.pack("<HHHII", 1, 0xB001, 4, 1, 2**31 - 1) + bytes(4)
    yield Bomb("2^31 pictures in one (MPO)", with_segment(0xE2, frames), may_stay=True)
    thumbnail = b"JFXX\x00\x13\xff\xff" + bytes(60_000)
    yield Bomb("a thumbnail larger than its picture", with_segment(0xE0, thumbnail), may_stay=True)
    yield Bomb("50,000 comments", with_segment(0xFE, b"x", 50_000), may_stay=True)
    yield Bomb("a comment with HTML", with_segment(0xFE, b"<script>alert(1)</script>"), may_stay=True)
    yield Bomb("a ZIP behind the picture", data + b"PK\x05\x06" + bytes(18) + b"\xff\xd9", may_stay=True)
    yield Bomb("Photoshop's block, cut", with_segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\xff\xff"), may_stay=True)


def _scans() -> Bomb:
    """One progressive picture whose last scan comes again and again."""
    data = _jpeg(2_800, 2_800, is_progressive=True)
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2][:4_000]
    return Bomb(f"{SCANS:,} scans of 7.8 million pixels", data[:-2] + scan[:200] * SCANS + b"\xff\xd9")
