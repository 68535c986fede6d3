"""Faults of a simulated device that last: those of its line (`windows`), and those of the device itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.dut.windows import FaultyLine, Windows
from server.wire.codec import encode_device_message
from server.wire.topics import topic_of
from simulator.device_messages import Readings, hello_of
from simulator.device_mishaps import drain_battery, lose_card
from simulator.link import LinkError
from simulator.mishap import DeviceFault
from simulator.sd_card import SdCard

if TYPE_CHECKING:
    from harness.dut.simulated import SimulatedDut

WAKE_MIN_AHEAD_MS = 1_000
"""A timer that runs fast still takes a second."""


class Mishaps(Windows):
    """What lasts with one simulated device; `Stricken` for its faults."""

    def __init__(self, owner: SimulatedDut, line: FaultyLine | None) -> None:
        super().__init__(owner, line, self._strike_device)
        self._owner = owner
        self._shift_ms = 0
        self._drift_ppm = 0

    def _strike_device(self, fault: Any) -> Callable[[], None] | None:
        fault.strike(self)
        return None if type(fault).heal is DeviceFault.heal else partial(fault.heal, self)

    def heal(self) -> None:
        """Nothing lasts any more, and nothing comes."""
        super().heal()
        self._shift_ms = 0

    def next_wake_ms(self, at_ms: int) -> int:
        """When the device really wakes that means to wake at `at_ms`; a wrong timer is right again after that."""
        shift_ms, self._shift_ms = self._shift_ms, 0
        now_ms = self._owner.clock.now_ms()
        shift_ms -= round((at_ms - now_ms) * self._drift_ppm / (1_000_000 + self._drift_ppm))
        return at_ms if not shift_ms else max(at_ms + shift_ms, now_ms + WAKE_MIN_AHEAD_MS)

    # -- what faults do (`Stricken`) -----------------------------------------------------------------------

    def reset(self, reason: str) -> None:
        self._owner.reset(reason)

    def lose_card(self) -> None:
        self._owner.perform(lose_card(self._owner.device))

    def set_card_full(self, *, is_full: bool) -> None:
        self._owner.device.card.is_full = is_full

    def drain_battery(self) -> None:
        self._owner.perform(drain_battery(self._owner.device, self._owner.clock.now_ms()))

    def renew_battery(self) -> None:
        self._owner.device.battery.renew()
        self._owner.wake("poweron")

    def skew_clock(self, by_ms: int) -> None:
        self._owner.device.clock.skew(by_ms)

    def drift_clock(self, by_ppm: int) -> None:
        self._drift_ppm += by_ppm

    def restart_counter(self) -> None:
        self._owner.device.card.counter = 0

    def shift_next_wake(self, by_ms: int) -> None:
        self._shift_ms += by_ms

    def skip_wakes(self, count: int) -> None:
        self._shift_ms += count * self._owner.planned.interval_ms

    def meet_twin(self, stay_ms: int) -> None:
        self._owner.start(self._be_twin(stay_ms))

    async def _be_twin(self, stay_ms: int) -> None:
        """The other device has a fresh card, hears answers and does nothing about them."""
        owner = self._owner
        link = owner.new_link(lambda topic, payload: None, lambda reason: None)
        readings = Readings(owner.rng.child("twin"), 1, owner.profile)
        hello = hello_of(SdCard(1), owner.device.battery, owner.device.identity, owner.profile, readings)
        channel, payload = encode_device_message(hello, owner.dialect, owner.profile.encoding_quirks)
        try:
            await link.connect()
            await link.publish(topic_of(owner.dialect.family, owner.planned.mac, channel), payload)
            await owner.pause(stay_ms)
            await link.disconnect()
        except LinkError as error:
            owner.note("fault", action="twin", phase="leaves", why=type(error).__name__)
        finally:
            link.cut()
