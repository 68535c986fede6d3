"""Tests of the device read like a play: `play >> wake() << ["connect 1"]`, what happens and what it must do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from server.wire.messages import Chunk, Metadata, Telemetry
from simulator.camera import Camera
from simulator.device import Device
from simulator.device_states import State
from simulator.effects import (
    Captured,
    CardLost,
    Connect,
    DeviceIdentity,
    Disconnect,
    Effect,
    ImageReleased,
    Log,
    Publish,
    SleepUntil,
    Woken,
)
from simulator.profile import profile_named
from simulator.rng import Rng

START_MS = 1_767_571_200_000
"""2026-01-05T00:00:00Z."""

DEVICE_ID = "B8F862F9C1C4"
INTERVAL_MS = 3 * 3_600_000

Happening = Callable[["Playbook"], list[Effect]]


def spoken(effect: Effect) -> str:
    """An effect in a few words."""
    match effect:
        case Connect():
            return f"connect {effect.attempt}" + (" mqtt" if effect.wifi_is_up else "")
        case Publish(message=Chunk() as chunk):
            return f"chunk {chunk.image_name} {effect.chunk_index}"
        case Publish(message=Metadata() as metadata):
            return f"metadata {metadata.image_name}"
        case Publish(message=Telemetry()):
            return "telemetry"
        case Publish():
            return effect.event
        case Captured():
            return f"captured {effect.image_name}" + (" offline" if effect.offline else "")
        case ImageReleased():
            return f"released {effect.image_name}"
        case Disconnect():
            return "cut" if effect.abrupt else "disconnect"
        case SleepUntil(at_ms=None):
            return "dark"
        case SleepUntil(at_ms=at_ms):
            return f"sleep until {datetime.fromtimestamp((at_ms or 0) / 1000, UTC):%d %H:%M:%S}"
        case Woken(number=number, reason=reason):
            return f"wake {number} by {reason}"
        case CardLost():
            return f"card lost with {len(effect.lost_sha256)}"
        case Log():
            return effect.text


class Playbook:
    """One device, a clock that the play moves, and a link that acknowledges only when the play says so."""

    def __init__(self, profile: str = "esp32s3-cam@3.5.0", *, size_bytes: int = 3_000, **traits: Any) -> None:
        self.now_ms = START_MS
        traits = {"chunk_size_bytes": 1_000} | traits
        self.profile = profile_named(profile).with_traits(**traits)
        camera = Camera(device_id=DEVICE_ID, seed=1, size_bytes=size_bytes, without=self.profile.jpeg_without)
        identity = DeviceIdentity(device_id=DEVICE_ID, location="yard")
        self.device = Device(identity, self.profile, camera, Rng(1), INTERVAL_MS)
        self.unacked: Publish | None = None
        self.history: list[Effect] = []
        self._last: list[Effect] = []

    def __rshift__(self, happening: Happening) -> Playbook:
        self._last = happening(self)
        return self

    def __lshift__(self, expected: list[str]) -> Playbook:
        found = [spoken(effect) for effect in self._last if not isinstance(effect, Log | Woken)]
        assert found == expected
        return self

    def performed(self, effects: list[Effect]) -> list[Effect]:
        """Keep what was done; at most one publish may be without its PUBACK."""
        for effect in effects:
            if isinstance(effect, Publish):
                assert self.unacked is None, "a second publish before the first was acknowledged"
                self.unacked = effect
            if isinstance(effect, Disconnect):
                self.unacked = None
        self.history += effects
        return effects


def wake(reason: str = "timer") -> Happening:
    return lambda play: play.performed(play.device.wake(play.now_ms, reason))


def link_up() -> Happening:
    return lambda play: play.performed(play.device.link_up(play.now_ms))


def link_lost() -> Happening:
    def happen(play: Playbook) -> list[Effect]:
        play.unacked = None
        return play.performed(play.device.link_lost(play.now_ms))

    return happen


def puback() -> Happening:
    def happen(play: Playbook) -> list[Effect]:
        publish, play.unacked = play.unacked, None
        assert publish is not None, "nothing is without its PUBACK"
        return play.performed(play.device.sent(publish.number, play.now_ms))

    return happen


def told(message: object) -> Happening:
    return lambda play: play.performed(play.device.receive(message, play.now_ms))


def later(ms: int) -> Happening:
    def happen(play: Playbook) -> list[Effect]:
        play.now_ms += ms
        return play.performed(play.device.tick(play.now_ms))

    return happen


def deadline() -> Happening:
    def happen(play: Playbook) -> list[Effect]:
        assert play.device.deadline_ms is not None, "no deadline"
        play.now_ms = max(play.now_ms, play.device.deadline_ms)
        return play.performed(play.device.tick(play.now_ms))

    return happen


def all_sent() -> Happening:
    """The broker acknowledges everything until the device has nothing more to send."""

    def happen(play: Playbook) -> list[Effect]:
        effects: list[Effect] = []
        while play.unacked is not None or play.device.state is State.SENDING:
            effects += (puback() if play.unacked is not None else deadline())(play)
        return effects

    return happen


def power_loss(back_after_ms: int | None = None) -> Happening:
    def happen(play: Playbook) -> list[Effect]:
        back_at_ms = None if back_after_ms is None else play.now_ms + back_after_ms
        return play.performed(play.device.power_loss(play.now_ms, back_at_ms))

    return happen


def next_wake() -> Happening:
    def happen(play: Playbook) -> list[Effect]:
        assert play.device.next_wake_ms is not None, "no next wake"
        play.now_ms = play.device.next_wake_ms
        return wake()(play)

    return happen


def moment(play: Playbook, ahead_ms: int) -> datetime:
    """The scenario time so many milliseconds ahead."""
    return datetime.fromtimestamp(play.now_ms / 1000, UTC) + timedelta(milliseconds=ahead_ms)
