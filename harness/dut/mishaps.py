"""Faults of a simulated device that last: those of its line, and those of the device itself.

A fault of the line is over after its `for`, else when the next wake begins; one of the device after its `for`, else at
the next step with faults. Heal ends them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from harness.bench.clock import Timer
from server.wire.codec import encode_device_message
from server.wire.topics import topic_of
from simulator.device_messages import Readings, hello_of
from simulator.device_mishaps import drain_battery, lose_card
from simulator.fault import Begin
from simulator.link import LinkError
from simulator.mishap import DeviceFault
from simulator.sd_card import SdCard
from simulator.stream import StreamFault

if TYPE_CHECKING:
    from harness.dut.simulated import SimulatedDut

WAKE_MIN_AHEAD_MS = 1_000
"""A timer that runs fast still takes a second."""


class FaultyLine(Protocol):
    """The line between a device and the broker, as a bench makes it."""

    def begin(self, fault: StreamFault, *, once: bool = False) -> int:
        """The fault lasts from now on, or `once` until it has struck; its number."""
        ...

    def end(self, number: int) -> None:
        """It is over."""
        ...


@dataclass(slots=True, eq=False)
class _Window:
    name: str
    undo: Callable[[], None]
    is_of_line: bool
    timer: Timer | None = None


class Mishaps:
    """What lasts with one device; `Stricken` for its faults."""

    def __init__(self, owner: SimulatedDut, line: FaultyLine | None) -> None:
        self._owner = owner
        self.line = line
        self._windows: list[_Window] = []
        self._coming: list[Timer] = []
        self._shift_ms = 0

    # -- windows -----------------------------------------------------------------------------------------

    def begin(self, begin: Begin) -> None:
        """It lasts from now on."""
        owner, fault = self._owner, begin.fault
        owner.note("fault", action=begin.name, phase="begins")
        if isinstance(fault, StreamFault):
            assert self.line is not None, "a bench gives every device with faults of its line a line"
            number = self.line.begin(fault, once=fault.strikes_once and begin.for_ms is None)
            window = _Window(begin.name, lambda: self._end_on_line(number), is_of_line=True)
        else:
            fault.strike(self)
            if type(fault).heal is DeviceFault.heal:
                return  # there is nothing to undo
            window = _Window(begin.name, lambda: fault.heal(self), is_of_line=False)
        self._windows.append(window)
        if begin.for_ms is not None:
            window.timer = owner.clock.call_at(owner.clock.now_ms() + begin.for_ms, lambda: self._end(window))

    def _end_on_line(self, number: int) -> None:
        assert self.line is not None, "it began there"
        self.line.end(number)

    def _end(self, window: _Window) -> None:
        if window in self._windows:
            self._windows.remove(window)
            if window.timer is not None:
                window.timer.cancel()
            self._owner.note("fault", action=window.name, phase="ends")
            window.undo()

    def new_wake(self) -> None:
        """A wake begins: the line is well again, and the faults of this wake come."""
        owner = self._owner
        for window in [window for window in self._windows if window.is_of_line and window.timer is None]:
            self._end(window)
        for from_ms, begin in owner.faults.lasting_for(owner.wakes):
            if from_ms == 0 and isinstance(begin.fault, StreamFault):
                self.begin(begin)
            else:  # what may end this wake strikes once the device has done what the wake told it
                at_ms = owner.clock.now_ms() + from_ms
                self._coming.append(owner.clock.call_at(at_ms, partial(self.begin, begin)))

    def heal(self) -> None:
        """Nothing lasts any more, and nothing comes."""
        for timer in self._coming:
            timer.cancel()
        self._coming.clear()
        for window in list(self._windows):
            self._end(window)
        self._shift_ms = 0

    def next_wake_ms(self, at_ms: int) -> int:
        """When the device really wakes that means to wake at `at_ms`; a wrong timer is right again after that."""
        shift_ms, self._shift_ms = self._shift_ms, 0
        return at_ms if not shift_ms else max(at_ms + shift_ms, self._owner.clock.now_ms() + WAKE_MIN_AHEAD_MS)

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
