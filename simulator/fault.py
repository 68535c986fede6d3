"""Faults: what goes wrong with one message of a device, and the chain that decides when. Pure.

A fault is a frozen value with one pure method: `apply(parcel, rng)` says what becomes of a message, as a list of
actions that the link performs in order. It knows neither devices nor other faults. Faults that last (of the line:
`stream`, of the device: `mishap`) begin at a step by `AtStep`. The `FaultChain` of a device holds
the armed ones, matches their addresses (`chunk[5].sent`), counts their uses, and keeps what is held back.

A new fault starts as a copy of `faults/noop.py` and a line in `faults.CATALOGUE`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final, Literal, Protocol

from server.wire.messages import (
    Capture,
    Done,
    MissingChunks,
    Resume,
    Retry,
    SendAllPending,
    SendImage,
    ServerMessage,
    Sleep,
)
from simulator.catalogue import UnknownFault
from simulator.faults import CATALOGUE
from simulator.mishap import DeviceFault
from simulator.rng import Rng
from simulator.stream import StreamFault

LastingFault = StreamFault | DeviceFault

Direction = Literal["sent", "received"]

EVENT_OF_REPLY: Final[dict[type[ServerMessage], str]] = {
    Capture: "snap",
    Resume: "resume",
    MissingChunks: "missing_chunks",
    Done: "ack_ok",
    Sleep: "sleep",
    SendImage: "send_image",
    SendAllPending: "send_all_pending",
    Retry: "retry",
}
"""The name of a `.received` step by the message's type."""

SENT_EVENTS: Final = ("hello", "metadata", "chunk", "telemetry")
RECEIVED_EVENTS: Final = tuple(EVENT_OF_REPLY.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPoint:
    """A step of the protocol as it happens: which message, seen from the device; chunks count from 0.

    `occurrence` counts the messages of that event (and chunk) in this device's run, from 1.
    """

    direction: Direction
    event: str
    chunk_index: int | None = None
    chunk_count: int | None = None
    occurrence: int = 1

    @property
    def is_last_chunk(self) -> bool:
        return self.chunk_count is not None and self.chunk_index == self.chunk_count - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One MQTT message on its way."""

    point: FaultPoint
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Deliver:
    """Let this parcel through, `after_ms` after the action before it."""

    parcel: Parcel
    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep the parcel back until `overtaken_by` later ones of the same direction went through.

    With `order`, until the last chunk of its image came; then all that is held goes in that order.
    """

    parcel: Parcel
    overtaken_by: int = 1
    order: Literal["reversed", "shuffled"] | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """Reset the connection (RST)."""


@dataclass(frozen=True, slots=True)
class PowerOff:
    """Take the device's power; back after that long, or None: at its next wake."""

    back_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class DeliverPart:
    """The first half of this message's bytes, and nothing more."""

    parcel: Parcel


@dataclass(frozen=True, slots=True)
class Begin:
    """From now on this lasts, for that long (None: as long as such a fault lasts)."""

    name: str
    fault: LastingFault
    for_ms: int | None = None


Action = Deliver | Hold | Cut | PowerOff | DeliverPart | Begin
LinkAction = Deliver | Cut | PowerOff | DeliverPart | Begin
"""What a link is asked to do; holding is the chain's own business."""


class Fault(Protocol):
    """What goes wrong with a message that it strikes."""

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]: ...


@dataclass(frozen=True, slots=True)
class AtStep:
    """Lets a fault of the line or of the device begin right after a message, or in the middle of it."""

    name: str
    fault: LastingFault
    for_ms: int | None = None

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        is_torn = isinstance(self.fault, DeviceFault) and self.fault.tears_message
        return [DeliverPart(parcel) if is_torn else Deliver(parcel), Begin(self.name, self.fault, self.for_ms)]


_ADDRESS: Final = re.compile(r"([a-z_]+)(?:\[(\*|last|\d{1,5})\])?\.(sent|received)\Z")


@dataclass(frozen=True, slots=True)
class FaultAddress:
    """Which messages a fault may strike; `which` counts chunks from 0."""

    event: str
    direction: Direction
    which: int | Literal["any", "last"] = "any"

    @classmethod
    def parse(cls, text: str) -> FaultAddress:
        """`chunk[5].sent`, `chunk[*].sent`, `chunk[last].sent`, `ack_ok.received`; raises UnknownFault."""
        match = _ADDRESS.match(text)
        known = [f"{event}.sent" for event in SENT_EVENTS] + [f"{event}.received" for event in RECEIVED_EVENTS]
        bare = text if match is None else f"{match[1]}.{match[3]}"
        if match is None or bare not in known or (match[2] is not None and match[1] != "chunk"):
            close = get_close_matches(bare, known, n=1)
            hint = f", did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
            raise UnknownFault(f"no step of the protocol is called {text!r}{hint}")
        which: int | Literal["any", "last"] = "any"
        if match[2] not in (None, "*"):
            which = "last" if match[2] == "last" else int(match[2])
        return cls(match[1], "sent" if match[3] == "sent" else "received", which)

    def matches(self, point: FaultPoint) -> bool:
        if (point.event, point.direction) != (self.event, self.direction):
            return False
        if self.which == "last":
            return point.is_last_chunk
        return self.which in ("any", point.chunk_index)


def fault_named(name: str, **settings: Any) -> Any:
    """The Fault or LastingFault of the catalogue with these settings; raises UnknownFault."""
    if name not in CATALOGUE:
        close = get_close_matches(name, CATALOGUE, n=1)
        hint = f", did you mean {close[0]!r}?" if close else f"; there are {', '.join(CATALOGUE)}"
        raise UnknownFault(f"no fault {name!r}{hint}")
    module_name, _, class_name = CATALOGUE[name].partition(":")
    if not class_name:
        raise UnknownFault(f"{name} strikes no message; `wakestorm faults {name}` shows how it is written")
    fault_class = getattr(import_module(module_name), class_name)
    known = [item.name for item in fields(fault_class)]
    for setting in settings:
        if setting not in known:
            raise UnknownFault(f"{name} has no setting {setting!r}; it has {', '.join(known) or 'none'}")
    return fault_class(**settings)


@dataclass(slots=True, eq=False)
class ArmedFault:
    """A fault in a chain. `uses_left` None: it strikes every match."""

    address: FaultAddress
    fault: Fault
    uses_left: int | None
    rng: Rng
    used: int = 0

    def strikes(self, point: FaultPoint) -> bool:
        return self.uses_left != 0 and self.address.matches(point)


@dataclass(slots=True, eq=False)
class _Held:
    hold: Hold
    to_come: int
    rng: Rng


@dataclass(slots=True)
class FaultChain:
    """The faults of one device. State: what is armed, how often it struck, what is held back."""

    rng: Rng
    armed: list[ArmedFault] = field(default_factory=list)
    _held: list[_Held] = field(default_factory=list)
    _seen: dict[tuple[str, str, int | None], int] = field(default_factory=dict)
    _arms: int = 0

    @property
    def held_count(self) -> int:
        return len(self._held)

    @property
    def is_spent(self) -> bool:
        """Nothing is armed and nothing held: messages pass as they are."""
        return not self._held and all(item.uses_left == 0 for item in self.armed)

    def arm(self, at: FaultAddress | str, fault: Fault, uses: int | None = 1) -> ArmedFault:
        """Let `fault` strike the next `uses` messages that match; None: all of them, until the heal.

        A use of a fault that changes the order of an image's chunks is one whole image.
        """
        address = FaultAddress.parse(at) if isinstance(at, str) else at
        armed = ArmedFault(address, fault, uses, self.rng.child(f"fault/{self._arms}"))
        self._arms += 1
        self.armed.append(armed)
        return armed

    def process(
        self,
        direction: Direction,
        event: str,
        topic: str,
        payload: bytes,
        *,
        chunk_index: int | None = None,
        chunk_count: int | None = None,
    ) -> list[LinkAction]:
        """What becomes of this message, and of those held back that it sets free."""
        key = direction, event, chunk_index
        occurrence = self._seen[key] = self._seen.get(key, 0) + 1
        point = FaultPoint(
            direction=direction,
            event=event,
            chunk_index=chunk_index,
            chunk_count=chunk_count,
            occurrence=occurrence,
        )
        waiting = list(self._held)
        actions = self._struck(Parcel(point=point, topic=topic, payload=payload))
        return actions + self._set_free(point, waiting)

    def _struck(self, parcel: Parcel) -> list[LinkAction]:
        """Each fault that matches acts on what the one before it lets through."""
        actions: list[Action] = [Deliver(parcel)]
        for item in self.armed:
            if not item.strikes(parcel.point):
                continue
            actions = [made for action in actions for made in _applied(item, action)]
            item.used += 1
            is_mid_order = any(isinstance(action, Hold) and action.order for action in actions)
            if item.uses_left is not None and (parcel.point.is_last_chunk or not is_mid_order):
                item.uses_left -= 1
        for action in actions:
            if isinstance(action, Hold):
                self._held.append(_Held(action, action.overtaken_by, self.rng.child(f"order/{self._arms}")))
        return [action for action in actions if not isinstance(action, Hold)]

    def _set_free(self, point: FaultPoint, waiting: list[_Held]) -> list[LinkAction]:
        free: list[_Held] = []
        for held in waiting:
            if held.hold.order is None and held.hold.parcel.point.direction == point.direction:
                held.to_come -= 1
                if held.to_come <= 0:
                    free.append(held)
        if point.is_last_chunk:
            free += self._in_order()
        self._held = [held for held in self._held if held not in free]
        return [Deliver(held.hold.parcel) for held in free]

    def _in_order(self) -> list[_Held]:
        ordered = [held for held in self._held if held.hold.order is not None]
        if not ordered:
            return []
        if ordered[0].hold.order == "reversed":
            return ordered[::-1]
        return ordered[0].rng.shuffled(ordered)

    def drop_held(self) -> int:
        """The link is gone, and what was held back with it; how many messages."""
        count = len(self._held)
        self._held.clear()
        return count

    def heal(self, *, release: bool = True) -> list[LinkAction]:
        """End the fault window: nothing is armed any more; what is held goes out, or is lost without `release`."""
        free = [held for held in self._held if held.hold.order is None] + self._in_order()
        self.armed.clear()
        self._held.clear()
        return [Deliver(held.hold.parcel) for held in free] if release else []


def _applied(item: ArmedFault, action: Action) -> list[Action]:
    if not isinstance(action, Deliver):
        return [action]
    made = item.fault.apply(action.parcel, item.rng)
    if action.after_ms and made and isinstance(made[0], Deliver):
        made[0] = Deliver(made[0].parcel, made[0].after_ms + action.after_ms)
    return made
