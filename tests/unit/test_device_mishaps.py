"""What befalls a device from outside: a lost card, an empty battery, a watchdog where there is no Wi-Fi."""

from __future__ import annotations

from datetime import UTC, datetime

from server.wire.messages import Capture, Done
from simulator.device_mishaps import drain_battery, lose_card
from simulator.device_states import State
from simulator.effects import CardLost, ImageReleased, Publish, SleepUntil
from tests.support.device_playbook import Playbook, all_sent, deadline, link_up, puback, told, wake

HALF_PAST_FIVE = datetime(2026, 1, 5, 5, 30, tzinfo=UTC)


def awake() -> Playbook:
    return Playbook() >> wake() >> link_up() >> puback()


def test_hanging_firmware_without_wifi_sleeps_after_its_watchdog() -> None:
    play = Playbook("esp32s3-cam@3.5.0+hangs-after-error") >> wake()
    for _ in range(6):  # three tries and a hang, the watchdog, three tries
        play >> deadline()
    assert play.device.state is not State.SLEEPING
    play >> deadline()
    assert play.device.state is State.SLEEPING
    assert play.device.next_wake_ms is not None
    assert len(play.device.pending) == 2


def test_a_lost_card_ends_what_is_sent_of_it() -> None:
    play = awake() >> told(Capture()) >> puback()
    entry = play.device.card.pending[0]
    assert [effect for effect in lose_card(play.device) if isinstance(effect, CardLost)] == [CardLost((entry.sha256,))]
    play >> all_sent()
    assert play.device.pending == ()
    assert [effect for effect in play.history if isinstance(effect, Publish) and effect.event == "chunk"] == []
    play >> told(Done(image_name="image_1.jpg", next_wake=HALF_PAST_FIVE))
    assert [effect for effect in play.history if isinstance(effect, ImageReleased)] == []


def test_an_empty_battery_is_dark_until_there_is_a_new_one() -> None:
    play = awake() >> told(Capture())
    assert play.performed(drain_battery(play.device, play.now_ms))[-1] == SleepUntil(None)
    play >> wake() << ["dark"]
    play.device.battery.renew()
    play >> wake("poweron") << ["connect 1"]
