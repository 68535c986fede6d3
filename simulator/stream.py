"""What a bad line does to the bytes of one device's connections, sans-I/O: bytes in, bytes with times out. Pure.

A `Line` has the faults that are active now, in the order in which they began; each connection crosses it as a
`Crossing`, in two ways: `up` from the device, `down` to it. What one fault lets through is what the next one gets.
Order is kept in each way, as TCP keeps it. The edges carry the pieces out: the in-memory network of virtual time, and
the proxy on real sockets.

A fault that swallows bytes leaves a hole, which no TCP stream has: when it ends, such a connection is reset.
Times are microseconds of the edge's own clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, Literal

from simulator.rng import Rng

Way = Literal["up", "down"]
Ways = Literal["up", "down", "both"]
End = Literal["device", "broker"]
WAYS: Final[tuple[Way, ...]] = ("up", "down")


@dataclass(frozen=True, slots=True)
class Bytes:
    """These arrive, not before `at_us`."""

    data: bytes
    at_us: int


@dataclass(frozen=True, slots=True)
class Fin:
    """The sender has closed its side; the other end hears of it, not before `at_us`."""

    at_us: int


@dataclass(frozen=True, slots=True)
class Rst:
    """The sender has reset the connection; the other end hears of it, not before `at_us`."""

    at_us: int


@dataclass(frozen=True, slots=True)
class ResetBoth:
    """The line resets the connection: both ends hear RST, what travels is lost."""


@dataclass(frozen=True, slots=True)
class CloseBoth:
    """The line closes the connection in good order: both ends hear FIN, behind what travels."""

    at_us: int


@dataclass(frozen=True, slots=True)
class Abandon:
    """One end hears RST; the `unaware` one hears nothing any more and still takes the connection for open."""

    unaware: End


Piece = Bytes | Fin | Rst | ResetBoth | CloseBoth | Abandon
_LAST: Final = (ResetBoth, CloseBoth, Abandon)


@dataclass(frozen=True, slots=True)
class Passed:
    """What a fault has had of one connection and way: bytes since it began, and when its last piece goes on."""

    size_bytes: int = 0
    last_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFault:
    """What goes wrong with connections while it lasts. `way`: from the device, to it, or both.

    `strikes_once`: where nobody says for how long, it is over when it has struck one connection.
    """

    strikes_once: ClassVar[bool] = False
    way: Ways = "both"

    def pass_on(self, piece: Bytes | Fin | Rst, passed: Passed, rng: Rng) -> list[Piece]:
        """What becomes of a piece of one way."""
        return [piece]

    def at_once(self) -> list[Piece]:
        """What befalls a connection that stands when the fault begins."""
        return []


@dataclass(slots=True, eq=False)
class _Active:
    number: int
    fault: StreamFault
    rng: Rng
    once: bool
    is_spent: bool = False


@dataclass(slots=True, eq=False)
class Crossing:
    """One connection over the line. `is_over`: nothing passes any more."""

    line: Line
    is_over: bool = False
    _last_us: dict[Way, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    _passed: dict[tuple[int, Way], Passed] = field(default_factory=dict)
    _holes: set[int] = field(default_factory=set)

    def take(self, way: Way, data: bytes, now_us: int) -> list[Piece]:
        """Bytes of the sender of that way."""
        return self._through(way, Bytes(data, now_us))

    def finish(self, way: Way, now_us: int) -> list[Piece]:
        """The sender of that way has closed its side."""
        return self._through(way, Fin(now_us))

    def reset(self, way: Way, now_us: int) -> list[Piece]:
        """The sender of that way has reset the connection."""
        return self._through(way, Rst(now_us))

    def has_hole_of(self, number: int) -> bool:
        """That fault swallowed some of this connection."""
        return number in self._holes

    def _through(self, way: Way, piece: Bytes | Fin | Rst) -> list[Piece]:
        if self.is_over:
            return []
        pieces: list[Piece] = [piece]
        for active in self.line.active:
            if active.fault.way in (way, "both") and not active.is_spent:
                pieces = [made for item in pieces for made in self._struck(active, way, item)]
        found: list[Piece] = []
        for item in pieces:
            if isinstance(item, ResetBoth | Abandon):
                self.is_over = True
                return [*found, item]
            self._last_us[way] = at_us = max(item.at_us, self._last_us[way])
            found.append(replace(item, at_us=at_us))
            if isinstance(item, CloseBoth):
                self.is_over = True
                break
        return found

    def _struck(self, active: _Active, way: Way, piece: Piece) -> list[Piece]:
        if isinstance(piece, _LAST):
            return [piece]
        key = active.number, way
        passed = self._passed.get(key, Passed())
        made = active.fault.pass_on(piece, passed, active.rng)
        active.is_spent = active.once and made != [piece]
        size_bytes = len(piece.data) if isinstance(piece, Bytes) else 0
        is_whole = bool(made) and sum(len(item.data) for item in made if isinstance(item, Bytes)) >= size_bytes
        if not is_whole:
            self._holes.add(active.number)
        last_us = max((item.at_us for item in made if isinstance(item, Bytes | Fin | Rst)), default=passed.last_us)
        self._passed[key] = Passed(passed.size_bytes + size_bytes, last_us)
        return made


class Line:
    """The way between one device and the broker: its faults, and the connections over it."""

    def __init__(self, rng: Rng) -> None:
        self.active: list[_Active] = []
        self.crossings: list[Crossing] = []
        self._rng = rng
        self._begun = 0

    def open(self) -> Crossing:
        """A new connection."""
        crossing = Crossing(self)
        self.crossings.append(crossing)
        return crossing

    def forget(self, crossing: Crossing) -> None:
        """Both ends of that connection are gone."""
        if crossing in self.crossings:
            self.crossings.remove(crossing)

    def begin(self, fault: StreamFault, *, once: bool = False) -> tuple[int, list[tuple[Crossing, Piece]]]:
        """The fault lasts from now on, or `once`: until it has struck. Its number, and what befalls what stands."""
        self._begun += 1
        befallen = self._befallen(self.crossings, fault.at_once())
        rng = self._rng.child(f"line/{self._begun}")
        self.active.append(_Active(self._begun, fault, rng, once, is_spent=once and bool(befallen)))
        return self._begun, befallen

    def end(self, number: int) -> list[tuple[Crossing, Piece]]:
        """The fault of that number is over; connections with a hole are reset. Nothing where it is over already."""
        holed = [crossing for crossing in self.crossings if crossing.has_hole_of(number)]
        is_known = any(item.number == number for item in self.active)
        self.active = [item for item in self.active if item.number != number]
        return self._befallen(holed, [ResetBoth()] if is_known else [])

    def end_all(self) -> list[tuple[Crossing, Piece]]:
        """As `end` for every fault."""
        return [befallen for item in list(self.active) for befallen in self.end(item.number)]

    def _befallen(self, crossings: list[Crossing], pieces: list[Piece]) -> list[tuple[Crossing, Piece]]:
        found: list[tuple[Crossing, Piece]] = []
        for crossing in crossings:
            if not crossing.is_over and pieces:
                crossing.is_over = True
                found += [(crossing, piece) for piece in pieces]
        return found
