"""The nemesis: which faults a scenario day brings, drawn from a seed by a pure function.

A schedule is data (`planned_day`): the same seed, day and fleet give the same tuple, and a day does not depend on the
days before it, so a schedule can be shrunk, printed and replayed. Nothing here injects anything. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from simulator.rng import Rng

INTERRUPTING: Final = frozenset({"power_loss", "cut", "lose", "corrupt"})
"""After these, the server asks for what is missing, in this wake or the next."""

AFTERMATH_CHANCE: Final = 0.4
"""That the very recovery goes wrong too."""

Action = Literal["power_loss", "cut", "lose", "duplicate", "reorder", "corrupt", "delay"]
Target = Literal["server", "broker", "database"]

DEVICE_FAULT_CHANCE: Final = 0.3
"""Of a wake: about one in three goes wrong."""

WIFI_DOWN_CHANCE: Final = 0.05
DEVICES_PER_OUTAGE: Final = 50
"""A fleet of this size meets one draw of each outage a day; smaller ones too."""


@dataclass(frozen=True, slots=True)
class DeviceFault:
    """In the `wake`-th wake of the day (from 1), the first message at `event.direction` meets `action`.

    `which`: a chunk's index, or `any`. `parameters` are those of `PlannedFault`.
    """

    device: int
    wake: int
    event: str
    direction: Literal["sent", "received"]
    which: int | Literal["any"]
    action: Action
    parameters: tuple[tuple[str, Any], ...] = ()
    times: int | None = 1

    @property
    def kind(self) -> str:
        """What the report counts it as."""
        return f"{self.action} {self.event}.{self.direction}"


@dataclass(frozen=True, slots=True)
class WifiDown:
    """That wake finds no Wi-Fi; the photo is taken offline."""

    device: int
    wake: int

    @property
    def kind(self) -> str:
        """What the report counts it as."""
        return "wifi down"


@dataclass(frozen=True, slots=True)
class Outage:
    """`after_ms` into that wake of that device, `target` is hit; it is healed `for_ms` later."""

    target: Target
    do: str
    undo: str
    for_ms: int
    device: int
    wake: int
    after_ms: int

    @property
    def kind(self) -> str:
        """What the report counts it as."""
        return f"{self.target} {self.do}"


Planned = DeviceFault | WifiDown | Outage

_OUTAGES: Final[tuple[tuple[Target, str, str, float, int], ...]] = (
    ("server", "crash", "start", 0.5, 20_000),
    ("server", "stop", "start", 0.25, 20_000),
    ("server", "pause", "resume", 0.25, 30_000),
    ("broker", "stop", "start", 0.4, 10_000),
    ("broker", "pause", "resume", 0.25, 20_000),
    ("broker", "lose_sessions", "", 0.1, 0),
    ("database", "stop", "start", 0.5, 30_000),
)
"""Target, how it goes, how it comes back, chance a draw, longest in ms. A stopped broker drops every connection."""

_SENT: Final = ("hello", "metadata", "chunk", "chunk", "chunk", "chunk")
_RECEIVED: Final = ("snap", "resume", "missing_chunks", "ack_ok", "ack_ok", "send_image", "send_all_pending")
_ASKING: Final = ("resume", "missing_chunks", "send_image", "send_all_pending")
KINDS_OF_OUTAGE: Final = tuple(f"{target} {do}" for target, do, *_ in _OUTAGES)


def all_kinds() -> tuple[str, ...]:
    """Every kind that a schedule can hold, sorted: what a report lists even where it never struck."""
    sent = {"power_loss", "cut", "lose", "duplicate", "corrupt", "delay"}
    events = {f"{action} {event}.sent" for action in sent for event in _SENT}
    received = {f"{action} {event}.received" for action in ("lose", "duplicate", "power_loss") for event in _RECEIVED}
    return tuple(sorted({*events, *received, "reorder chunk.sent", "wifi down", *KINDS_OF_OUTAGE}))


def planned_day(seed: int, day: int, devices: int, wakes: int, chunks: int) -> tuple[Planned, ...]:
    """The faults of one day for `devices` cameras that wake `wakes` times and send images of `chunks` chunks."""
    rng = Rng(f"{seed}/nemesis/{day}")
    found: list[Planned] = []
    for device in range(devices):
        own = rng.child(f"device/{device}")
        for wake in range(1, wakes + 1):
            if own.chance(WIFI_DOWN_CHANCE):
                found.append(WifiDown(device, wake))
            elif own.chance(DEVICE_FAULT_CHANCE):
                fault = _device_fault(own, device, wake, chunks)
                found.append(fault)
                if fault.action in INTERRUPTING and own.chance(AFTERMATH_CHANCE):
                    found += _aftermath(own, device, wake + 1)
    for draw in range(-(-devices // DEVICES_PER_OUTAGE)):
        found += _outages(rng.child(f"outages/{draw}"), devices, wakes)
    return tuple(found)


def _device_fault(rng: Rng, device: int, wake: int, chunks: int) -> DeviceFault:
    if rng.chance(0.3):
        event = rng.choice(_RECEIVED)
        if rng.chance(0.4):
            return DeviceFault(device, wake, event, "received", "any", "lose")
        if rng.chance(0.5):
            copies = (("times", rng.between(1, 3)), ("within_ms", rng.between(0, 2_000)))
            return DeviceFault(device, wake, event, "received", "any", "duplicate", copies)
        return DeviceFault(device, wake, event, "received", "any", "power_loss", (("for_ms", _dark_ms(rng)),))
    event = rng.choice(_SENT)
    which: int | Literal["any"] = rng.below(chunks) if event == "chunk" else "any"
    if event == "chunk" and rng.chance(0.25):
        return _reordered(rng, device, wake, which)
    match rng.below(6):
        case 0:
            return DeviceFault(device, wake, event, "sent", which, "power_loss", (("for_ms", _dark_ms(rng)),))
        case 1:
            return DeviceFault(device, wake, event, "sent", which, "cut")
        case 2:
            return DeviceFault(device, wake, event, "sent", which, "lose")
        case 3:
            copies = (("times", rng.between(1, 5)), ("within_ms", rng.between(0, 3_000)))
            return DeviceFault(device, wake, event, "sent", which, "duplicate", copies)
        case 4:
            broken = (("flip", rng.between(1, 8)), ("where", "json"))
            return DeviceFault(device, wake, event, "sent", which, "corrupt", broken)
        case _:
            return DeviceFault(device, wake, event, "sent", which, "delay", (("for_ms", rng.between(100, 8_000)),))


def _aftermath(rng: Rng, device: int, wake: int) -> Iterator[DeviceFault]:
    """The same fault for every way in which a server may ask: which one it takes is the dialect's choice."""
    ways: tuple[tuple[Action, tuple[tuple[str, Any], ...]], ...] = (
        ("lose", ()),
        ("duplicate", (("times", 2), ("within_ms", 500))),
        ("power_loss", (("for_ms", _dark_ms(rng)),)),
    )
    action, parameters = rng.choice(ways)
    for event in _ASKING:
        yield DeviceFault(device, wake, event, "received", "any", action, parameters)
    if rng.chance(0.5):  # and this wake's missing chunks, which are asked for at once
        yield DeviceFault(device, wake - 1, "missing_chunks", "received", "any", action, parameters)


def _reordered(rng: Rng, device: int, wake: int, which: int | Literal["any"]) -> DeviceFault:
    if rng.chance(0.5):
        return DeviceFault(device, wake, "chunk", "sent", which, "reorder", (("by", rng.between(1, 5)),))
    order = rng.choice(("reversed", "shuffled"))
    return DeviceFault(device, wake, "chunk", "sent", "any", "reorder", (("order", order),), times=None)


def _dark_ms(rng: Rng) -> int | None:
    """None: dark until its next wake would be due."""
    return None if rng.chance(0.5) else rng.between(1_000, 60_000)


def _outages(rng: Rng, devices: int, wakes: int) -> Iterator[Outage]:
    for target, do, undo, chance, longest_ms in _OUTAGES:
        if rng.chance(chance):
            yield Outage(
                target,
                do,
                undo,
                for_ms=rng.between(min(500, longest_ms), longest_ms),
                device=rng.below(devices),
                wake=rng.between(1, wakes),
                after_ms=rng.between(0, 12_000),
            )
