"""Whatever happens to a camera, in any order: it never raises, and it never gives a photo away unconfirmed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from server.wire.messages import Capture, Done, MissingChunks, Resume, Retry, SendAllPending, SendImage, Sleep
from simulator.device_diagram import PAGE, mermaid, page
from simulator.device_states import TRANSITIONS, State
from simulator.effects import Captured, Effect, ImageReleased, Publish, SleepUntil
from simulator.profile import BASES, MISBEHAVIOURS
from tests.support.device_playbook import Playbook, moment

ROOT = Path(__file__).parents[2]
NAMES = st.sampled_from([f"image_{number}.jpg" for number in range(1, 5)])
INDEXES = st.lists(st.integers(-2, 5), max_size=4).map(tuple)
PROFILES = st.builds(
    lambda base, words: "+".join([base, *words]),
    st.sampled_from(sorted(BASES)),
    st.lists(st.sampled_from(sorted(MISBEHAVIOURS)), max_size=2, unique=True),
)
HAPPENINGS = st.one_of(
    st.tuples(st.just("wake"), st.sampled_from(["timer", "button", "brownout", "panic"])),
    st.tuples(st.sampled_from(["wifi_up", "link_up", "link_lost", "puback", "deadline"]), st.none()),
    st.tuples(st.just("deadline"), st.none()),
    st.tuples(st.just("puback"), st.none()),
    st.tuples(st.just("sent"), st.integers(0, 40)),
    st.tuples(st.just("later"), st.integers(0, 20_000)),
    st.tuples(st.just("power_loss"), st.one_of(st.none(), st.integers(0, 10_000))),
    st.tuples(st.just("reset"), st.sampled_from(["panic", "brownout", "poweron"])),
    st.tuples(st.sampled_from(["capture", "send_all_pending", "sleep", "nonsense"]), st.none()),
    st.tuples(st.sampled_from(["done", "resume", "send_image", "retry"]), NAMES),
    st.tuples(st.sampled_from(["missing", "retry_some"]), st.tuples(NAMES, INDEXES)),
)


def message_of(word: str, value: Any, play: Playbook) -> object:
    ahead = moment(play, 3_600_000)
    makers: dict[str, Callable[[], object]] = {
        "capture": Capture,
        "send_all_pending": SendAllPending,
        "sleep": lambda: Sleep(next_wake=ahead),
        "nonsense": lambda: "reboot",
        "done": lambda: Done(image_name=value, next_wake=ahead),
        "resume": lambda: Resume(image_name=value),
        "send_image": lambda: SendImage(image_name=value),
        "retry": lambda: Retry(image_id="1", image_name=value, chunk_indexes=None),
        "missing": lambda: MissingChunks(image_name=value[0], chunk_indexes=value[1]),
        "retry_some": lambda: Retry(image_id="1", image_name=value[0], chunk_indexes=value[1]),
    }
    return makers[word]()


def happens(play: Playbook, word: str, value: Any) -> list[Effect]:
    device = play.device
    if word == "wake":
        return device.wake(play.now_ms, value)
    if word in ("wifi_up", "link_up"):
        return list(getattr(device, word)(play.now_ms))
    if word == "link_lost":
        play.unacked = None
        return device.link_lost(play.now_ms)
    if word == "puback":
        publish, play.unacked = play.unacked, None
        return [] if publish is None else device.sent(publish.number, play.now_ms)
    if word == "sent":
        return [] if play.unacked and value == play.unacked.number else device.sent(value, play.now_ms)
    if word in ("later", "deadline"):
        play.now_ms = play.now_ms + value if word == "later" else max(play.now_ms, device.deadline_ms or 0)
        return device.tick(play.now_ms)
    if word == "power_loss":
        return device.power_loss(play.now_ms, None if value is None else play.now_ms + value)
    if word == "reset":
        return device.reset(value, play.now_ms)
    return device.receive(message_of(word, value, play), play.now_ms)


@settings(max_examples=300, deadline=None)
@given(profile=PROFILES, script=st.lists(HAPPENINGS, max_size=60))
def test_no_sequence_of_events_breaks_a_device(profile: str, script: list[tuple[str, Any]]) -> None:
    play = Playbook(profile, size_bytes=2_500, chunk_size_bytes=1_000, reconnects_per_wake=1)
    device = play.device
    pending: list[str] = []
    photos: list[Captured] = []
    for word, value in [("wake", "timer"), ("link_up", None), ("puback", None), *script]:
        before = device.state
        effects = play.performed(happens(play, word, value))
        for effect in effects:
            if isinstance(effect, Captured):
                photos.append(effect)
                pending.append(effect.sha256)
            if isinstance(effect, ImageReleased):
                is_empty_ack = word == "resume" and play.profile.empty_ack_ok_means == "done"
                assert word == "done" or is_empty_ack, f"{word} took {effect.image_name} off the queue"
                pending.remove(effect.sha256)
            if isinstance(effect, SleepUntil):
                assert effect.at_ms == device.next_wake_ms
        assert [entry.sha256 for entry in device.card.pending] == pending
        assert device.state is before or device.state in reachable(before)
        is_asleep = device.state in (State.OFF, State.SLEEPING)
        assert is_asleep == (device.deadline_ms is None), f"{device.state} with deadline {device.deadline_ms}"
        assert not is_asleep or device.next_wake_ms is not None
    wakes = [photo.wake_number for photo in photos]
    assert len(set(wakes)) == len(wakes), "two photos in one wake"
    assert len({photo.sha256 for photo in photos}) == len(photos), "two equal photos"


def reachable(start: State) -> set[State]:
    """States that one call can lead to: a call may pass through several (a reset wakes, an ack ends a row)."""
    found, fresh = {start}, [start]
    while fresh:
        fresh = [state for known in fresh for state in TRANSITIONS[known].values() if state not in found]
        found |= set(fresh)
    return found


@settings(max_examples=100, deadline=None)
@given(profile=PROFILES, script=st.lists(HAPPENINGS, max_size=40))
def test_the_same_events_have_the_same_effects(profile: str, script: list[tuple[str, Any]]) -> None:
    plays = [Playbook(profile), Playbook(profile)]
    for play in plays:
        for word, value in [("wake", "timer"), ("link_up", None), ("puback", None), *script]:
            play.performed(happens(play, word, value))
    assert plays[0].history == plays[1].history


@settings(max_examples=100, deadline=None)
@given(
    size_bytes=st.integers(400, 6_000),
    chunk_size_bytes=st.integers(1, 6_000).filter(lambda size: size >= 100),
    cut_after=st.integers(0, 80),
    resume_from=st.sampled_from(["last_chunk", "start"]),
)
def test_what_was_sent_adds_up_to_the_photo(
    size_bytes: int, chunk_size_bytes: int, cut_after: int, resume_from: str
) -> None:
    """Power is lost after some message; with the resumed rest, the chunks make the photo's bytes."""
    play = Playbook(size_bytes=size_bytes, chunk_size_bytes=chunk_size_bytes, resume_from=resume_from)
    script = [("wake", "timer"), ("link_up", None), ("puback", None), ("capture", None)]
    script += [("puback", None), ("deadline", None)] * (cut_after % (-(-size_bytes // chunk_size_bytes) + 1))
    script += [("power_loss", None), ("wake", "timer"), ("link_up", None), ("puback", None)]
    for word, value in [*script, ("resume", "image_1.jpg")]:
        play.performed(happens(play, word, value))
    while play.device.state is State.SENDING:
        play.performed(happens(play, "puback" if play.unacked else "deadline", None))
    (entry,) = play.device.card.captures
    pieces = {
        effect.chunk_index: effect.message
        for effect in play.history
        if isinstance(effect, Publish) and effect.event == "chunk"
    }
    joined = b"".join(getattr(pieces[index], "payload", b"") for index in range(entry.total_chunks))
    assert joined == entry.jpeg
    assert len(joined) == size_bytes


def test_every_state_can_be_left_and_the_drawing_is_current() -> None:
    assert set(TRANSITIONS) == set(State)
    for state in State:
        assert f"    {state.value} --> " in mermaid()
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page(), "run: python -m simulator.device_diagram"


def test_a_moved_clock_of_the_device_moves_its_wake() -> None:
    play = Playbook(clock_skew_ms=600_000)
    for word in ("wake", "link_up"):
        play.performed(happens(play, word, "timer"))
    told = moment(play, 3 * 3_600_000)
    play.performed(play.device.receive(Sleep(next_wake=told), play.now_ms))
    assert play.device.next_wake_ms == round((told - timedelta(minutes=10)).timestamp() * 1000)
