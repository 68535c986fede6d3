"""Power: why a device starts, what each state draws, and what is left in the battery. Pure.

The current profile is stated, not measured: figures of the order that the ESP32-S3 data sheet gives (deep sleep of the
chip 8 uA, receiving about 95 mA, sending 802.11n up to 290 mA), with a camera board around it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Final


class ResetReason(Enum):
    """Why the chip started, after `esp_reset_reason_t`."""

    POWERON = "poweron"
    DEEPSLEEP = "deepsleep"
    BROWNOUT = "brownout"
    PANIC = "panic"
    SW = "sw"
    INT_WDT = "int_wdt"
    TASK_WDT = "task_wdt"
    WDT = "wdt"

    @property
    def loses_rtc(self) -> bool:
        """The RTC memory (next wake, counters in RAM) is gone: power was."""
        return self in (ResetReason.POWERON, ResetReason.BROWNOUT)


def reset_reason(text: str) -> ResetReason:
    """`timer` and `button` end a deep sleep; else the name of a reason, in any case. Raises ValueError."""
    if text.lower() in ("timer", "button", "manual"):
        return ResetReason.DEEPSLEEP
    if text.lower() == "software":
        return ResetReason.SW
    try:
        return ResetReason(text.lower())
    except ValueError:
        names = ", ".join(("timer", "button", *(reason.value for reason in ResetReason)))
        raise ValueError(f"no reset reason {text!r}; there are {names}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentProfile:
    """Draw of the board in each activity, and what one photo costs."""

    sleeping_ua: int = 150
    connecting_ma: int = 160
    waiting_ma: int = 95
    sending_ma: int = 220
    hung_ma: int = 70
    capture_mj: int = 600

    def draw_ua(self, activity: str) -> int:
        """Microamperes in a state of the device, by the state's name."""
        match activity:
            case "off":
                return 0
            case "sleeping":
                return self.sleeping_ua
            case "connecting" | "joining":
                return self.connecting_ma * 1_000
            case "sending":
                return self.sending_ma * 1_000
            case "hung":
                return self.hung_ma * 1_000
        return self.waiting_ma * 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryModel:
    """A cell pack: what it holds when full, and the share that is left at the start."""

    capacity_mwh: int = 37_000
    charge_at_start: float = 1.0
    voltage_nominal_v: float = 3.7
    currents: CurrentProfile = field(default_factory=CurrentProfile)


_DISCHARGE: Final = ((0.0, 3.00), (0.05, 3.45), (0.2, 3.65), (0.5, 3.78), (0.8, 4.00), (1.0, 4.20))
"""Open-circuit voltage of a lithium-ion cell by charge: (share left, volts), linear in between."""

_MJ_PER_MWH: Final = 3_600


class Battery:
    """What is left; energy is counted in millijoules."""

    def __init__(self, model: BatteryModel) -> None:
        self.model = model
        self.used_mj = 0.0
        self._since_ms: int | None = None
        self._full_mj = model.capacity_mwh * _MJ_PER_MWH

    @property
    def charge(self) -> float:
        """The share that is left, 0..1."""
        return max(0.0, self.model.charge_at_start - self.used_mj / self._full_mj)

    @property
    def is_empty(self) -> bool:
        return self.charge <= 0.0

    @property
    def voltage_v(self) -> float:
        """Open-circuit voltage, to the hundredth."""
        charge = min(1.0, self.charge)
        for (low, low_v), (high, high_v) in pairwise(_DISCHARGE):
            if charge <= high:
                return round(low_v + (high_v - low_v) * (charge - low) / (high - low), 2)
        return _DISCHARGE[-1][1]

    def spend(self, activity: str, now_ms: int) -> None:
        """Take what `activity` draws, at the nominal voltage, for the time since the last call."""
        duration_ms = 0 if self._since_ms is None else max(0, now_ms - self._since_ms)
        self._since_ms = now_ms
        current_ua = self.model.currents.draw_ua(activity)
        self.used_mj += current_ua * self.model.voltage_nominal_v * duration_ms / 1e6

    def drain(self) -> None:
        """Nothing is left."""
        self.used_mj = self.model.charge_at_start * self._full_mj

    def renew(self) -> None:
        """As at the start."""
        self.used_mj = 0.0

    def draw_mj(self, energy_mj: float) -> None:
        """Take a fixed amount."""
        self.used_mj += energy_mj
