"""Faults of a device itself: restarts, card, battery, timer, clock, counter, and a second device of the same id."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from harness.scenario_types import Duration, Ppm, Shorthand, StrictModel

ResetReason = Literal["poweron", "brownout", "panic", "sw", "int_wdt", "task_wdt", "wdt"]


class Crash(StrictModel):
    """The firmware panics and boots again at once, with empty memory."""


class Brownout(StrictModel):
    """The supply dips in the middle of a message: half of its bytes go out, and the chip restarts."""


class Reset(StrictModel):
    """The chip restarts, for the reason given."""

    reason: ResetReason = Field("sw", description="An `esp_reset_reason_t` in small letters, without its prefix.")


class CardLoss(StrictModel):
    """The SD card is lost with all that is on it; an empty one is in its place."""


class CardFull(StrictModel):
    """The SD card takes no new photo; what is on it can be sent."""


class BatteryDeath(StrictModel):
    """The battery is empty: dark at once, until it is replaced."""


class WakeEarly(StrictModel):
    """The next wake comes too early."""

    by_ms: Duration = Field(alias="by", description="How much too early.")


class WakeLate(StrictModel):
    """The next wake comes too late."""

    by_ms: Duration = Field(alias="by", description="How much too late.")


class WakeSkip(StrictModel):
    """The device sleeps through its next wakes."""

    count: int = Field(1, ge=1, le=100, description="How many wakes.")


class Twin(StrictModel):
    """A second device of the same id connects, says HELLO, and leaves."""

    stay_ms: Duration = Field(20_000, alias="stay", description="How long it is there.")


class ClockSkew(StrictModel):
    """The device's clock is wrong, and NTP does not help."""

    by_ms: Duration = Field(alias="by", description="How wrong.")
    to: Literal["ahead", "behind"] = Field("ahead", description="In which direction.")


class ClockDrift(StrictModel):
    """The device's clock runs fast or slow, in sleep too; NTP sets it right at each wake."""

    by_ppm: Ppm = Field(alias="by", description="How far off it runs.", gt=0, le=100_000)
    to: Literal["fast", "slow"] = Field("slow", description="In which direction.")


class CounterReset(StrictModel):
    """The image counter starts again: the next photo is image_1.jpg."""


DeviceActionName = Literal[
    "crash",
    "brownout",
    "reset",
    "card_loss",
    "card_full",
    "battery_death",
    "wake_early",
    "wake_late",
    "wake_skip",
    "twin",
    "clock_skew",
    "clock_drift",
    "counter_reset",
]

_TEXT: Final = {"type": "string"}


class DeviceActions(StrictModel):
    """What can happen to the device."""

    crash: Crash | None = Field(None, description="The firmware panics and boots again at once.")
    brownout: Brownout | None = Field(None, description="Half of the message goes out, then the chip restarts.")
    reset: Annotated[Reset, Shorthand("reason", schema=_TEXT)] | None = Field(
        None, description="The chip restarts; a word stands for `reason`."
    )
    card_loss: CardLoss | None = Field(None, description="The SD card is lost with all that is on it.")
    card_full: CardFull | None = Field(None, description="The SD card takes no new photo.")
    battery_death: BatteryDeath | None = Field(None, description="The battery is empty.")
    wake_early: Annotated[WakeEarly, Shorthand("by", schema=_TEXT)] | None = Field(
        None, description="The next wake comes too early; a duration stands for `by`."
    )
    wake_late: Annotated[WakeLate, Shorthand("by", schema=_TEXT)] | None = Field(
        None, description="The next wake comes too late; a duration stands for `by`."
    )
    wake_skip: Annotated[WakeSkip, Shorthand("count", schema={"type": "integer"})] | None = Field(
        None, description="It sleeps through wakes; a number stands for `count`."
    )
    twin: Annotated[Twin, Shorthand("stay", schema=_TEXT)] | None = Field(
        None, description="A second device of the same id; a duration stands for `stay`."
    )
    clock_skew: ClockSkew | None = Field(None, description="Its clock is wrong.")
    clock_drift: Annotated[ClockDrift, Shorthand("by", schema=_TEXT)] | None = Field(
        None, description="Its clock runs slow, or fast; parts per million such as 200ppm stand for `by`."
    )
    counter_reset: CounterReset | None = Field(None, description="The image counter starts again.")
