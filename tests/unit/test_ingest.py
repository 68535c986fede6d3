"""The server's answers, from a view and a message to effects: no database, no clock. covers: seed-001/decision-1"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import ingest
from server.effects import Complete, CreateImage, OpenSession, Refuse, RegisterDevice, Reply, StageChunk, StoreChunk
from server.records import session_row
from server.session import TRANSITIONS, Turn, move
from server.view import SessionView, Standing
from server.wire.dialects import DIALECTS
from server.wire.errors import LocalProtocolError
from server.wire.limits import MISSING_NOTED_MAX
from server.wire.messages import (
    Capture,
    DeviceMessage,
    Done,
    MissingChunks,
    Resume,
    SendAllPending,
    SendImage,
    Sleep,
    Telemetry,
)
from server.wire.states import ProtocolState
from tests.support.ingest_talk import MAC, NOW, Talk, chunk, device, hello, image, metadata, send_image


def test_normal_flow_ends_with_the_next_wake() -> None:
    talk = Talk(device())
    assert talk.say(hello()) == [Capture()]
    session = talk.view.session
    assert session is not None and session.protocol_state == "ack_sent"
    assert send_image(talk) == [Done(image_name="image_1.jpg", next_wake=datetime(2026, 1, 5, 3, tzinfo=UTC))]
    assert session.protocol_state == "complete" and session.status == "completed"


def test_a_pending_image_is_resumed_by_an_empty_ack() -> None:
    talk = Talk(device(images=[image(have=5)]))
    assert talk.say(hello(1)) == [Resume(image_name="image_1.jpg")]
    assert talk.view.session is not None and talk.view.session.protocol_state == "ack_pending_sent"
    replies = [reply for number in range(5, 10) for reply in talk.say(chunk(number))]
    assert replies == [] and len(talk.all_of(Complete)) == 1


def test_firmware_that_takes_an_empty_ack_for_the_end_gets_the_missing_numbers() -> None:
    talk = Talk(device("paper-v4", images=[image(have=8)]))
    assert talk.say(hello(1)) == [MissingChunks(image_name="image_1.jpg", chunk_indexes=(8, 9))]
    untouched = Talk(device("paper-v4", images=[image(have=0)]))
    assert untouched.say(hello(1)) == [SendImage(image_name="image_1.jpg")]


def test_the_device_is_trusted_over_the_database() -> None:
    talk = Talk(device(images=[image(have=5)]))
    assert talk.say(hello(0)) == [Capture()]


def test_the_oldest_pending_image_comes_first() -> None:
    older = image("image_1.jpg", 2, captured_at=NOW - timedelta(days=2))
    newer = image("image_2.jpg", 9, captured_at=NOW - timedelta(days=1), created_seq=2)
    assert Talk(device(images=[newer, older])).say(hello(2)) == [Resume(image_name="image_1.jpg")]


@pytest.mark.parametrize("standing", [Standing.UNMAPPED, Standing.INACTIVE, Standing.UNKNOWN])
def test_everybody_gets_an_answer(standing: Standing) -> None:
    talk = Talk(device(standing=standing, device_id=None if standing is Standing.UNKNOWN else UUID(int=1)))
    replies = talk.say(hello(3))
    assert [type(reply) for reply in replies] == [Sleep]
    assert len(talk.all_of(RegisterDevice)) == (standing is Standing.UNKNOWN)
    assert talk.view.session is not None and talk.view.session.protocol_state == "sleep_only"


def test_who_was_told_to_sleep_and_sends_all_the_same_opens_another_session() -> None:
    talk = Talk(device(standing=Standing.UNMAPPED))
    talk.say(hello())
    talk.say(metadata())
    assert len(talk.all_of(OpenSession)) == 1
    assert talk.view.session is not None and talk.view.session.protocol_state == "metadata_received"
    assert not {"sleep_only", "complete"} & {state for state, _ in TRANSITIONS}


def test_telemetry_of_a_stranger_gets_him_a_row() -> None:
    talk = Talk(device(standing=Standing.UNKNOWN, device_id=None))
    talk.say(Telemetry(device_id=MAC))
    assert len(talk.all_of(RegisterDevice)) == 1
    talk.say(Telemetry(device_id=MAC))
    assert not talk.all_of(RegisterDevice)


def test_fifty_hellos_are_one_wake() -> None:
    talk = Talk(device())
    answers = [talk.say(hello(), after_s=0.02)]
    sessions = len(talk.all_of(OpenSession))
    for _ in range(49):
        answers.append(talk.say(hello(), after_s=0.02))
        sessions += len(talk.all_of(OpenSession))
    assert sessions == 1 and answers == [[Capture()]] * 50


def test_a_redelivered_hello_after_the_end_wakes_nobody() -> None:
    talk = Talk(device())
    talk.say(hello())
    send_image(talk)
    assert talk.say(hello(), dup=True) == [] and not talk.all_of(OpenSession)
    assert talk.say(hello()) == [Capture()] and talk.all_of(OpenSession)


def test_an_override_is_spent_with_its_wake() -> None:
    talk = Talk(device(manual_wake_override=True, images=[image(have=5)]))
    assert talk.say(hello(1)) == [Capture()]
    assert talk.view.session is not None and talk.view.session.protocol_state == "snap_sent"
    assert not talk.view.manual_wake_override


def test_a_camera_that_was_mapped_since_its_sleep_is_asked_for_a_picture() -> None:
    talk = Talk(device(standing=Standing.UNMAPPED))
    assert [type(reply) for reply in talk.say(hello())] == [Sleep]
    assert [type(reply) for reply in talk.say(hello())] == [Sleep] and not talk.all_of(OpenSession)
    talk.view.standing = Standing.MAPPED
    assert talk.say(hello()) == [Capture()]


def test_without_a_schedule_a_camera_sleeps() -> None:
    talk = Talk(device(cron=None))
    assert talk.say(hello()) == [Sleep(next_wake=talk.now + timedelta(hours=12))]
    assert Talk(device(cron=None, images=[image(have=1)])).say(hello(1)) == [Resume(image_name="image_1.jpg")]


@pytest.mark.parametrize("order", [[9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [3, 9, 0, 1, 2, 4, 5, 6, 7, 8]])
def test_chunks_come_in_any_order(order: list[int]) -> None:
    talk = Talk(device())
    talk.say(hello())
    talk.say(metadata())
    for number in order:
        talk.say(chunk(number), after_s=0.1)
    assert len(talk.all_of(Complete)) == 1


def test_exactly_the_missing_chunks_are_asked_for() -> None:
    talk = Talk(device())
    talk.say(hello())
    talk.say(metadata())
    replies = [reply for number in (1, 2, 4, 5, 6, 7, 9) for reply in talk.say(chunk(number))]
    assert replies == [MissingChunks(image_name="image_1.jpg", chunk_indexes=(0, 3, 8))]
    assert talk.wait(6) == [MissingChunks(image_name="image_1.jpg", chunk_indexes=(0, 3, 8))]
    assert talk.wait(6) == [MissingChunks(image_name="image_1.jpg", chunk_indexes=(0, 3, 8))]
    assert talk.wait(6) == [], "at most three rounds a wake"
    talk.wait(90)
    assert talk.view.session is not None and talk.view.session.status == "completed"


def test_a_session_keeps_the_first_missing_numbers_of_an_image_of_many_chunks() -> None:
    talk = Talk(device())
    for message in (hello(), metadata(total=65_535), chunk(1)):
        talk.say(message)
    assert talk.view.session is not None
    row = session_row(talk.view.session, talk.view)
    assert row["chunks_missing"] == (0, *range(2, MISSING_NOTED_MAX + 1)) and row["chunks_of_image"] == 1


def test_chunks_before_their_metadata_wait() -> None:
    talk = Talk(device())
    talk.say(hello())
    for number in range(3):
        talk.say(chunk(number))
        assert len(talk.all_of(StageChunk)) == 1
    talk.say(metadata(total=3))
    assert len(talk.all_of(StoreChunk)) == 3 and len(talk.all_of(Complete)) == 1


def test_a_stored_image_offered_again_is_acked_at_its_metadata() -> None:
    talk = Talk(device("oct-2025"))
    talk.say(hello())
    send_image(talk)
    talk.say(hello(1), after_s=3600)
    assert send_image(talk, "image_2.jpg", at=NOW + timedelta(hours=1)) == [SendAllPending()]
    replies = talk.say(metadata("image_1.jpg", 3))
    assert [reply.image_name for reply in replies if isinstance(reply, Done)] == ["image_2.jpg", "image_1.jpg"]
    assert not talk.all_of(CreateImage)


def test_a_camera_that_is_silent_about_an_image_is_asked_for_all_it_has() -> None:
    gone = image(have=2, total=3, last_chunk_at=NOW - timedelta(hours=3))
    talk = Talk(device("oct-2025", images=[gone]))
    talk.say(hello(pending=1))  # its card was replaced since
    asked = [talk.wait(5), talk.wait(5)]
    assert [type(message) for messages in asked for message in messages] == [MissingChunks, SendAllPending]
    replies = send_image(talk, "image_2.jpg")
    assert isinstance(replies[-1], Done) and replies[-1].image_name == "image_2.jpg", "nobody waits for the other one"


def test_a_camera_that_has_named_an_image_is_asked_for_that_one() -> None:
    talk = Talk(device(images=[image(have=2, total=3, last_chunk_at=NOW - timedelta(hours=3))]))
    talk.say(hello(pending=1, names=("image_1.jpg",)))
    assert [type(message) for _ in range(2) for message in talk.wait(5)] == [MissingChunks, MissingChunks]


def test_pending_images_are_asked_for_by_name() -> None:
    talk = Talk(device())
    talk.say(hello(2, ("image_7.jpg", "image_8.jpg")))
    assert send_image(talk, "image_9.jpg") == [SendImage(image_name="image_7.jpg")]
    assert send_image(talk, "image_7.jpg", at=NOW - timedelta(hours=2)) == [SendImage(image_name="image_8.jpg")]
    finals = send_image(talk, "image_8.jpg", at=NOW - timedelta(hours=1))
    assert [type(final) for final in finals] == [Done] * 3


def test_a_damaged_image_is_asked_for_again() -> None:
    talk = Talk(device())
    talk.say(hello())
    talk.say(metadata(total=2))
    talk.say(chunk(0))
    talk.say(chunk(1))
    turn = Turn(view=talk.view, now=talk.now, ids=talk.ids)
    ingest.damaged(turn, talk.view.images[0].image_id, "no JPEG end marker")
    assert [effect.message for effect in turn.effects if isinstance(effect, Reply)] == [
        SendImage(image_name="image_1.jpg")
    ]
    known = talk.view.images[0]
    assert known.status == "failed" and known.retry_count == 1 and not known.have
    known.retry_count = known.max_retries
    ingest.damaged(turn, known.image_id, "no JPEG end marker")
    assert known.retry_count == known.max_retries == 3, "offered by its device again, when its retries were used up"
    known.retry_count = 1
    assert send_image(talk, total=2) == [Done(image_name="image_1.jpg", next_wake=datetime(2026, 1, 5, 3, tzinfo=UTC))]


def test_a_schedule_nobody_can_read_leaves_an_answer() -> None:
    talk = Talk(device(cron="0 0 1 * *"))
    assert talk.say(hello()) == [Capture()]
    assert talk.view.next_wake_at == talk.now + timedelta(hours=12)


def test_a_chunk_beyond_the_image_is_refused() -> None:
    talk = Talk(device())
    talk.say(hello())
    talk.say(metadata(total=3))
    talk.say(chunk(3))
    assert len(talk.all_of(Refuse)) == 1 and not talk.all_of(StoreChunk)


def test_the_table_names_only_known_states_and_refuses_other_moves() -> None:
    states = {state.value for state in ProtocolState} | {"new"}
    assert {key[0] for key in TRANSITIONS} <= states and set(TRANSITIONS.values()) <= states
    talk = Talk(device())
    talk.say(hello())
    session = talk.view.session
    assert isinstance(session, SessionView)
    with pytest.raises(LocalProtocolError):
        move(session, "hello")


NAMES = st.sampled_from(["image_1.jpg", "image_2.jpg"])
MESSAGES = st.one_of(
    st.builds(hello, st.integers(0, 2), st.none() | st.just(("image_1.jpg",))),
    st.builds(metadata, NAMES, st.integers(1, 4), st.none() | st.sampled_from([NOW, NOW + timedelta(hours=1)])),
    st.builds(chunk, st.integers(0, 4), NAMES),
    st.builds(Telemetry, device_id=st.just(MAC), error_code=st.integers(0, 1)),
    st.sampled_from([6.0, 100.0]),
)


@settings(max_examples=300, deadline=None)
@given(
    messages=st.lists(MESSAGES, max_size=25),
    dialect=st.sampled_from(sorted(DIALECTS)),
    standing=st.sampled_from([Standing.MAPPED, Standing.UNMAPPED]),
)
def test_no_sequence_of_messages_breaks_the_machine(
    messages: list[DeviceMessage | float], dialect: str, standing: Standing
) -> None:
    """Never an exception, never two open sessions, counters only from what is there."""
    talk = Talk(device(dialect, standing=standing))
    for message in messages:
        if isinstance(message, float):
            talk.wait(message)
        else:
            talk.say(message)
        for effect in list(talk.all_of(Complete)):
            assert isinstance(effect, Complete)
            talk.store(effect.image_id)
        assert len({known.image_name for known in talk.view.images}) == len(talk.view.images)
        for known in talk.view.images:
            assert known.total_chunks is not None and all(0 <= index < known.total_chunks for index in known.have)
