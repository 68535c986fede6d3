"""The server's answers, from a view and a message to effects: no database, no clock. covers: seed-001/decision-1"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import ingest
from server.effects import Complete, CreateImage, OpenSession, Refuse, RegisterDevice, Reply, StageChunk, StoreChunk
from server.ids import seeded_ids
from server.records import session_row
from server.session import TRANSITIONS, Turn, move
from server.view import DeviceView, ImageView, SessionView, Standing
from server.wire.dialects import DIALECTS
from server.wire.errors import LocalProtocolError
from server.wire.limits import MISSING_NOTED_MAX
from server.wire.messages import (
    Capture,
    Chunk,
    DeviceMessage,
    Done,
    Hello,
    Metadata,
    MissingChunks,
    Resume,
    SendAllPending,
    SendImage,
    ServerMessage,
    Sleep,
    Telemetry,
)
from server.wire.states import ProtocolState
from server.wire.topics import Family

NOW = datetime(2026, 1, 5, tzinfo=UTC)
MAC = "B8F862F9C1C4"
NAMESPACE = UUID(int=7)


def device(dialect: str = "v3.5.0", **overrides: object) -> DeviceView:
    """A mapped camera that wakes every three hours."""
    view = DeviceView(
        mac=MAC,
        device_id=UUID(int=1),
        standing=Standing.MAPPED,
        dialect=DIALECTS[dialect],
        family=Family.ESP32CAM,
        cron="0 */3 * * *",
    )
    for name, value in overrides.items():
        setattr(view, name, value)
    return view


def image(name: str = "image_1.jpg", have: int = 0, total: int = 10, **overrides: object) -> ImageView:
    """An image with its first `have` chunks."""
    known = ImageView(
        image_id=uuid5(NAMESPACE, name),
        image_name=name,
        wire_image_name=name,
        status="receiving" if have else "pending",
        captured_at=NOW - timedelta(hours=3),
        captured_at_source="device",
        image_size_bytes=total * 100,
        chunk_size_bytes=100,
        total_chunks=total,
        have=set(range(have)),
        created_seq=1,
    )
    for key, value in overrides.items():
        setattr(known, key, value)
    return known


class Talk:
    """One device's messages, each a turn of its own, as batches of one would be."""

    def __init__(self, view: DeviceView) -> None:
        self.view = view
        self.now = NOW
        self.ids: Callable[[], UUID] = seeded_ids("talk")
        self.effects: list[object] = []

    def say(self, message: DeviceMessage, *, dup: bool = False, after_s: float = 1) -> list[ServerMessage]:
        """The replies to one message."""
        self.now += timedelta(seconds=after_s)
        turn = Turn(view=self.view, now=self.now, ids=self.ids, is_redelivery=dup)
        return self._done(turn, ingest.receive(turn, message))

    def wait(self, seconds: float) -> list[ServerMessage]:
        """The replies after a silence."""
        self.now += timedelta(seconds=seconds)
        turn = Turn(view=self.view, now=self.now, ids=self.ids)
        return self._done(turn, ingest.look_again(turn))

    def store(self, image_id: UUID) -> list[ServerMessage]:
        """The replies once an image's bytes are kept."""
        turn = Turn(view=self.view, now=self.now, ids=self.ids)
        return self._done(turn, ingest.stored(turn, image_id, "0" * 64, "originals/00/" + "0" * 64))

    def _done(self, turn: Turn, effects: list[object]) -> list[ServerMessage]:
        self.effects = list(effects)
        for effect in effects:
            if isinstance(effect, RegisterDevice):
                self.view.device_id = effect.device_id
        return [effect.message for effect in effects if isinstance(effect, Reply)]

    def all_of(self, kind: type) -> list[object]:
        """The last turn's effects of that kind."""
        return [effect for effect in self.effects if isinstance(effect, kind)]


def hello(pending: int = 0, names: tuple[str, ...] | None = None) -> Hello:
    return Hello(device_id=MAC, pending_count=pending, pending_list=names)


def metadata(
    name: str = "image_1.jpg", total: int = 10, at: datetime | None = NOW, dialect: str = "v3.5.0"
) -> Metadata:
    return Metadata(
        device_id=MAC,
        image_name=name,
        captured_at=at,
        image_size_bytes=total * 100,
        chunk_size_bytes=100,
        total_chunks=total,
        dialect="v3.5.0",
    )


def chunk(number: int, name: str = "image_1.jpg", data: bytes = b"x") -> Chunk:
    return Chunk(device_id=MAC, image_name=name, chunk_id=number, payload=data)


def send_image(talk: Talk, name: str = "image_1.jpg", total: int = 3, at: datetime | None = NOW) -> list[ServerMessage]:
    """A whole image, stored; all replies."""
    replies = talk.say(metadata(name, total, at))
    for number in range(total):
        replies += talk.say(chunk(number, name))
    for effect in talk.all_of(Complete):
        assert isinstance(effect, Complete)
        replies += talk.store(effect.image_id)
    return replies


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


def test_a_stored_image_offered_again_is_acked_at_its_metadata() -> None:
    talk = Talk(device("oct-2025"))
    talk.say(hello())
    send_image(talk)
    talk.say(hello(1), after_s=3600)
    assert send_image(talk, "image_2.jpg", at=NOW + timedelta(hours=1)) == [SendAllPending()]
    replies = talk.say(metadata("image_1.jpg", 3))
    assert [reply.image_name for reply in replies if isinstance(reply, Done)] == ["image_2.jpg", "image_1.jpg"]
    assert not talk.all_of(CreateImage)


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
