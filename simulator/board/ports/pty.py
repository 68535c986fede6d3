"""A board on a pseudo-terminal: a path that any serial program opens. It has a speed, but no modem lines."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import termios
import tty
from pathlib import Path
from typing import Final

from simulator.board.ports import OnData, OnLines

_READ_BYTES: Final = 65_536
_DROP_AFTER_S: Final = 3.0
"""A host that takes nothing for so long isn't reading: what waits for it is dropped. A loaded machine stops a host that
does read for up to a second."""

_WAITING_BYTES_MAX: Final = 1 << 20

_TCGETS2: Final = 0x802C_542A
_TERMIOS2: Final = struct.Struct("<4I20B2I")


class PtyPort:
    """`link` is a symbolic link to the terminal, replaced while plugged and removed afterwards.

    The terminal is in packet mode (tty_ioctl(4), TIOCPKT): each read starts with a byte that tells of a flush.
    """

    has_lines = False

    def __init__(self, link: Path | None = None) -> None:
        self._link = link
        self._master = -1
        self._slave = -1
        self._path = ""
        self._waiting = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def name(self) -> str:
        """The link, else the terminal's own path."""
        return self._path if self._link is None else str(self._link)

    def baud(self) -> int | None:
        """Read from the terminal, since the host sets it there."""
        if self._master < 0:
            return None
        raw = fcntl.ioctl(self._master, _TCGETS2, bytes(_TERMIOS2.size))
        return int(_TERMIOS2.unpack(raw)[-1])

    async def plug(self, on_data: OnData, on_lines: OnLines) -> None:
        """Open a terminal. Its own side stays open, or the first host that closes would end it."""
        self._loop = asyncio.get_running_loop()
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        settings = termios.tcgetattr(self._slave)
        settings[4] = settings[5] = termios.B115200
        termios.tcsetattr(self._slave, termios.TCSANOW, settings)
        os.set_blocking(self._master, False)
        fcntl.ioctl(self._master, termios.TIOCPKT, struct.pack("i", 1))
        self._path = os.ttyname(self._slave)
        if self._link is not None:
            _point(self._link, self._path)
        self._loop.add_reader(self._master, self._readable, on_data)

    def unplug(self) -> None:
        """Close both sides: whoever has it open reads an error or the end."""
        if self._master < 0 or self._loop is None:
            return
        self._drop()
        self._loop.remove_reader(self._master)
        if self._link is not None and self._link.is_symlink() and str(self._link.readlink()) == self._path:
            self._link.unlink()
        for descriptor in (self._master, self._slave):
            os.close(descriptor)
        self._master = self._slave = -1

    def write(self, data: bytes) -> None:
        """Send what fits; the rest when the host has read. What it throws away (tcflush) is thrown away here, too."""
        if self._master < 0 or not data or len(self._waiting) > _WAITING_BYTES_MAX:
            return
        if self._waiting:
            self._waiting += data
            return
        self._waiting += data
        self._flush()

    def _readable(self, on_data: OnData) -> None:
        try:
            data = os.read(self._master, _READ_BYTES)
        except (BlockingIOError, OSError):
            return
        if data and data[0] & termios.TIOCPKT_FLUSHREAD:
            self._drop()
        elif len(data) > 1 and data[0] == termios.TIOCPKT_DATA:
            on_data(data[1:], self.baud())

    def _flush(self) -> None:
        if self._loop is None:
            return
        try:
            while self._waiting:
                sent = os.write(self._master, memoryview(self._waiting)[:_READ_BYTES])
                del self._waiting[:sent]
                self._rearm()
        except BlockingIOError:
            if self._timer is None:
                self._rearm()
            self._loop.add_writer(self._master, self._flush)
            return
        except OSError:
            self._waiting.clear()
        self._drop()

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._loop is not None:
            self._timer = self._loop.call_later(_DROP_AFTER_S, self._drop)

    def _drop(self) -> None:
        """Nothing waits any more: all is sent, or nobody takes it."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None and self._master >= 0:
            self._loop.remove_writer(self._master)


def _point(link: Path, target: str) -> None:
    """Make or replace a symbolic link in one step."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.exists() and not link.is_symlink():
        raise FileExistsError(f"{link} exists and is no symbolic link")
    new = link.with_name(f".{link.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    new.symlink_to(target)
    new.replace(link)
