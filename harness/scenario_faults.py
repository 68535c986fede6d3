"""Faults: what goes wrong, at which step of the protocol, for which devices."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import Field, model_validator

from harness.errors import did_you_mean
from harness.scenario_device_faults import DeviceActionName, DeviceActions
from harness.scenario_link_faults import LinkActionName, LinkActions
from harness.scenario_types import AddressField, Duration, Shorthand, StrictModel, WhoField
from harness.units import LanguageError, format_duration

MessageActionName = Literal["power_loss", "cut", "lose", "duplicate", "reorder", "corrupt", "delay"]
MESSAGE_ACTIONS: Final[tuple[MessageActionName, ...]] = get_args(MessageActionName)
LINK_ACTIONS: Final[tuple[LinkActionName, ...]] = get_args(LinkActionName)
DEVICE_ACTIONS: Final[tuple[DeviceActionName, ...]] = get_args(DeviceActionName)
ActionName = MessageActionName | LinkActionName | DeviceActionName
ACTION_NAMES: Final[tuple[ActionName, ...]] = (*MESSAGE_ACTIONS, *LINK_ACTIONS, *DEVICE_ACTIONS)
HEALED_DEVICE_ACTIONS: Final = ("card_full", "battery_death", "clock_skew", "clock_drift")
"""Faults of a device that last until they are healed; the others are over at once or by themselves."""

NEEDED: Final = {
    "delay": "{delay: 5s}",
    "latency": "{latency: 200ms}",
    "bandwidth": "{bandwidth: 2kB}",
    "cut_after": "{cut_after: 1500B}",
    "truncate": "{truncate: 1500B}",
    "slow_close": "{slow_close: 1m}",
    "one_way_loss": "{one_way_loss: up}",
    "packet_loss": "{packet_loss: 5%}",
    "wake_early": "{wake_early: 30m}",
    "wake_late": "{wake_late: 2h}",
    "clock_skew": "{clock_skew: {by: 2h}}",
    "clock_drift": "{clock_drift: 200ppm}",
}
"""Actions that can't be one word, and how they are written."""

PLAIN_ACTIONS: Final = tuple(name for name in ACTION_NAMES if name not in NEEDED)
"""Actions that may be written as one word, with their defaults."""


def _plain_action(word: object) -> object:
    if isinstance(word, str) and word in PLAIN_ACTIONS:
        return {word: {}}
    if isinstance(word, str) and word in NEEDED:
        raise LanguageError(f"{word} needs to know how much", f"write {NEEDED[word]}")
    raise LanguageError(f"no fault is called {word!r}", did_you_mean(str(word), ACTION_NAMES))


class PowerLoss(StrictModel):
    """The device loses power: memory and clock are gone, the SD card stays."""

    for_ms: Duration | None = Field(
        None,
        alias="for",
        description="Boots again after this long; otherwise it stays dark until its next wake is due.",
    )


class Cut(StrictModel):
    """The connection is reset (RST); the device goes to sleep with what it has."""


class Lose(StrictModel):
    """The message disappears; its sender never knows."""


class Duplicate(StrictModel):
    """The message arrives more than once."""

    times: int = Field(1, ge=1, le=1_000, description="How many extra copies.")
    within_ms: Duration = Field(0, alias="within", description="The copies are spread over this long.")


class Reorder(StrictModel):
    """The message is held back and overtaken by later ones."""

    by: int | None = Field(None, ge=1, le=20_000, description="How many later messages overtake it; 1 if not given.")
    order: Literal["reversed", "shuffled"] | None = Field(
        None, description="For chunk[*] only: all chunks of the transfer are sent in this order."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Reorder:
        if self.by is not None and self.order is not None:
            raise LanguageError("by and order exclude each other", "keep one of them")
        return self


class Corrupt(StrictModel):
    """Bits of the message flip on the way."""

    flip: int = Field(1, ge=1, le=4_096, description="How many bits flip, chosen by the seed.")
    where: Literal["payload", "json"] = Field(
        "payload",
        description="`payload`: inside the image bytes (the message stays valid); `json`: anywhere in the text.",
    )


class Delay(StrictModel):
    """The message arrives later; those behind it wait too."""

    for_ms: Duration = Field(alias="for", description="How much later.")


class FaultAction(LinkActions, DeviceActions):
    """What happens: exactly one of these."""

    power_loss: PowerLoss | None = Field(None, description="The device loses power right after the message.")
    cut: Cut | None = Field(None, description="The connection is reset right after the message.")
    lose: Lose | None = Field(None, description="The message disappears.")
    duplicate: Annotated[Duplicate, Shorthand("times", schema={"type": "integer"})] | None = Field(
        None, description="Extra copies of the message; a number stands for `times`."
    )
    reorder: (
        Annotated[Reorder, Shorthand("order", schema={"type": "string", "enum": ["reversed", "shuffled"]})] | None
    ) = Field(None, description="The message is overtaken; `reversed` and `shuffled` stand for `order`.")
    corrupt: Corrupt | None = Field(None, description="Bits of the message flip.")
    delay: Annotated[Delay, Shorthand("for", schema={"type": "string"})] | None = Field(
        None, description="The message arrives later; a duration stands for `for`."
    )

    @property
    def name(self) -> ActionName:
        """The one action that is set."""
        return next(name for name in ACTION_NAMES if name in self.model_fields_set)

    @model_validator(mode="after")
    def _exactly_one(self) -> FaultAction:
        if len(self.model_fields_set) != 1 or getattr(self, self.name) is None:
            raise LanguageError("says not exactly one action", "one of " + ", ".join(ACTION_NAMES))
        return self


class Fault(StrictModel):
    """One thing that goes wrong. `.sent` is what the device sends, `.received` what it is sent."""

    who: WhoField = Field(description="The devices that it strikes.")
    at: AddressField = Field(
        description="The step of the protocol: hello, metadata, chunk[N] (the first is 0), chunk[last], chunk[*], "
        "telemetry `.sent`; snap, resume, missing_chunks, ack_ok, sleep, send_image, send_all_pending, "
        "retry `.received`. Or `link` or `device`: from the beginning of a wake."
    )
    do: Annotated[
        FaultAction,
        Shorthand("do", schema={"type": "string", "enum": list(PLAIN_ACTIONS)}, make=_plain_action),
    ] = Field(description="What happens: one word, or a mapping with its settings.")
    from_ms: Duration = Field(
        0, alias="from", description="For `link` and `device`: it begins so long after the wake began."
    )
    for_ms: Duration | None = Field(
        None,
        alias="for",
        description="For faults that last: it is over after this long. Otherwise a fault of the line is over at the "
        "device's next wake, one of the device at the next step with faults.",
    )
    times: int | Literal["all"] = Field(
        1,
        description="How many of the messages that match are struck, for each device, or for `link` and `device` how "
        "many wakes; `all` of them.",
    )
    wake: int | None = Field(
        None, ge=1, description="Only in this wake of the step, counted from 1; in any wake if not given."
    )

    @model_validator(mode="after")
    def _legal(self) -> Fault:
        if isinstance(self.times, int) and self.times < 1:
            raise LanguageError("times is below 1", "a number from 1, or all")
        name = self.do.name
        self._check_place(name)
        if name == "reorder":
            self._check_reorder()
        if name == "corrupt" and self.do.corrupt and self.do.corrupt.where == "payload" and self.at.event != "chunk":
            raise LanguageError(
                f"{self.at} carries no image bytes", "write {corrupt: {where: json}}, or strike a chunk"
            )
        if self.do.power_loss and self.do.power_loss.for_ms == 0:
            raise LanguageError("power_loss for " + format_duration(0) + " is no loss", "for example 10s")
        return self

    def _check_place(self, name: str) -> None:
        """Which faults can be at which place, and which of them last."""
        if self.at.direction == "lasting":
            right = LINK_ACTIONS if self.at.event == "link" else DEVICE_ACTIONS
            if name not in right:
                raise LanguageError(f"{name} does not strike at {self.at}", self._right_place(name))
        elif self.from_ms:
            raise LanguageError("from belongs to at: link and at: device", "a step of the protocol has its own moment")
        if name == "brownout" and self.at.direction != "sent":
            raise LanguageError("brownout strikes in the middle of a message", "for example at: chunk[2].sent")
        if self.for_ms is not None and name not in (*LINK_ACTIONS, *HEALED_DEVICE_ACTIONS):
            hint = "write {power_loss: {for: 10s}}" if name == "power_loss" else None
            raise LanguageError(f"{name} does not last, so it takes no for", hint or "leave it out")
        if self.for_ms == 0:
            raise LanguageError("for 0s is nothing", "for example 30s")

    def _right_place(self, name: str) -> str:
        if name in MESSAGE_ACTIONS:
            return "it strikes messages: for example at: chunk[2].sent"
        return f"write at: {'link' if name in LINK_ACTIONS else 'device'}, or a step of the protocol"

    def _check_reorder(self) -> None:
        if self.at.event not in ("metadata", "chunk", "telemetry"):
            raise LanguageError(
                f"{self.at} can not be reordered", "nothing follows it; metadata, chunk or telemetry can"
            )
        if self.do.reorder and self.do.reorder.order and not (self.at.event == "chunk" and self.at.which == "any"):
            raise LanguageError(f"{self.do.reorder.order} needs all chunks", "write at: chunk[*].sent")
