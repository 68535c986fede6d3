"""The camera's machine, event by event."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from server.wire.codec import decode, dialect_called, encode_device_message
from server.wire.messages import (
    Capture,
    Done,
    Hello,
    Metadata,
    MissingChunks,
    Resume,
    Retry,
    SendAllPending,
    SendImage,
    Sleep,
    Telemetry,
)
from server.wire.topics import topic_of
from simulator.device_states import State
from simulator.effects import Captured, Publish, Woken
from simulator.profile import PROFILES
from tests.support.device_playbook import (
    DEVICE_ID,
    START_MS,
    Playbook,
    all_sent,
    deadline,
    later,
    link_lost,
    link_up,
    moment,
    next_wake,
    power_loss,
    puback,
    told,
    wake,
)

IMAGE_1 = ["metadata image_1.jpg", "chunk image_1.jpg 0", "chunk image_1.jpg 1", "chunk image_1.jpg 2"]
IMAGE_2 = [line.replace("image_1", "image_2") for line in IMAGE_1]
HALF_PAST_FIVE = datetime(2026, 1, 5, 17, 30, tzinfo=UTC)
OWN_TIMER = ["disconnect", "sleep until 05 03:00:00"]


def awake(profile: str = "esp32s3-cam@3.5.0", **traits: Any) -> Playbook:
    """A device that has said HELLO and was acknowledged."""
    play = Playbook(profile, **traits)
    play >> wake() << ["connect 1"]
    play >> link_up() << ["hello"]
    return play >> puback() << []


def interrupted_after(chunk_index: int, **traits: Any) -> Playbook:
    """Power was lost right after that chunk; the device is awake again and has said HELLO."""
    play = awake(**traits)
    play >> told(Capture())
    while play.unacked is None or play.unacked.chunk_index != chunk_index:
        play >> (puback() if play.unacked else deadline())
    play >> power_loss() << ["cut", "sleep until 05 03:00:00"]
    play >> next_wake() << ["connect 1"]
    return play >> link_up() << ["hello"] >> puback() << []


def hello_of(play: Playbook) -> Hello:
    found = [effect.message for effect in play.history if isinstance(effect, Publish)]
    return [message for message in found if isinstance(message, Hello)][-1]


def offline_wake(play: Playbook) -> None:
    """A wake without Wi-Fi, to its end."""
    while play.device.state is State.CONNECTING:
        play >> deadline()


def test_a_photo_is_sent_acked_and_leaves_the_queue() -> None:
    play = awake()
    play >> told(Capture()) << ["captured image_1.jpg", IMAGE_1[0]]
    play >> all_sent() << IMAGE_1[1:]
    assert play.device.pending == ("image_1.jpg",)
    play >> told(Done(image_name="image_1.jpg", next_wake=HALF_PAST_FIVE)) << ["released image_1.jpg"]
    assert play.device.state is State.LINGERING
    play >> later(999) << []
    play >> later(1) << ["disconnect", "sleep until 05 17:30:00"]
    assert not play.device.pending


def test_chunks_are_spaced_from_the_puback_on() -> None:
    play = awake()
    play >> told(Capture()) >> puback() << []
    play >> later(199) << []
    play >> later(1) << ["chunk image_1.jpg 0"]
    play >> later(5_000) << []
    play >> puback() >> later(200) << ["chunk image_1.jpg 1"]


def test_no_answer_to_hello_ends_the_wake() -> None:
    awake() >> later(14_999) << [] >> later(1) << OWN_TIMER


def test_no_ack_leaves_the_image_in_the_queue() -> None:
    play = awake() >> told(Capture()) >> all_sent()
    play >> later(29_999) << [] >> later(1) << OWN_TIMER
    assert play.device.pending == ("image_1.jpg",)
    play >> next_wake() >> link_up()
    assert hello_of(play).pending_count == 1
    assert hello_of(play).pending_list == ("image_1.jpg",)


def test_without_wifi_the_photo_stays_on_the_card() -> None:
    play = Playbook() >> wake() << ["connect 1"]
    play >> later(7_999) << [] >> later(1) << ["connect 2"]
    play >> deadline() << ["connect 3"]
    play >> deadline() << ["captured image_1.jpg offline", *OWN_TIMER]
    assert play.now_ms == START_MS + 24_000
    assert play.device.pending == ("image_1.jpg",)


def test_a_broker_that_is_away_is_tried_three_times() -> None:
    play = Playbook() >> wake()
    play.device.wifi_up(play.now_ms)
    play >> link_lost() << ["connect 2 mqtt"] >> link_lost() << ["connect 3 mqtt"]
    play >> link_lost() << ["captured image_1.jpg offline", *OWN_TIMER]


def test_offline_photos_are_dated_by_the_last_ntp_time_and_the_interval() -> None:
    play = awake() >> told(Sleep(next_wake=moment(Playbook(), 3 * 3_600_000)))
    for _ in range(2):
        play >> next_wake()
        offline_wake(play)
    dates = [effect.captured_at for effect in play.history if isinstance(effect, Captured)]
    assert dates == [datetime(2026, 1, 5, 3, tzinfo=UTC), datetime(2026, 1, 5, 6, tzinfo=UTC)]


def test_a_clock_that_was_never_set_says_1970() -> None:
    play = Playbook("esp32s3-cam@3.5.0+unset-clock") >> wake()
    offline_wake(play)
    assert [effect.captured_at.year for effect in play.history if isinstance(effect, Captured)] == [1970]


@pytest.mark.parametrize("chunk_index", [0, 1])
def test_resume_goes_on_after_the_last_chunk(chunk_index: int) -> None:
    play = interrupted_after(chunk_index)
    play >> told(Resume(image_name="image_1.jpg")) << [f"chunk image_1.jpg {chunk_index + 1}"]
    play >> all_sent() << IMAGE_1[chunk_index + 3 :]


def test_resume_of_an_image_that_was_sent_whole_repeats_the_last_chunk() -> None:
    play = interrupted_after(2)
    play >> told(Resume(image_name="image_1.jpg")) << ["chunk image_1.jpg 2"] >> all_sent() << []


def test_resume_before_the_first_chunk_starts_with_it() -> None:
    play = awake() >> told(Capture()) >> power_loss() >> next_wake() >> link_up() >> puback()
    play >> told(Resume(image_name="image_1.jpg")) << ["chunk image_1.jpg 0"]


def test_firmware_without_resume_starts_over() -> None:
    play = interrupted_after(1, profile="esp32s3-cam@3.0.0-no-resume")
    play >> told(Resume(image_name="image_1.jpg")) << IMAGE_1[:1] >> all_sent() << IMAGE_1[1:]


def test_resume_of_an_offline_photo_sends_it_whole() -> None:
    play = Playbook() >> wake()
    offline_wake(play)
    play >> next_wake() >> link_up() >> puback()
    play >> told(Resume(image_name="image_1.jpg")) << IMAGE_1[:1] >> all_sent() << IMAGE_1[1:]


def test_resume_of_what_is_not_on_the_card_is_ignored() -> None:
    awake() >> told(Resume(image_name="image_9.jpg")) << []


def test_an_empty_ack_means_done_to_paper_firmware() -> None:
    play = awake("esp32s3-cam@paper-v4") >> told(Capture()) >> all_sent()
    play >> told(Resume(image_name="image_1.jpg")) << ["released image_1.jpg"]
    play >> later(1_000) << OWN_TIMER


def test_an_empty_ack_never_means_done_to_the_others() -> None:
    play = awake() >> told(Capture()) >> all_sent() >> told(Resume(image_name="image_1.jpg")) >> all_sent()
    assert play.device.pending == ("image_1.jpg",)


def test_missing_chunks_alone_are_sent_again_at_most_three_times() -> None:
    play = awake() >> told(Capture()) >> all_sent()
    for _ in range(3):
        play >> told(MissingChunks(image_name="image_1.jpg", chunk_indexes=(0, 2, 2, 7))) >> all_sent()
        assert play.device.state is State.AWAITING_ACK
    play >> told(MissingChunks(image_name="image_1.jpg", chunk_indexes=(0, 2))) << [] >> all_sent() << []
    sent = [effect.chunk_index for effect in play.history if isinstance(effect, Publish) and effect.event == "chunk"]
    assert sent == [0, 1, 2] + [0, 2] * 3


def test_a_missing_chunk_that_is_still_to_come_is_sent_once() -> None:
    play = awake() >> told(Capture()) >> told(MissingChunks(image_name="image_1.jpg", chunk_indexes=(1, 2))) << []
    play >> all_sent() << IMAGE_1[1:]


def test_a_confirmed_image_that_is_wanted_again_needs_an_ack_again() -> None:
    play = awake() >> told(Capture()) >> all_sent()
    done = Done(image_name="image_1.jpg", next_wake=HALF_PAST_FIVE)
    play >> told(done) >> later(500) >> told(SendImage(image_name="image_1.jpg")) << IMAGE_1[:1]
    play >> all_sent() << IMAGE_1[1:]
    assert play.device.state is State.LINGERING
    play >> later(900) << [] >> told(done) << [] >> later(900) << [] >> later(100)
    play << ["disconnect", "sleep until 05 17:30:00"]


def test_a_wake_time_that_passed_while_sending_means_at_once() -> None:
    play = awake() >> told(Capture()) >> all_sent()
    play >> told(Done(image_name="image_1.jpg", next_wake=moment(play, 500)))
    play >> deadline() << ["disconnect", f"sleep until {moment(play, 1_000):%d %H:%M:%S}"]


def test_this_very_moment_means_tomorrow() -> None:
    play = awake() >> told(Sleep(next_wake=moment(Playbook(), 0))) << ["disconnect", "sleep until 06 00:00:00"]
    assert play.device.state is State.SLEEPING


@pytest.mark.parametrize("habit", [{"hangs_after_error": True}, {"reconnects_per_wake": 1}])
def test_a_link_lost_after_the_final_ack_is_no_error(habit: dict[str, Any]) -> None:
    play = awake(**habit) >> told(Capture()) >> all_sent()
    play >> told(Done(image_name="image_1.jpg", next_wake=HALF_PAST_FIVE)) >> link_lost()
    play << ["disconnect", "sleep until 05 17:30:00"]


def test_nothing_missing_changes_nothing() -> None:
    play = awake() >> told(Capture()) >> all_sent()
    play >> told(MissingChunks(image_name="image_1.jpg", chunk_indexes=())) << []
    assert play.device.state is State.AWAITING_ACK


def test_a_chunk_sent_again_does_not_move_the_place_to_resume() -> None:
    play = interrupted_after(1)
    play >> told(MissingChunks(image_name="image_1.jpg", chunk_indexes=(0,))) << ["chunk image_1.jpg 0"]
    play >> power_loss() >> next_wake() >> link_up() >> puback()
    play >> told(Resume(image_name="image_1.jpg")) << ["chunk image_1.jpg 2"]


def test_only_one_photo_a_wake() -> None:
    play = awake() >> told(Capture()) >> told(Capture()) << [] >> all_sent() << IMAGE_1[1:]
    play >> told(Capture()) << []
    play >> told(Done(image_name="image_1.jpg", next_wake=HALF_PAST_FIVE)) >> told(Capture()) << []


def test_the_backlog_goes_out_in_one_row() -> None:
    play = Playbook("esp32s3-cam@2025.10") >> wake()
    offline_wake(play)
    play >> next_wake() >> link_up() >> puback() >> told(Capture())
    play >> told(SendAllPending()) << [] >> all_sent() << [*IMAGE_2[1:], *IMAGE_1]
    play >> told(SendAllPending()) << []
    for name in ("image_1.jpg", "image_2.jpg"):
        play >> told(Done(image_name=name, next_wake=HALF_PAST_FIVE)) << [f"released {name}"] >> later(500) << []
    play >> later(500) << ["disconnect", "sleep until 05 17:30:00"]


def test_a_command_while_lingering_goes_first() -> None:
    play = Playbook() >> wake()
    offline_wake(play)
    play >> next_wake() >> link_up() >> puback() >> told(Capture()) >> all_sent()
    play >> told(Done(image_name="image_2.jpg", next_wake=HALF_PAST_FIVE)) << ["released image_2.jpg"]
    play >> later(900) << [] >> told(SendImage(image_name="image_1.jpg")) << IMAGE_1[:1]
    play >> all_sent() << IMAGE_1[1:]
    assert play.device.state is State.AWAITING_ACK
    play >> deadline() << ["disconnect", "sleep until 05 17:30:00"]


def test_send_image_twice_sends_it_once() -> None:
    play = awake() >> told(Capture()) >> told(SendImage(image_name="image_1.jpg")) << []
    play >> all_sent() << IMAGE_1[1:]


def test_retry_asks_for_all_or_for_some() -> None:
    play = awake() >> told(Capture()) >> all_sent()
    play >> told(Retry(image_id="7", image_name="image_1.jpg", chunk_indexes=(1,))) << []
    play >> all_sent() << ["chunk image_1.jpg 1"]
    play >> told(Retry(image_id="7", image_name="image_1.jpg", chunk_indexes=None)) << [] >> all_sent() << IMAGE_1


def test_an_ack_at_the_metadata_stops_the_rest() -> None:
    play = interrupted_after(2) >> told(SendImage(image_name="image_1.jpg")) << IMAGE_1[:1]
    play >> told(Done(image_name="image_1.jpg", next_wake=HALF_PAST_FIVE)) << ["released image_1.jpg"]
    play >> all_sent() << []
    play >> deadline() << ["disconnect", "sleep until 05 17:30:00"]


def test_sleep_is_obeyed_at_once_and_keeps_the_queue() -> None:
    play = awake() >> told(Capture()) >> told(Sleep(next_wake=HALF_PAST_FIVE))
    play << ["disconnect", "sleep until 05 17:30:00"]
    assert play.device.pending == ("image_1.jpg",)


def test_a_wake_time_that_has_passed_means_tomorrow() -> None:
    play = Playbook()
    play.now_ms += 20 * 3_600_000
    play >> wake() >> link_up() >> told(Sleep(next_wake=HALF_PAST_FIVE)) << ["disconnect", "sleep until 06 17:30:00"]


def test_a_lost_link_ends_the_wake() -> None:
    play = awake() >> told(Capture()) >> link_lost() << OWN_TIMER
    assert play.device.pending == ("image_1.jpg",)


def test_firmware_that_reconnects_says_hello_again_and_takes_no_second_photo() -> None:
    play = awake(reconnects_per_wake=1) >> told(Capture()) >> link_lost() << ["connect 1 mqtt"]
    play >> link_up() << ["hello"] >> puback() >> told(Capture()) << []
    play >> link_lost() << OWN_TIMER


def test_a_publish_that_is_never_acknowledged_ends_the_wake() -> None:
    awake() >> told(Capture()) >> later(60_000) << OWN_TIMER


def test_an_answer_before_the_puback_of_hello_waits_for_it() -> None:
    play = Playbook() >> wake() >> link_up() >> told(Capture()) << ["captured image_1.jpg"]
    play >> puback() << ["metadata image_1.jpg"]


def test_power_comes_back_when_told() -> None:
    play = awake() >> power_loss(10_000) << ["cut", "sleep until 05 00:00:10"]
    play >> next_wake() << ["connect 1"]
    assert play.device.reset_reason.value == "poweron"


def test_commands_are_not_heard_asleep() -> None:
    play = awake() >> told(Sleep(next_wake=HALF_PAST_FIVE)) >> told(Capture()) << []
    assert play.device.card.captures == ()


def test_own_timer_whatever_the_server_says() -> None:
    play = awake("esp32s3-cam@3.5.0+ignores-next-wake")
    play >> told(Sleep(next_wake=HALF_PAST_FIVE)) << OWN_TIMER


def test_hangs_until_its_watchdog_bites() -> None:
    play = awake("esp32s3-cam@3.5.0+hangs-after-error") >> told(Capture()) >> all_sent() >> deadline() << []
    assert play.device.state is State.HUNG
    play >> told(Done(image_name="image_1.jpg", next_wake=HALF_PAST_FIVE)) << []
    play >> later(599_999) << [] >> later(1) << ["cut", "connect 1"]
    assert Woken(2, "task_wdt") in play.history, "a reset begins a wake, and says so"


def test_a_storm_of_nearly_empty_messages_between_the_chunks() -> None:
    play = awake("esp32s3-cam@3.5.0+metadata-storm") >> told(Capture()) >> all_sent()
    published = [effect for effect in play.history if isinstance(effect, Publish)]
    storm = [effect.message for effect in published if isinstance(effect.message, Telemetry)]
    assert 30 <= len(storm) <= 50
    assert {message.image_name for message in storm} == {"image_1.jpg"}
    assert [effect.chunk_index for effect in published if effect.event == "chunk"] == [0, 1, 2]


def test_the_counter_restarts_and_both_photos_stay() -> None:
    play = Playbook("esp32s3-cam@3.5.0+counter-restarts") >> wake()
    offline_wake(play)
    for _ in range(3):
        play >> next_wake()
        offline_wake(play)
    names = [f"image_{number}.jpg" for number in (1, 2, 3, 1)]
    assert list(play.device.pending) == names
    assert len({entry.sha256 for entry in play.device.card.captures}) == 4
    play >> power_loss() >> next_wake() >> link_up() >> told(Capture())
    assert play.device.pending[-1] == "image_1.jpg"


def test_acks_of_equal_names_mean_the_images_in_the_order_they_were_offered() -> None:
    play = Playbook("esp32s3-cam@2025.10", counter_restarts_after_wakes=1) >> wake()
    offline_wake(play)
    play >> next_wake() >> link_up() >> puback() >> told(Capture()) >> told(SendAllPending()) >> all_sent()
    assert play.device.pending == ("image_1.jpg", "image_1.jpg")
    old, _ = play.device.card.captures
    play >> told(Done(image_name="image_1.jpg", next_wake=HALF_PAST_FIVE)) << ["released image_1.jpg"]
    assert play.device.card.pending == (old,), "the new one was offered first"
    play >> told(Done(image_name="image_1.jpg", next_wake=HALF_PAST_FIVE)) << ["released image_1.jpg"]
    assert not play.device.card.pending


def test_what_the_device_says_is_read_back_by_the_servers_codec() -> None:
    for name, profile in PROFILES.items():
        dialect = dialect_called(profile.dialect)
        play = awake(name) >> told(Capture()) >> all_sent()
        for effect in play.history:
            if not isinstance(effect, Publish):
                continue
            channel, payload = encode_device_message(effect.message, dialect, profile.encoding_quirks)
            address, message = decode(topic_of(dialect.family, DEVICE_ID, channel), payload)
            assert message == effect.message
            assert address.device_id == DEVICE_ID


def test_a_device_can_be_put_away_and_taken_out_again() -> None:
    play = awake() >> told(Capture())
    copy = pickle.loads(pickle.dumps(play.device))
    assert play.unacked is not None
    number, later_ms = play.unacked.number, play.now_ms + 200
    for device in (play.device, copy):
        device.sent(number, play.now_ms)
    assert copy.tick(later_ms) == play.device.tick(later_ms) != []


@pytest.mark.parametrize("marker", ["soi", "eoi"])
def test_damage_at_the_source_is_said(marker: str) -> None:
    play = awake(f"esp32s3-cam@3.5.0+jpeg-without-{marker}") >> told(Capture())
    assert [effect.damaged_at_source for effect in play.history if isinstance(effect, Captured)] == [True]


def test_a_full_card_is_reported_and_nothing_pending_is_lost() -> None:
    play = Playbook(card_capacity_bytes=3_500) >> wake()
    offline_wake(play)
    play >> next_wake() >> link_up() >> puback() >> told(Capture()) << ["telemetry"]
    play >> all_sent() >> told(SendImage(image_name="image_1.jpg")) >> all_sent()
    play >> told(Done(image_name="image_1.jpg", next_wake=HALF_PAST_FIVE)) >> deadline()
    play >> next_wake() >> link_up() >> puback() >> told(Capture()) << ["captured image_2.jpg", IMAGE_2[0]]


def test_an_empty_battery_ends_it() -> None:
    play = Playbook() >> wake()
    play.device.battery.draw_mj(1e12)
    play >> power_loss() >> next_wake() << ["dark"]
    assert play.device.next_wake_ms is None


def test_the_sha256_dialect_says_the_hash() -> None:
    play = awake("esp32s3-cam@sha256") >> told(Capture())
    messages = [effect.message for effect in play.history if isinstance(effect, Publish)]
    metadata = next(message for message in messages if isinstance(message, Metadata))
    assert metadata.image_sha256 == play.device.card.captures[0].sha256


def test_paper_firmware_counts_chunks_from_one_on_the_wire() -> None:
    play = awake("esp32s3-cam@paper-v4") >> told(Capture()) >> all_sent()
    chunks = [effect for effect in play.history if isinstance(effect, Publish) and effect.event == "chunk"]
    assert [getattr(effect.message, "chunk_id", None) for effect in chunks] == [1, 2, 3]
    assert [effect.chunk_index for effect in chunks] == [0, 1, 2]
