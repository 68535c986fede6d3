"""Pictures that lie or explode: refused by their header or by the decoder, and within a moment."""

from __future__ import annotations

import warnings

import pytest

from harness.hostile.pictures import Bomb, bombs
from server.jpeg import flaw_of_decoding, flaw_of_markers
from server.pictures import PictureRefused, examined_and_rendered
from server.wire.states import ImageStyle

BOMBS = {bomb.name: bomb for bomb in bombs()}
BY_THE_HEADER = ("header of 1", "header of 6", "header of 8", "header of 4", "header in", "3,000 scans", "header of 0")


def test_there_are_forty_and_each_has_a_name_of_its_own() -> None:
    assert len(BOMBS) == len(bombs()) >= 40


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_picture_is_refused_or_decodes_within_limits(bomb: Bomb) -> None:
    flaw = flaw_of_markers(bomb.data)
    if bomb.name.startswith(BY_THE_HEADER) and "65,535 x 1" not in bomb.name:
        assert flaw is not None, "before anything decodes it"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of broken EXIF, in the decoder's process
        flaw = flaw or flaw_of_decoding(bomb.data)
    assert bomb.may_stay or flaw is not None


def test_an_upload_of_many_scans_is_refused_too() -> None:
    with pytest.raises(PictureRefused, match="scans, at most 32"):
        examined_and_rendered(BOMBS["3,000 scans of 7.8 million pixels"].data, [ImageStyle.THUMBNAIL])
