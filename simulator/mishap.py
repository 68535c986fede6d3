"""Faults of a device itself: what strikes it, and how that is undone. Pure.

A fault is a frozen value; `strike` and `heal` call what `Stricken` offers, which the driver of a device does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol


class Stricken(Protocol):
    """A device, as far as faults can reach it."""

    def reset(self, reason: str) -> None:
        """The chip restarts at once for that reason: memory is gone, the card stays."""

    def lose_card(self) -> None:
        """What is on the card is gone; an empty one is in its place."""

    def set_card_full(self, *, is_full: bool) -> None:
        """Whether the card takes no new photo."""

    def drain_battery(self) -> None:
        """The battery is empty: dark at once."""

    def renew_battery(self) -> None:
        """A full battery is in its place, and the device boots."""

    def skew_clock(self, by_ms: int) -> None:
        """Its clock is wrong by so much more, whatever NTP says; below 0 is behind."""

    def drift_clock(self, by_ppm: int) -> None:
        """Its clock runs so much faster, in sleep too; below 0 is slower."""

    def restart_counter(self) -> None:
        """The next photo is image_1.jpg."""

    def shift_next_wake(self, by_ms: int) -> None:
        """Its timer for the next wake is wrong by so much; below 0 is early."""

    def skip_wakes(self, count: int) -> None:
        """It sleeps through its next wakes."""

    def meet_twin(self, stay_ms: int) -> None:
        """Another device of the same id connects, says HELLO and stays so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFault:
    """What goes wrong with a device. `tears_message`: in the middle of the message that it strikes at."""

    tears_message: ClassVar[bool] = False

    def strike(self, device: Stricken) -> None:
        """It happens."""
        raise NotImplementedError

    def heal(self, device: Stricken) -> None:
        """It is over; nothing where there is nothing to undo."""
