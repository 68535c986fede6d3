"""Photos: real JPEGs, exact sizes, no two alike."""

from __future__ import annotations

import io
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from simulator.camera import Camera, ImageTooSmall, render

PICTURES: tuple[Literal["fast", "photo"], ...] = ("fast", "photo")


def decoded(jpeg: bytes) -> tuple[int, int]:
    image = Image.open(io.BytesIO(jpeg))
    image.load()
    assert image.format == "JPEG"
    return image.size


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("size_bytes", [1_000, 10_000, 49_272, 65_537, 70_959, 131_072, 1_000_000])
def test_a_photo_decodes_and_has_its_size(picture: Literal["fast", "photo"], size_bytes: int) -> None:
    jpeg = render("B8F862F9C1C4", 3, 4211, size_bytes, picture)
    assert len(jpeg) == size_bytes
    assert jpeg.startswith(b"\xff\xd8") and jpeg.endswith(b"\xff\xd9")
    assert min(decoded(jpeg)) >= 8


def test_sizes_around_a_full_segment_are_met() -> None:
    for size_bytes in range(65_650, 66_700):
        jpeg = render("B8F862F9C1C4", 1, 1, size_bytes)
        assert len(jpeg) == size_bytes
        assert set(jpeg_markers(jpeg)) <= set(range(0xC0, 0xFF))


def jpeg_markers(jpeg: bytes) -> list[int]:
    """The segments before the picture's data: each says its length, so a wrong one leads astray."""
    markers, place = [], 2
    while jpeg[place + 1] != 0xDA:
        assert jpeg[place] == 0xFF
        markers.append(jpeg[place + 1])
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    return markers


@settings(max_examples=200, deadline=None)
@given(size_bytes=st.integers(400, 200_000), wake_number=st.integers(1, 10_000))
def test_any_size_is_met_to_the_byte(size_bytes: int, wake_number: int) -> None:
    jpeg = render("B8F862F9C1C4", wake_number, 1, size_bytes)
    assert len(jpeg) == size_bytes
    decoded(jpeg)


def test_the_smallest_photo_of_a_scenario_is_always_possible() -> None:
    for wake_number in range(1, 60):
        for picture in PICTURES:
            decoded(render("B8F862F9C1C4", wake_number, 5, 1_000, picture))


@pytest.mark.parametrize("picture", PICTURES)
def test_each_device_wake_and_seed_has_its_own_photo(picture: Literal["fast", "photo"]) -> None:
    photos = {
        render(device_id, wake_number, seed, 1_500, picture)
        for device_id in ("B8F862F9C1C4", "B8F862F9C1C5")
        for wake_number in (1, 2, 11)
        for seed in (1, 2)
    }
    assert len(photos) == 12
    assert render("B8F862F9C1C4", 2, 1, 1_500, picture) in photos


@pytest.mark.parametrize("picture", PICTURES)
def test_too_few_bytes_are_refused_with_the_minimum(picture: Literal["fast", "photo"]) -> None:
    with pytest.raises(ImageTooSmall, match=f"100 bytes are too few for a {picture} picture, at least") as caught:
        render("B8F862F9C1C4", 1, 1, 100, picture)
    minimum = caught.value.minimum_bytes
    assert len(render("B8F862F9C1C4", 1, 1, minimum, picture)) == minimum
    with pytest.raises(ImageTooSmall):
        render("B8F862F9C1C4", 1, 1, minimum - 1, picture)


def test_broken_firmware_leaves_out_a_marker() -> None:
    camera = Camera(device_id="B8F862F9C1C4", seed=1, size_bytes=2_000)
    whole = camera(1, 1)
    for without, jpeg in (
        ("soi", b"\x00\x00" + whole[2:]),
        ("eoi", whole[:-2] + b"\x00\x00"),
    ):
        broken = Camera(
            device_id="B8F862F9C1C4", seed=1, size_bytes=2_000, without="soi" if without == "soi" else "eoi"
        )
        assert broken(1, 1) == jpeg
    with pytest.raises(UnidentifiedImageError):
        decoded(b"\x00\x00" + whole[2:])
