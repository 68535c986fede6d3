"""A TCP proxy between device and broker that does to real bytes what faults of the line say.

`simulator.stream` decides, this is its edge on asyncio transports: what is due later waits in a queue for each way,
so order is kept; a full queue stops the reader, as a full line would. RST is a close with SO_LINGER 0.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, cast

from simulator.rng import Rng
from simulator.stream import (
    WAYS,
    Abandon,
    Bytes,
    CloseBoth,
    Crossing,
    End,
    Fin,
    Line,
    Piece,
    ResetBoth,
    Rst,
    StreamFault,
    Way,
)

QUEUE_BYTES_MAX: Final = 262_144
"""So much may be under way in one way of a connection; then its sender has to wait."""

_LINGER_NONE: Final = struct.pack("ii", 1, 0)
_SOURCE: Final[dict[Way, End]] = {"up": "device", "down": "broker"}
_TARGET: Final[dict[Way, End]] = {"up": "broker", "down": "device"}
_WAY_FROM: Final[dict[End, Way]] = {"device": "up", "broker": "down"}


class FaultProxy:
    """Listens, and passes on to `to` (host, port) over one faulty line. See `Line` for the faults.

    `on_event` hears a line of text of each connection that begins or ends.
    """

    def __init__(self, to: tuple[str, int], rng: Rng, on_event: Callable[[str], None] | None = None) -> None:
        self.to = to
        self.connections = 0
        self.taken_bytes = 0
        """Read from either end of any connection, whatever became of it."""
        self._line = Line(rng)
        self._on_event = on_event
        self._pairs: dict[Crossing, _Pair] = {}
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 is any free one. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, host, port)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        assert self._server is not None, "it has started"
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    @property
    def open_connections(self) -> int:
        """Connections of which an end still stands."""
        return len(self._pairs)

    async def stop(self) -> None:
        """Every connection is reset, nobody listens any more."""
        for pair in list(self._pairs.values()):
            pair.reset_both()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        while self._pairs:
            await asyncio.sleep(0)

    def begin(self, fault: StreamFault, *, once: bool = False) -> int:
        """The fault lasts from now on, or `once` until it has struck; its number."""
        number, befallen = self._line.begin(fault, once=once)
        self._befall(befallen)
        return number

    def end(self, number: int) -> None:
        """It is over; a connection that lost bytes is reset."""
        self._befall(self._line.end(number))

    def _befall(self, befallen: Iterable[tuple[Crossing, Piece]]) -> None:
        for crossing, piece in befallen:
            self._pairs[crossing].carry("up", [piece])

    def _accept(self) -> asyncio.Protocol:
        self.connections += 1
        crossing = self._line.open()
        pair = self._pairs[crossing] = _Pair(self, crossing, self.connections)
        return pair.ends["device"]

    def forget(self, pair: _Pair) -> None:
        """Both ends of this connection are gone."""
        self._line.forget(pair.crossing)
        if self._pairs.pop(pair.crossing, None) is not None:
            self.say(f"connection {pair.number} over: {pair.carried['up']} bytes up, {pair.carried['down']} down")

    def say(self, text: str) -> None:
        """Tell who listens."""
        if self._on_event is not None:
            self._on_event(text)


class _Pair:
    """One connection: the device's end, the broker's end, and what is under way between them."""

    def __init__(self, proxy: FaultProxy, crossing: Crossing, number: int) -> None:
        self.crossing = crossing
        self.number = number
        self.carried: dict[Way, int] = {"up": 0, "down": 0}
        self.ends: dict[End, _End] = {"device": _End(self, "device"), "broker": _End(self, "broker")}
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._queues: dict[Way, deque[Bytes | Fin | Rst | CloseBoth]] = {"up": deque(), "down": deque()}
        self._queued_bytes: dict[Way, int] = {"up": 0, "down": 0}
        self._timers: dict[Way, asyncio.TimerHandle] = {}
        self._connecting: asyncio.Task[None] | None = None

    def connect(self) -> None:
        """The device is there: get its other end."""
        self._proxy.say(f"connection {self.number} begins")
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await self._loop.create_connection(lambda: self.ends["broker"], *self._proxy.to)
        except OSError as error:
            self._proxy.say(f"connection {self.number}: {error}")
            self.ends["broker"].is_gone = True
            self.reset_both()

    @property
    def _now_us(self) -> int:
        return int(self._loop.time() * 1e6)

    # -- what an end says ------------------------------------------------------------------------------

    def take(self, way: Way, data: bytes) -> None:
        self._proxy.taken_bytes += len(data)
        self.carry(way, self.crossing.take(way, data, self._now_us))

    def finish(self, way: Way) -> None:
        """The sender has closed its side; nobody waits for it where the connection is over."""
        if self.crossing.is_over:
            self.ends[_SOURCE[way]].close()
        self.carry(way, self.crossing.finish(way, self._now_us))

    def reset(self, way: Way) -> None:
        self.carry(way, self.crossing.reset(way, self._now_us))

    def gone(self) -> None:
        """An end is gone."""
        if all(end.is_gone for end in self.ends.values()):
            for timer in self._timers.values():
                timer.cancel()
            self._proxy.forget(self)

    # -- what becomes of it ----------------------------------------------------------------------------

    def carry(self, way: Way, pieces: Iterable[Piece]) -> None:
        """Put on the way what is left of something."""
        for piece in pieces:
            match piece:
                case ResetBoth():
                    self.reset_both()
                case Abandon(unaware=unaware):
                    self.ends["device" if unaware == "broker" else "broker"].reset()
                case _:
                    self._queues[way].append(piece)
                    if isinstance(piece, Bytes):
                        self._queued_bytes[way] += len(piece.data)
        self.pump(way)

    def pump(self, way: Way) -> None:
        """Deliver what is due, and look again when the next piece is."""
        queue, target = self._queues[way], self.ends[_TARGET[way]]
        if way in self._timers:
            self._timers.pop(way).cancel()
        while queue and target.is_there and queue[0].at_us <= self._now_us:
            self._deliver(way, target, queue.popleft())
        if queue and target.is_there:
            self._timers[way] = self._loop.call_at(queue[0].at_us / 1e6, self.pump, way)
        self._hold_back(way)

    def _deliver(self, way: Way, target: _End, piece: Bytes | Fin | Rst | CloseBoth) -> None:
        match piece:
            case Bytes(data=data):
                self._queued_bytes[way] -= len(data)
                self.carried[way] += len(data)
                target.write(data)
            case Fin():
                target.finish()
                if all(end.is_finished for end in self.ends.values()):
                    self.close()
            case Rst():
                target.reset()
            case CloseBoth():
                self.close()

    def _hold_back(self, way: Way) -> None:
        """The sender waits while too much is under way, or the receiver takes nothing."""
        is_full = self._queued_bytes[way] > QUEUE_BYTES_MAX or self.ends[_TARGET[way]].is_slow
        self.ends[_SOURCE[way]].pause(is_full)

    def close(self) -> None:
        """FIN to both ends."""
        for end in self.ends.values():
            end.close()

    def reset_both(self) -> None:
        """RST to both ends; what is under way is lost."""
        if self._connecting is not None:
            self._connecting.cancel()
        for way in WAYS:
            self._queues[way].clear()
        for end in self.ends.values():
            end.reset()
        self.gone()


class _End(asyncio.Protocol):
    """One end's socket."""

    def __init__(self, pair: _Pair, name: End) -> None:
        self.is_gone = False
        self.is_finished = False
        self.is_slow = False
        self._is_reset = False
        self._is_paused = False
        self._pair = pair
        self._name: End = name
        self._transport: asyncio.Transport | None = None

    @property
    def is_there(self) -> bool:
        """Connected."""
        return self._transport is not None and not self.is_gone

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def finish(self) -> None:
        """FIN."""
        self.is_finished = True
        if self._transport is not None and not self._transport.is_closing():
            with suppress(OSError):
                self._transport.write_eof()

    def close(self) -> None:
        """FIN, and nothing more is read."""
        if self._transport is None:
            self.reset()
        else:
            self._transport.close()

    def reset(self) -> None:
        """RST, at once; where there is no socket yet, as soon as there is."""
        self._is_reset = True
        if self._transport is None:
            self.is_gone = True
        elif not self.is_gone:
            wire = cast("socket.socket", self._transport.get_extra_info("socket"))
            with suppress(OSError):
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
            self._transport.abort()

    def pause(self, is_full: bool) -> None:
        """Whether reading waits."""
        if self._transport is None or self._transport.is_closing() or is_full == self._is_paused:
            return
        self._is_paused = is_full
        (self._transport.pause_reading if is_full else self._transport.resume_reading)()

    # -- called by the transport -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_gone = False
        if self._is_reset:
            self.reset()
        elif self._name == "device":
            self._pair.connect()
        else:
            self._pair.pump("up")

    def data_received(self, data: bytes) -> None:
        self._pair.take(_WAY_FROM[self._name], data)

    def eof_received(self) -> bool:
        self._pair.finish(_WAY_FROM[self._name])
        return True

    def pause_writing(self) -> None:
        self.is_slow = True
        self._pair.pump("up" if self._name == "broker" else "down")

    def resume_writing(self) -> None:
        self.is_slow = False
        self._pair.pump("up" if self._name == "broker" else "down")

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone = True
        if exc is not None and not self._is_reset:
            self._pair.reset(_WAY_FROM[self._name])
        self._pair.gone()
