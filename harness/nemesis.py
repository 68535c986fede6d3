"""The nemesis: which faults a scenario day brings, drawn from a seed by a pure function.

A schedule is data (`planned_day`): the same seed, day and fleet give the same tuple, and a day does not depend on the
days before it, so a schedule can be shrunk, printed and replayed. Nothing here injects anything. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from harness.scenario_faults import ActionName
from simulator.rng import Rng

INTERRUPTING: Final = frozenset({"power_loss", "cut", "lose", "corrupt", "brownout"})
"""After these, the server asks for what is missing, in this wake or the next."""

AFTERMATH_CHANCE: Final = 0.4
"""That the very recovery goes wrong too."""

Target = Literal["server", "broker", "database", "store", "fleet"]

DEVICE_FAULT_CHANCE: Final = 0.3
"""Of a wake: about one in three goes wrong."""

WIFI_DOWN_CHANCE: Final = 0.05
OUTLASTED_CHANCE: Final = 0.3
"""That a camera without Wi-Fi is struck once more, after all its tries: firmware that hangs is hung by then."""

LATE_MS: Final = (26_000, 60_000)
LONG_CHANCE: Final = 0.1
LONG_MS_MAX: Final = 900_000
"""Of an outage: now and then it outlasts the wakes, and the sessions, that it began in."""

CORRUPT_BYTES_CHANCE: Final = 0.04
CORRUPT_AFTER_BYTES: Final = (300, 1_000)
"""A kilobyte's message has nothing but image in these bytes."""

CORRUPT_FOR_MS: Final = 1_000
DEVICES_PER_OUTAGE: Final = 50
"""A fleet of this size meets one draw of each outage a day; smaller ones too."""


@dataclass(frozen=True, slots=True)
class DeviceFault:
    """In the `wake`-th wake of the day (from 1), the first message at `event.direction` meets `action`.

    `which`: a chunk's index, or `any`. `parameters` are those of `PlannedFault`. With direction `lasting` it begins
    `from_ms` after the wake, on the device's `link` or in the `device`, and lasts `for_ms`.
    """

    device: int
    wake: int
    event: str
    direction: Literal["sent", "received", "lasting"]
    which: int | Literal["any"]
    action: ActionName
    parameters: tuple[tuple[str, Any], ...] = ()
    times: int | None = 1
    from_ms: int = 0
    for_ms: int | None = None

    @property
    def kind(self) -> str:
        """What the report counts it as."""
        if self.direction == "lasting":
            return f"{self.action} {self.event}"
        return f"{self.action} {self.event}.{self.direction}"

    @property
    def sign(self) -> str:
        """Of its row in the catalogue, `harness.fault_signs`."""
        return f"action:{self.action}"


@dataclass(frozen=True, slots=True)
class WifiDown:
    """That wake finds no Wi-Fi; the photo is taken offline."""

    device: int
    wake: int

    @property
    def kind(self) -> str:
        """What the report counts it as."""
        return "wifi down"

    @property
    def sign(self) -> str:
        """Of its row in the catalogue."""
        return "wifi:down"


@dataclass(frozen=True, slots=True)
class Outage:
    """`after_ms` into that wake of that device, `target` is hit; it is healed `for_ms` later.

    `which` server; None is the one that always serves. `fleet wakes at once` is no fault of a step: all cameras wake.
    """

    target: Target
    do: str
    undo: str
    for_ms: int
    device: int
    wake: int
    after_ms: int
    settings: tuple[tuple[str, Any], ...] = ()
    which: int | None = None

    @property
    def kind(self) -> str:
        """What the report counts it as."""
        return f"{self.target} {self.do}"

    @property
    def sign(self) -> str:
        """Of its row in the catalogue."""
        return _SIGNS.get(self.kind, f"step:{self.target}:{self.do}")


Planned = DeviceFault | WifiDown | Outage


_SIGNS: Final = {"server joins": "servers:several", "fleet herd": "fleet:herd"}
"""Of the outages that scenarios write otherwise than as a step."""


@dataclass(frozen=True, slots=True)
class _OutageKind:
    """`chance` a draw; `longest_ms` from strike to heal, 0: it is over at once; `settings` to choose from.

    Each comes once in so many draws as its chance says, on a day of the seed's choice.
    """

    target: Target
    do: str
    undo: str
    chance: float
    longest_ms: int = 0
    settings: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    which: int | None = None


_LONG_UNTIL: Final = ("start", "resume")
_TIMES: Final = (("times", (1, 3)),)
_OUTAGES: Final = (
    _OutageKind("server", "crash", "start", 0.4, 20_000),
    _OutageKind("server", "stop", "start", 0.15, 20_000),
    _OutageKind("server", "pause", "resume", 0.2, 30_000),
    _OutageKind("server", "slow", "heal", 0.1, 60_000, (("by_ms", (500, 2_000)),)),
    _OutageKind("server", "joins", "leaves", 0.1, 1_800_000, which=1),
    _OutageKind("broker", "stop", "start", 0.2, 10_000),
    _OutageKind("broker", "crash", "start", 0.15, 10_000),
    _OutageKind("broker", "pause", "resume", 0.15, 20_000),
    _OutageKind("broker", "lose_sessions", "heal", 0.1, 1_000),
    _OutageKind("broker", "redeliver", "heal", 0.1, 20_000, (("dup", (True, False)),)),
    _OutageKind("broker", "full_queue", "heal", 0.1, 20_000, (("messages", (1, 4)),)),
    _OutageKind("broker", "takeover", "heal", 0.1, 5_000, _TIMES),
    _OutageKind("broker", "disconnect_storm", "", 0.1, 0, _TIMES),
    _OutageKind("broker", "retained_junk", "heal", 0.05, 20_000),
    _OutageKind("database", "stop", "start", 0.2, 30_000),
    _OutageKind("database", "crash", "start", 0.15, 30_000),
    _OutageKind("database", "pause", "resume", 0.15, 10_000),
    _OutageKind("database", "kill_backends", "heal", 0.15, 1_000),
    _OutageKind("database", "lose_answer", "heal", 0.2, 10_000, (("nth", (1, 2, 5)),)),
    _OutageKind("database", "deadlock", "heal", 0.1, 10_000, _TIMES),
    _OutageKind("database", "serialization_failure", "heal", 0.1, 10_000, _TIMES),
    _OutageKind("database", "lock_timeout", "heal", 0.1, 10_000, _TIMES),
    _OutageKind("database", "disk_full", "heal", 0.1, 20_000),
    _OutageKind("database", "too_many_connections", "heal", 0.1, 20_000),
    _OutageKind("database", "read_only", "heal", 0.05, 20_000),
    _OutageKind("store", "full", "heal", 0.05, 60_000),
    _OutageKind("store", "unreachable", "heal", 0.05, 60_000),
    _OutageKind("store", "slow", "heal", 0.05, 60_000, (("by_ms", (200, 5_000)),)),
    _OutageKind("store", "keeps", "heal", 0.05, 60_000),
    _OutageKind("fleet", "herd", "", 0.05),
)
"""A stopped broker drops every connection."""

_WAYS: Final = ("way", ("up", "down", "both"))
_HOUR_MS: Final = 3_600_000

LASTING: Final[
    tuple[tuple[Literal["link", "device"], ActionName, int, tuple[tuple[str, tuple[Any, ...]], ...]], ...]
] = (
    ("link", "latency", 30_000, (("delay_ms", (50, 400, 2_000)), ("jitter_ms", (0, 300)), _WAYS)),
    ("link", "bandwidth", 30_000, (("rate_bytes_per_s", (500, 2_000, 20_000)), _WAYS)),
    ("link", "slicer", 30_000, (("slice_bytes", (1, 7, 100)), ("gap_ms", (0, 2)), _WAYS)),
    ("link", "cut_after", 0, (("after_bytes", (100, 1_500, 6_000)), ("way", ("up", "down")))),
    ("link", "truncate", 0, (("after_bytes", (100, 1_500, 6_000)), ("way", ("up", "down")))),
    ("link", "half_open", 0, (("unaware", ("broker", "device")),)),
    ("link", "rst", 3_000, ()),
    ("link", "slow_close", 30_000, (("delay_ms", (1_000, 60_000)),)),
    ("link", "blackhole", 30_000, ()),
    ("link", "one_way_loss", 30_000, (("way", ("up", "down")),)),
    ("link", "packet_loss", 30_000, (("percent", (1.0, 10.0, 40.0)), ("resend_ms", (200, 1_000)), _WAYS)),
    ("device", "crash", 0, ()),
    ("device", "reset", 0, (("reason", ("sw", "int_wdt", "task_wdt")),)),
    ("device", "card_loss", 0, ()),
    ("device", "card_full", 6 * _HOUR_MS, ()),
    ("device", "battery_death", 6 * _HOUR_MS, ()),
    ("device", "wake_early", 0, (("by_ms", (60_000, 1_800_000)),)),
    ("device", "wake_late", 0, (("by_ms", (60_000, 1_800_000, 7_200_000)),)),
    ("device", "wake_skip", 0, (("count", (1, 3)),)),
    ("device", "twin", 0, (("stay_ms", (2_000, 20_000)),)),
    ("device", "clock_skew", 6 * _HOUR_MS, (("by_ms", (5_000, 600_000)), ("to", ("ahead", "behind")))),
    ("device", "clock_drift", 6 * _HOUR_MS, (("by_ppm", (200, 50_000)), ("to", ("fast", "slow")))),
    ("device", "counter_reset", 0, ()),
)
"""Where, what, longest in ms (0: as long as such a fault lasts), and settings to choose from.

Not among them: flips in image bytes, which no server can refuse where the wire has no hash. `corrupt_bytes` strikes
firmware that says the hash, inside a chunk.
"""

LASTING_CHANCE: Final = 0.12
LASTING_FROM_MS_MAX: Final = 8_000
AT_ONCE_CHANCE: Final = 0.25
"""That it begins while the camera still looks for its network, which takes it half a second."""

AT_ONCE_MS_MAX: Final = 600

_SENT: Final = ("hello", "metadata", "chunk", "chunk", "chunk", "chunk")
_RECEIVED: Final = ("snap", "resume", "missing_chunks", "ack_ok", "ack_ok", "send_image", "send_all_pending")
_ASKING: Final = ("resume", "missing_chunks", "send_image", "send_all_pending")
KINDS_OF_OUTAGE: Final = tuple(f"{kind.target} {kind.do}" for kind in _OUTAGES)


_OTHERS: Final = ("reorder chunk.sent", "corrupt_bytes chunk.sent", "wifi down")


def all_kinds() -> tuple[str, ...]:
    """Every kind that a schedule can hold, sorted: what a report lists even where it never struck."""
    sent = {"power_loss", "cut", "lose", "duplicate", "corrupt", "delay", "brownout"}
    events = {f"{action} {event}.sent" for action in sent for event in _SENT}
    received = {f"{action} {event}.received" for action in ("lose", "duplicate", "power_loss") for event in _RECEIVED}
    lasting = {f"{action} {event}" for event, action, *_ in LASTING}
    return tuple(sorted({*events, *received, *lasting, *_OTHERS, *KINDS_OF_OUTAGE}))


def planned_day(seed: int, day: int, devices: int, wakes: int, chunks: int) -> tuple[Planned, ...]:
    """The faults of one day for `devices` cameras that wake `wakes` times and send images of `chunks` chunks."""
    rng = Rng(f"{seed}/nemesis/{day}")
    found: list[Planned] = []
    for device in range(devices):
        own = rng.child(f"device/{device}")
        for wake in range(1, wakes + 1):
            if own.chance(WIFI_DOWN_CHANCE):
                found.append(WifiDown(device, wake))
                if own.chance(OUTLASTED_CHANCE):
                    found.append(_late(own, device, wake))
            elif own.chance(LASTING_CHANCE):
                found.append(_lasting(own, device, wake))
            elif chunks > 1 and own.chance(CORRUPT_BYTES_CHANCE):
                found.append(_flipped_byte(own, device, wake, chunks))
            elif own.chance(DEVICE_FAULT_CHANCE):
                fault = _device_fault(own, device, wake, chunks)
                found.append(fault)
                if fault.action in INTERRUPTING and own.chance(AFTERMATH_CHANCE):
                    found += _aftermath(own, device, wake + 1)
    for draw in range(-(-devices // DEVICES_PER_OUTAGE)):
        found += _outages(seed, day, draw, devices, wakes)
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
    match rng.below(7):
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
            return DeviceFault(device, wake, event, "sent", which, "brownout")
        case 5:
            broken = (("flip", rng.between(1, 8)), ("where", "json"))
            return DeviceFault(device, wake, event, "sent", which, "corrupt", broken)
        case _:
            return DeviceFault(device, wake, event, "sent", which, "delay", (("for_ms", rng.between(100, 8_000)),))


def _lasting(rng: Rng, device: int, wake: int) -> DeviceFault:
    event, action, longest_ms, settings = rng.choice(LASTING)
    parameters = tuple((name, rng.choice(values)) for name, values in settings)
    from_ms = rng.between(0, AT_ONCE_MS_MAX if rng.chance(AT_ONCE_CHANCE) else LASTING_FROM_MS_MAX)
    for_ms = rng.between(1_000, longest_ms) if longest_ms else None
    return DeviceFault(device, wake, event, "lasting", "any", action, parameters, 1, from_ms, for_ms)


def _late(rng: Rng, device: int, wake: int) -> DeviceFault:
    """When every try to join has failed."""
    action: ActionName = rng.choice(("reset", "battery_death"))
    parameters = (("reason", "task_wdt"),) if action == "reset" else ()
    for_ms = None if action == "reset" else rng.between(1_000, _HOUR_MS)
    return DeviceFault(device, wake, "device", "lasting", "any", action, parameters, 1, rng.between(*LATE_MS), for_ms)


def _flipped_byte(rng: Rng, device: int, wake: int, chunks: int) -> DeviceFault:
    """A byte of the chunk after this one."""
    parameters = (("flip", rng.between(1, 3)), ("after_bytes", rng.between(*CORRUPT_AFTER_BYTES)))
    which = rng.below(chunks - 1)
    return DeviceFault(device, wake, "chunk", "sent", which, "corrupt_bytes", parameters, for_ms=CORRUPT_FOR_MS)


def _aftermath(rng: Rng, device: int, wake: int) -> Iterator[DeviceFault]:
    """The same fault for every way in which a server may ask: which one it takes is the dialect's choice."""
    ways: tuple[tuple[ActionName, tuple[tuple[str, Any], ...]], ...] = (
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


def _outages(seed: int, day: int, draw: int, devices: int, wakes: int) -> Iterator[Outage]:
    for kind in _OUTAGES:
        every_days = round(1 / kind.chance)
        block, place = divmod(day, every_days)
        rng = Rng(f"{seed}/nemesis/{kind.target}/{kind.do}/{draw}/{block}")
        if rng.below(every_days) == place:
            is_long = kind.undo in _LONG_UNTIL and rng.chance(LONG_CHANCE)
            yield Outage(
                kind.target,
                kind.do,
                kind.undo,
                for_ms=rng.between(min(500, kind.longest_ms), LONG_MS_MAX if is_long else kind.longest_ms),
                device=rng.below(devices),
                wake=rng.between(1, wakes),
                after_ms=rng.between(0, 12_000),
                settings=tuple((name, rng.choice(values)) for name, values in kind.settings),
                which=kind.which,
            )
