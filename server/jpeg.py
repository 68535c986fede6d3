"""Is this a JPEG? Markers, size and a limited decode (design 6.9, 9.5). Pure but for Pillow's decoder."""

from __future__ import annotations

import io
from typing import Final

from server.wire import limits

START_OF_IMAGE: Final = b"\xff\xd8"
END_OF_IMAGE: Final = b"\xff\xd9"
START_OF_SCAN: Final = b"\xff\xda"
SCANS_MAX: Final = 32
"""A progressive picture has about ten; each is decoded over all of it, so thousands in 100 kB take half a minute."""

_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE: Final = frozenset((*range(0xD0, 0xD8), 0x01))


def flaw_of_markers(data: bytes) -> str | None:
    """Why these bytes can't be a whole JPEG, from markers and frame header alone; None where they can."""
    if not data.startswith(START_OF_IMAGE):
        return "no JPEG start marker"
    if not data.endswith(END_OF_IMAGE):
        return "no JPEG end marker"
    size = frame_size(data)
    if size is None:
        return "no JPEG frame header"
    width, height = size
    if width * height == 0 or width * height > limits.IMAGE_PIXELS_MAX:
        return f"{width} x {height} pixels, at most {limits.IMAGE_PIXELS_MAX}"
    return flaw_of_scans(data)


def flaw_of_scans(data: bytes) -> str | None:
    """Why these bytes would take too long to decode; None where they don't. In a scan no 0xFF stands by itself."""
    count = data.count(START_OF_SCAN)
    return f"{count} scans, at most {SCANS_MAX}" if count > SCANS_MAX else None


def frame_size(data: bytes) -> tuple[int, int] | None:
    """Width and height by the frame header, None where there is none."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _STANDALONE:
            at += 2
            continue
        if marker in _FRAME_MARKERS and at + 9 <= len(data):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def flaw_of_decoding(data: bytes) -> str | None:
    """Why the picture does not decode; None where it does. Runs in the offload's worker."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            image.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"does not decode: {str(error)[:120]}"
    return None
