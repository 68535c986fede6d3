"""Who and where: `yard[1..3]` names devices, `chunk[5].sent` names a step of the protocol. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from harness.errors import did_you_mean
from harness.units import LanguageError

GROUP_PATTERN: Final = r"^[a-z][a-z0-9_-]{0,31}$"
WHO_PATTERN: Final = r"^(all|[a-z][a-z0-9_-]{0,31}(\[([0-9]{1,5}(\.\.[0-9]{1,5})?|\*)\])?)$"

SENT_EVENTS: Final = ("hello", "metadata", "chunk", "telemetry")
RECEIVED_EVENTS: Final = (
    "snap",
    "resume",
    "missing_chunks",
    "ack_ok",
    "sleep",
    "send_image",
    "send_all_pending",
    "retry",
)
LASTING_PLACES: Final = ("link", "device")
"""Places of faults that begin with a wake, not with a message."""

ADDRESS_PATTERN: Final = (
    r"^(link|device|(hello|metadata|telemetry|chunk(\[([0-9]{1,5}|\*|last)\])?)\.sent|("
    + "|".join(RECEIVED_EVENTS)
    + r")\.received)$"
)

Direction = Literal["sent", "received", "lasting"]
Which = int | Literal["any", "last"]

DEVICE_PLACE: Final = re.compile(r"\$\{([a-z][a-z0-9_-]{0,31}(?:\[[0-9]{1,5}\])?)\.(mac|id)\}")
"""`${yard[0].mac}`: a device's MAC or id, put into a text."""

_WHO: Final = re.compile(r"([a-z][a-z0-9_-]{0,31})(?:\[(?:([0-9]{1,5})(?:\.\.([0-9]{1,5}))?|(\*))\])?")
_ADDRESS: Final = re.compile(r"([a-z_]+)(?:\[([^\]]*)\])?\.([a-z_]+)")


@dataclass(frozen=True, slots=True)
class WhoTerm:
    """Devices of one group, `first` to `last` inclusive; a group of None is every device."""

    group: str | None
    first: int | None = None
    last: int | None = None

    def __str__(self) -> str:
        if self.group is None:
            return "all"
        if self.first is None:
            return self.group
        return f"{self.group}[{self.first}]" if self.first == self.last else f"{self.group}[{self.first}..{self.last}]"


Who = tuple[WhoTerm, ...]


@dataclass(frozen=True, slots=True)
class FaultAddress:
    """One step of the protocol, seen from the device; `which` counts chunks from 0."""

    event: str
    direction: Direction
    which: Which = "any"

    def __str__(self) -> str:
        if self.direction == "lasting":
            return self.event
        index = "" if self.event != "chunk" else "[*]" if self.which == "any" else f"[{self.which}]"
        return f"{self.event}{index}.{self.direction}"


def parse_who(value: object) -> Who:
    """`yard`, `yard[0]`, `yard[1..3]`, `yard[*]`, `all`, or a list of these. Raises LanguageError."""
    terms = value if isinstance(value, list) else [value]
    if not terms:
        raise LanguageError("names no device", "for example yard, yard[0], yard[1..3] or all")
    return tuple(_who_term(term) for term in terms)


def parse_address(value: object) -> FaultAddress:
    """`chunk[5].sent`, `ack_ok.received`, `link`. Raises LanguageError."""
    if value in LASTING_PLACES:
        return FaultAddress(str(value), "lasting")
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise LanguageError(
            f"{value!r} is not a step of the protocol", "for example chunk[5].sent, ack_ok.received, link or device"
        )
    event, index, direction = match.groups()
    if event not in SENT_EVENTS + RECEIVED_EVENTS:
        raise LanguageError(f"no message is called {event!r}", did_you_mean(event, SENT_EVENTS + RECEIVED_EVENTS))
    right: Direction = "sent" if event in SENT_EVENTS else "received"
    if direction != right:
        raise LanguageError(f"a device never has {event}.{direction}", f"write {event}.{right}")
    return FaultAddress(event, right, _which(event, index))


def _who_term(value: object) -> WhoTerm:
    match = _WHO.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise LanguageError(f"{value!r} names no device", "for example yard, yard[0], yard[1..3] or all")
    group, first, last, star = match.groups()
    if group == "all":
        if first is not None or star is not None:
            raise LanguageError("all takes no index", "name a group")
        return WhoTerm(None)
    if first is None:
        return WhoTerm(group)
    low, high = int(first), int(last if last is not None else first)
    if high < low:
        raise LanguageError(f"{value} runs backwards", f"write {group}[{high}..{low}]")
    return WhoTerm(group, low, high)


def _which(event: str, index: str | None) -> Which:
    if event != "chunk":
        if index is not None:
            raise LanguageError(f"{event} takes no index", "only chunks are numbered")
        return "any"
    if index is None or index == "*":
        return "any"
    if index == "last":
        return "last"
    if re.fullmatch(r"[0-9]{1,5}", index) is None:
        raise LanguageError(f"chunk[{index}] is no chunk", "chunk[5], chunk[last] or chunk[*]; the first is 0")
    return int(index)
