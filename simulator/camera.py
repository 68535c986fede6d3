"""The camera: real JPEGs, made from (device, wake, seed) alone, and their size met to the byte.

The picture of the *fast* kind is one of a few small ones, made once and kept; a COM segment behind the start marker
holds bytes that belong to this photo only, so chunks differ too. The *photo* kind is drawn for each photo. The *still*
kind is one scene that nothing moves in: every camera of a seed takes the same bytes at every wake.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from PIL import Image, ImageDraw

from simulator.rng import Rng

Picture = Literal["fast", "photo", "still"]
Damage = Literal["soi", "eoi"]

_SEGMENT_DATA_BYTES_MAX: Final = 65_533
_SEGMENT_OVERHEAD_BYTES: Final = 4
_MARK_BYTES: Final = 16
"""Data of a COM segment that is enough to tell all photos apart."""

_FAST_SIDES_PX: Final = (8, 32, 64)
_FAST_VARIANTS: Final = 4
_PHOTO_FORMS: Final = ((640, 480, 80), (320, 240, 75), (320, 240, 45), (160, 120, 50), (96, 72, 30), (64, 48, 20))
"""Width, height, quality: the first that leaves room is taken."""


class ImageTooSmall(ValueError):
    """No JPEG of that kind fits into so few bytes."""

    def __init__(self, size_bytes: int, minimum_bytes: int, picture: Picture) -> None:
        super().__init__(f"{size_bytes} bytes are too few for a {picture} picture, at least {minimum_bytes}")
        self.minimum_bytes = minimum_bytes


def render(
    device_id: str,
    wake_number: int,
    seed: int,
    size_bytes: int,
    picture: Picture = "fast",
    without: Damage | None = None,
) -> bytes:
    """A JPEG of exactly `size_bytes`, different for each (device, wake, seed) unless `still`; raises ImageTooSmall.

    `without` leaves the start or the end marker zeroed, as broken firmware does.
    """
    key = f"{seed}/still" if picture == "still" else f"{seed}/{device_id}/{wake_number}"
    room_bytes = size_bytes - _SEGMENT_OVERHEAD_BYTES - _MARK_BYTES
    base = _photo_base(device_id, wake_number, key, room_bytes) if picture == "photo" else _fast_base(key, room_bytes)
    if len(base) > room_bytes:
        raise ImageTooSmall(size_bytes, size_bytes - room_bytes + len(base), picture)
    jpeg = base[:2] + _filling(key, size_bytes - len(base)) + base[2:]
    if without == "soi":
        return b"\x00\x00" + jpeg[2:]
    return jpeg[:-2] + b"\x00\x00" if without == "eoi" else jpeg


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """What `Device` wants for `capture`: the photo of a wake, the same bytes each time it is asked."""

    device_id: str
    seed: int
    size_bytes: int
    picture: Picture = "fast"
    without: Damage | None = None

    def __call__(self, wake_number: int, counter: int) -> bytes:
        return render(self.device_id, wake_number, self.seed, self.size_bytes, self.picture, self.without)


@dataclass(frozen=True, slots=True)
class Cameras:
    """Photos of several firmwares on one card, each as the firmware of its wake takes it: (first wake, camera)."""

    since: tuple[tuple[int, Camera], ...]

    def __call__(self, wake_number: int, counter: int) -> bytes:
        *_, camera = (camera for first_wake, camera in self.since if first_wake <= wake_number)
        return camera(wake_number, counter)

    def followed_by(self, camera: Camera, first_wake: int, *, oldest_wake: int) -> Cameras:
        """From `first_wake` on another one; what has taken no photo since `oldest_wake` is forgotten."""
        firsts = [first for first, _ in self.since[1:]] + [first_wake]
        needed = [item for item, end in zip(self.since, firsts, strict=True) if end > oldest_wake]
        return Cameras((*needed, (first_wake, camera)))


def _filling(key: str, count: int) -> bytes:
    """`count` (at least 4) bytes of COM segments whose data belongs to `key`."""
    data = hashlib.shake_128(key.encode()).digest(count)
    segments = bytearray()
    left = count
    while left:
        length = min(left, _SEGMENT_DATA_BYTES_MAX + _SEGMENT_OVERHEAD_BYTES)
        if 0 < left - length < _SEGMENT_OVERHEAD_BYTES:
            length -= _SEGMENT_OVERHEAD_BYTES
        segments += b"\xff\xfe" + (length - 2).to_bytes(2, "big")
        segments += data[len(segments) : len(segments) + length - _SEGMENT_OVERHEAD_BYTES]
        left -= length
    return bytes(segments)


def _fast_base(key: str, room_bytes: int) -> bytes:
    """The largest of the kept pictures that fits, else the smallest."""
    variant = hashlib.blake2b(key.encode(), digest_size=1).digest()[0] % _FAST_VARIANTS
    fitting = [base for side in _FAST_SIDES_PX if len(base := _small_jpeg(side, variant)) <= room_bytes]
    return fitting[-1] if fitting else _small_jpeg(_FAST_SIDES_PX[0], variant)


@lru_cache(maxsize=len(_FAST_SIDES_PX) * _FAST_VARIANTS)
def _small_jpeg(side_px: int, variant: int) -> bytes:
    rng = Rng(f"base/{variant}")
    image = Image.new("L", (side_px, side_px), rng.between(60, 190))
    draw = ImageDraw.Draw(image)
    for _ in range(side_px // 16):
        left, top = rng.below(side_px), rng.below(side_px)
        draw.ellipse((left, top, left + rng.between(4, side_px), top + rng.between(4, side_px)), rng.below(256))
    return _jpeg(image, 60)


def _photo_base(device_id: str, wake_number: int, key: str, room_bytes: int) -> bytes:
    base = b""
    for width, height, quality in _PHOTO_FORMS:
        base = _jpeg(_drawn(device_id, wake_number, key, width, height), quality)
        if len(base) <= room_bytes:
            break
    return base


def _drawn(device_id: str, wake_number: int, key: str, width: int, height: int) -> Image.Image:
    """A yard: sky, ground, sun, a few trees, and a caption."""
    rng = Rng(key)
    horizon = height * rng.between(40, 65) // 100
    image = Image.new("RGB", (width, height), (rng.between(90, 170), rng.between(150, 200), rng.between(200, 255)))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, horizon, width, height), (rng.between(60, 120), rng.between(90, 150), rng.between(30, 70)))
    sun, radius = rng.below(width), height // 12
    draw.ellipse((sun - radius, radius, sun + radius, 3 * radius), (255, 236, 150))
    for _ in range(rng.between(3, 8)):
        x, crown = rng.below(width), rng.between(height // 16, height // 6)
        foot = horizon + rng.below(max(1, height - horizon))
        draw.rectangle((x - crown // 8, foot - crown, x + crown // 8, foot), (90, 60, 30))
        colour = (rng.between(10, 60), rng.between(80, 150), rng.between(10, 60))
        draw.ellipse((x - crown // 2, foot - 2 * crown, x + crown // 2, foot - crown // 2), colour)
    draw.text((4, 4), f"{device_id}  wake {wake_number}", (255, 255, 255))
    return image


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
