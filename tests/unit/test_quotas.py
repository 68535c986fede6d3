"""What one sender may make the server write down, and what one device may have open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from server.effects import CreateImage, Refuse
from server.quotas import Quotas
from server.transfer import SUPERSEDED_AN_HOUR_MAX
from server.wire.messages import Chunk
from tests.support.ingest_talk import MAC, Talk, device, hello, metadata

NOW = datetime(2026, 1, 5, 12, 0, 30, tzinfo=UTC)


def test_fifty_newcomers_a_minute_and_the_same_answer_again() -> None:
    quotas = Quotas()
    macs = [f"{number:012X}" for number in range(60)]
    assert [quotas.admits(mac, NOW) for mac in macs] == [True] * 50 + [False] * 10
    assert [quotas.admits(mac, NOW) for mac in macs] == [True] * 50 + [False] * 10
    assert all(quotas.admits(mac, NOW + timedelta(minutes=1)) for mac in macs[-10:])


def test_a_flood_of_refusals_is_counted_and_not_kept() -> None:
    quotas = Quotas(refusals_max=3, refusals_of_all_max=5)
    assert [quotas.keeps("A", NOW) for _ in range(5)] == [True] * 3 + [False] * 2
    assert [quotas.keeps("B", NOW) for _ in range(3)] == [True] * 2 + [False]
    assert quotas.passed_over() == 3
    assert quotas.passed_over() == 0
    assert quotas.keeps("A", NOW + timedelta(seconds=30))


def test_a_seventeenth_transfer_is_refused_and_changes_nothing() -> None:
    talk = Talk(device())
    talk.say(hello())
    for number in range(16):
        talk.say(metadata(f"image_{number}.jpg"))
        assert talk.all_of(CreateImage)
    before = talk.view.session
    talk.say(metadata("image_16.jpg"))
    assert [refused.reason for refused in talk.all_of(Refuse)] == ["too_many_open"]  # type: ignore[attr-defined]
    assert not talk.all_of(CreateImage) and talk.view.session is before
    talk.say(metadata("image_3.jpg", at=NOW + timedelta(hours=99)))
    assert talk.all_of(CreateImage), "a new capture takes the place of the one with its name"


def test_captures_that_give_way_to_others_of_their_name_have_a_quota_an_hour() -> None:
    talk = Talk(device())
    talk.say(hello())
    for number in range(SUPERSEDED_AN_HOUR_MAX + 1):
        talk.say(metadata("image_1.jpg", at=NOW + timedelta(seconds=number)))
        assert talk.all_of(CreateImage), number
    talk.say(metadata("image_1.jpg", at=NOW + timedelta(days=1)))
    assert [refused.reason for refused in talk.all_of(Refuse)] == ["too_many_superseded"]  # type: ignore[attr-defined]
    assert not talk.all_of(CreateImage)
    talk.say(metadata("image_2.jpg", at=NOW + timedelta(days=1)))
    assert talk.all_of(CreateImage), "a name of its own closes nothing"
    talk.now += timedelta(hours=1)
    talk.say(metadata("image_1.jpg", at=NOW + timedelta(days=2)))
    assert talk.all_of(CreateImage), "an hour later"


def test_chunks_without_metadata_have_a_quota_of_bytes() -> None:
    talk = Talk(device())
    talk.say(hello())
    piece = bytes(65_536)
    reasons = []
    for number in range(70):
        talk.say(Chunk(device_id=MAC, image_name="image_1.jpg", chunk_id=number, payload=piece))
        reasons += [refused.reason for refused in talk.all_of(Refuse)]  # type: ignore[attr-defined]
    assert len(talk.view.staged["image_1.jpg"]) == 61
    assert reasons == ["too_many_staged"] * 9
