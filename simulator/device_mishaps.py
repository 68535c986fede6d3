"""What befalls a device from outside its firmware: a lost card, an empty battery. Pure."""

from __future__ import annotations

from simulator.device import Device
from simulator.effects import CardLost, Effect, Log, SleepUntil


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
