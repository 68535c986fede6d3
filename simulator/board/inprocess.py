"""A board in the same process, on a loop and thread of its own, for programs that use pyserial without a terminal.

with started_board("cam", flash=flash):
    serial.protocol_handler_packages.append("simulator.board.urls")
    port = serial.serial_for_url("vboard://cam")
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from simulator.board.board import Board
from simulator.board.board_fault import BoardFault
from simulator.board.camera_app import CameraApp
from simulator.board.efuse import ChipIdentity
from simulator.board.flash import NorFlash
from simulator.board.host import BoardHost
from simulator.board.machine import unix_ms
from simulator.board.ports import OnData, OnLines
from simulator.link.paho import PahoLink

_UNREAD_BYTES_MAX: Final = 4 << 20


class ThreadPort:
    """Both ends of the line: the board's on its loop, the host's on any thread."""

    has_lines = True

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.name = f"vboard://{name}"
        self.speed = 115_200
        self._loop = loop
        self._unread = bytearray()
        self._grown = threading.Condition()
        self._on_data: OnData | None = None
        self._on_lines: OnLines | None = None

    # -- the board's end ---------------------------------------------------------------------------

    def baud(self) -> int | None:
        return self.speed

    async def plug(self, on_data: OnData, on_lines: OnLines) -> None:
        """Be there."""
        self._on_data, self._on_lines = on_data, on_lines

    def unplug(self) -> None:
        """Vanish: hosts get an error."""
        with self._grown:
            self._on_data = self._on_lines = None
            self._grown.notify_all()

    def write(self, data: bytes) -> None:
        """Keep for the host; what nobody reads is dropped."""
        with self._grown:
            if len(self._unread) < _UNREAD_BYTES_MAX:
                self._unread += data
                self._grown.notify_all()

    # -- the host's end ----------------------------------------------------------------------------

    @property
    def is_plugged(self) -> bool:
        return self._on_data is not None

    @property
    def unread_bytes(self) -> int:
        return len(self._unread)

    def send(self, data: bytes) -> None:
        """To the board, at the present speed."""
        self._call(self._on_data, data, self.speed)

    def set_lines(self, dtr: bool, rts: bool) -> None:
        """Drive DTR and RTS."""
        self._call(self._on_lines, dtr, rts)

    def take(self, count: int, timeout_s: float | None) -> bytes:
        """Up to `count` bytes; fewer when the time is over or the board was unplugged."""
        with self._grown:
            self._grown.wait_for(lambda: len(self._unread) >= count or not self.is_plugged, timeout_s)
            taken = bytes(self._unread[:count])
            del self._unread[:count]
            return taken

    def discard(self) -> None:
        """Throw away what wasn't read."""
        with self._grown:
            self._unread.clear()

    def _call(self, act: Callable[..., None] | None, *arguments: object) -> None:
        if act is not None:
            self._loop.call_soon_threadsafe(act, *arguments)


_STARTED: Final[dict[str, ThreadPort]] = {}


def port_named(name: str) -> ThreadPort:
    """The port of a board of this process; raises KeyError with the names that there are."""
    if name not in _STARTED:
        raise KeyError(f"no board {name!r} in this process; there are {', '.join(_STARTED) or 'none'}")
    return _STARTED[name]


@contextmanager
def started_board(
    name: str, *, flash: NorFlash, chip: ChipIdentity | None = None, faults: Iterable[BoardFault] = ()
) -> Iterator[ThreadPort]:
    """A board that is switched on, reachable as `vboard://NAME` until the end of the block."""
    loop = asyncio.new_event_loop()
    port = ThreadPort(name, loop)
    is_up = threading.Event()
    stopped = asyncio.Event()
    identity = chip or ChipIdentity(mac=bytes.fromhex("7cdfa1e0b0c5"))

    async def live() -> None:
        host = BoardHost(Board(identity, flash, has_lines=True, faults=faults), port)
        app = CameraApp(host, PahoLink, unix_ms)
        host.run(app)
        await host.plug()
        is_up.set()
        await stopped.wait()
        await app.close()
        host.unplug()

    thread = threading.Thread(target=_run, args=(loop, live), name=port.name, daemon=True)
    thread.start()
    is_up.wait()
    _STARTED[name] = port
    try:
        yield port
    finally:
        del _STARTED[name]
        loop.call_soon_threadsafe(stopped.set)
        thread.join()


def _run(loop: asyncio.AbstractEventLoop, live: Callable[[], object]) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(live())  # type: ignore[arg-type]
