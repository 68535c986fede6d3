"""pyserial's handler of `vboard://NAME`; pyserial finds it by the module's name."""

from __future__ import annotations

import errno
from typing import Any

from serial import SerialBase, SerialException

from simulator.board.inprocess import ThreadPort, port_named


class Serial(SerialBase):
    """A serial port of a board in this process, modem lines included."""

    BAUDRATES = SerialBase.BAUDRATES

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._wire: ThreadPort | None = None
        super().__init__(*arguments, **options)

    def open(self) -> None:
        """Raises SerialException where there is no board of that name."""
        if self.is_open:
            raise SerialException("the port is open already")
        try:
            self._wire = port_named(str(self.portstr).partition("://")[2])
        except KeyError as error:
            raise SerialException(error.args[0]) from error
        self._reconfigure_port()
        self.is_open = True
        self._drive()

    def close(self) -> None:
        self.is_open = False

    def read(self, size: int = 1, /) -> bytes:
        """As pyserial: what came within the timeout."""
        wire = self._open_wire()
        data = wire.take(size, self.timeout)
        if not data and not wire.is_plugged:
            raise SerialException("the board was unplugged")
        return data

    def write(self, data: Any, /) -> int:
        self._open_wire().send(bytes(data))
        return len(data)

    @property
    def in_waiting(self) -> int:
        return self._open_wire().unread_bytes

    def reset_input_buffer(self) -> None:
        self._open_wire().discard()

    def reset_output_buffer(self) -> None:
        """Nothing waits here."""

    def flush(self) -> None:
        """Nothing waits here."""

    def fileno(self) -> int:
        """There is no terminal behind it: tools that want both lines moved at once move them one by one."""
        raise OSError(errno.ENOTTY, "no modem control by ioctl")

    @property
    def cts(self) -> bool:
        return True

    @property
    def dsr(self) -> bool:
        return True

    @property
    def ri(self) -> bool:
        return False

    @property
    def cd(self) -> bool:
        return True

    def _open_wire(self) -> ThreadPort:
        if not self.is_open or self._wire is None:
            raise SerialException("the port is not open")
        if not self._wire.is_plugged:
            raise SerialException("the board was unplugged")
        return self._wire

    def _reconfigure_port(self) -> None:
        if self._wire is not None:
            self._wire.speed = int(self.baudrate)

    def _drive(self) -> None:
        if self.is_open and self._wire is not None:
            self._wire.set_lines(bool(self.dtr), bool(self.rts))

    def _update_dtr_state(self) -> None:
        self._drive()

    def _update_rts_state(self) -> None:
        self._drive()

    def _update_break_state(self) -> None:
        """A break has no effect."""
