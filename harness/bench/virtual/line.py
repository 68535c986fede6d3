"""A faulty line in memory: what `simulator.stream` decides, done to the connections of one host."""

from __future__ import annotations

from collections.abc import Iterable

from harness.bench.virtual.loop import VirtualLoop
from harness.bench.virtual.transport import END, MemoryTransport, reset_error
from simulator.rng import Rng
from simulator.stream import Abandon, Bytes, CloseBoth, Crossing, Fin, Line, Piece, ResetBoth, Rst, StreamFault, Way


class LineEnd:
    """One end's way onto the line."""

    def __init__(self, line: MemoryLine, crossing: Crossing, end: MemoryTransport, way: Way) -> None:
        self._line = line
        self._crossing = crossing
        self._end = end
        self._way: Way = way

    def carry(self, segment: bytes) -> int:
        """Send this segment (the mark of the end is FIN); how many of its bytes vanish, which TCP takes for read."""
        now_us = self._line.now_us
        if segment == END:
            self._line.do(self._end, self._way, self._crossing.finish(self._way, now_us))
            return 0
        pieces = self._crossing.take(self._way, segment, now_us)
        self._line.do(self._end, self._way, pieces)
        return len(segment) - sum(len(piece.data) for piece in pieces if isinstance(piece, Bytes))

    def carry_reset(self) -> None:
        """RST of this end."""
        self._line.do(self._end, self._way, self._crossing.reset(self._way, self._line.now_us))

    def forget(self) -> None:
        """Both ends are gone."""
        self._line.forget(self._crossing)


class MemoryLine:
    """The line of one host: every connection that it opens goes over it. See `FaultyLine`."""

    def __init__(self, loop: VirtualLoop, rng: Rng) -> None:
        self._line = Line(rng)
        self._loop = loop
        self._near: dict[Crossing, MemoryTransport] = {}

    @property
    def now_us(self) -> int:
        """The network's time."""
        return self._loop.now_us

    def join(self, near: MemoryTransport, far: MemoryTransport) -> None:
        """A new connection goes over this line."""
        crossing = self._line.open()
        self._near[crossing] = near
        near.over = LineEnd(self, crossing, near, "up")
        far.over = LineEnd(self, crossing, far, "down")

    def forget(self, crossing: Crossing) -> None:
        """Both ends of that connection are gone."""
        self._line.forget(crossing)
        self._near.pop(crossing, None)

    def begin(self, fault: StreamFault, *, once: bool = False) -> int:
        """The fault lasts from now on, or `once` until it has struck; its number."""
        number, befallen = self._line.begin(fault, once=once)
        self._befall(befallen)
        return number

    def end(self, number: int) -> None:
        """It is over; a connection that lost bytes is reset."""
        self._befall(self._line.end(number))

    def _befall(self, befallen: Iterable[tuple[Crossing, Piece]]) -> None:
        for crossing, piece in list(befallen):
            self.do(self._near[crossing], "up", [piece])

    def do(self, end: MemoryTransport, way: Way, pieces: Iterable[Piece]) -> None:
        """Carry out what becomes of something that this end sent on its way."""
        near = end if way == "up" else end.peer
        for piece in pieces:
            match piece:
                case Bytes(data=data, at_us=at_us):
                    end.dispatch(data, at_us)
                case Fin(at_us=at_us):
                    end.dispatch(END, at_us)
                case Rst(at_us=at_us):
                    end.reset_later(at_us)
                case ResetBoth():
                    near.cut()
                case CloseBoth(at_us=at_us):
                    end.dispatch(END, at_us)
                    end.peer.dispatch(END)
                case Abandon(unaware=unaware):
                    dead, other = (near, near.peer) if unaware == "broker" else (near.peer, near)
                    other.leave_unaware()
                    dead.lose(reset_error())
