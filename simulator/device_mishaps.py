"""What befalls a device from outside its firmware: a lost card, an empty battery, another firmware. Pure."""

from __future__ import annotations

from simulator.camera import Camera, Cameras
from simulator.device import Device
from simulator.effects import CardLost, Effect, Log, SleepUntil
from simulator.own_clock import OwnClock
from simulator.profile import Profile


def lose_card(device: Device) -> list[Effect]:
    """An empty card is in the place of the old one; nothing more of its photos is sent."""
    lost = device.card.wipe()
    device.forget_photos(lost)
    return [Log("error", "the card is empty"), CardLost(tuple(entry.sha256 for entry in lost))]


def drain_battery(device: Device, now_ms: int) -> list[Effect]:
    """Dark at once, and no next wake: nobody knows when there is a new battery."""
    effects = device.power_loss(now_ms)[:-1]
    device.battery.drain()
    device.next_wake_ms = None
    return [*effects, SleepUntil(None)]


def change_firmware(device: Device, profile: Profile, camera: Camera) -> None:
    """The device, which sleeps, wakes with that firmware; card, counter and battery stay, its clock is set anew."""
    device.profile = profile
    device.clock = OwnClock(profile.clock_skew_ms, device.interval_ms, profile.clock_unset_until_ntp)
    if isinstance(device.camera, Cameras):
        next_wake = device.wake_number + 1
        oldest_wake = min((entry.wake_number for entry in device.card.captures), default=next_wake)
        device.camera = device.camera.followed_by(camera, next_wake, oldest_wake=oldest_wake)
