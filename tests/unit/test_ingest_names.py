"""A name that comes again: which photo its metadata and its chunks belong to (design 6.8, 9.4)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from server.effects import Complete, CreateImage, StageChunk, StoreChunk
from tests.support.ingest_talk import NOW, Talk, chunk, device, hello, image, metadata, send_image


def test_chunks_of_a_stored_photo_that_is_offered_again_wait_for_nothing() -> None:
    talk = Talk(device())
    talk.say(hello())
    send_image(talk)
    talk.say(hello(), after_s=3600)
    talk.say(metadata())
    talk.say(chunk(0))
    assert talk.all_of(StageChunk) == [] and not talk.view.staged


def test_late_copies_of_a_stored_photo_are_not_taken_for_the_next_one_of_its_name() -> None:
    talk = Talk(device())
    talk.say(hello())
    send_image(talk)
    talk.say(hello(), after_s=3600)
    talk.say(chunk(0))
    talk.say(metadata(at=NOW + timedelta(hours=1)))
    assert talk.all_of(StoreChunk) == [] and not talk.view.staged
    assert talk.view.images[-1].have == set()


@pytest.mark.parametrize("is_over", [False, True], ids=["in a later wake", "after its last ACK"])
def test_copies_of_a_stored_photo_do_not_go_into_an_open_one_of_its_name(is_over: bool) -> None:
    talk = Talk(device())
    talk.say(hello())
    send_image(talk)
    later = NOW + timedelta(hours=1)
    if is_over:
        assert talk.view.session is not None and not talk.view.session.is_open
        talk.view.images.append(image(have=0, total=3, captured_at=later, created_seq=2))
    else:
        talk.say(hello(), after_s=3600)
        talk.say(metadata(total=3, at=later))
    talk.say(metadata(total=3))
    talk.say(chunk(0))
    assert talk.all_of(StoreChunk) == [] and talk.view.images[-1].have == set()
    talk.say(hello(), after_s=7200)
    talk.say(metadata(total=3, at=later))
    talk.say(chunk(0))
    assert talk.view.images[-1].have == {0}, "its own metadata opens it again"


@pytest.mark.parametrize("stored", [True, False])
def test_a_photo_without_a_time_is_none_that_had_one(stored: bool) -> None:
    talk = Talk(device())
    talk.say(hello())
    send_image(talk) if stored else talk.say(metadata())
    talk.say(hello(), after_s=3600)
    talk.say(metadata("image_2.jpg", at=NOW + timedelta(hours=1)))  # the photo that the server asked for
    total = 3 if stored else 10
    talk.say(metadata(total=total, at=None))
    assert len(talk.all_of(CreateImage)) == 1, "its clock was lost, and its counter began again"
    talk.say(metadata(total=total, at=None))
    assert not talk.all_of(CreateImage), "offered again, still without a time"


def test_a_name_again_with_another_photo_is_kept_beside_the_first() -> None:
    talk = Talk(device())
    talk.say(hello())
    send_image(talk)
    talk.say(hello(), after_s=3600)
    later = NOW + timedelta(hours=1)
    send_image(talk, at=later)
    assert [known.image_name for known in talk.view.images] == ["image_1.jpg", "image_1__20260105T010000Z.jpg"]
    assert {known.wire_image_name for known in talk.view.images} == {"image_1.jpg"}


def test_chunks_of_a_name_go_into_no_failed_photo_that_nobody_speaks_of() -> None:
    failed = image(have=0, total=3, status="failed", failure="damaged: no JPEG end marker")
    talk = Talk(device(images=[failed]))
    talk.say(hello())
    for number in range(3):  # its metadata was lost, or could not be read
        talk.say(chunk(number))
        assert talk.all_of(StoreChunk) == []
    assert failed.have == set() and failed.status == "failed"
    talk.say(metadata(total=3))
    assert len(talk.all_of(StoreChunk)) == 3 and len(talk.all_of(Complete)) == 1
    assert failed.have == set(), "what waited went to the photo that was announced"


def test_chunks_of_a_failed_photo_that_the_server_asked_for_go_into_it() -> None:
    failed = image(have=1, total=3, status="failed", failure="Not completed before wake window")
    talk = Talk(device(images=[failed]))
    talk.say(hello(pending=1))
    talk.say(chunk(1))
    assert failed.have == {0, 1} and failed.status == "receiving"
