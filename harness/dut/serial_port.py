"""The one door to pyserial: device files, pseudo-terminals, `socket://host:port`, `rfc2217://host:port`.

Opening asserts neither DTR nor RTS: on a board with the usual two transistors each alone would reset it or hold it in
its loader. Bytes that came before the opening are lost (the driver flushes), which is why a console opens first.
"""

from __future__ import annotations

import os
from typing import Any, Final

from harness.errors import BenchUnavailable

READ_TIMEOUT_S: Final = 0.05
WRITE_TIMEOUT_S: Final = 5.0
RESET_PULSE_S: Final = 0.1
"""EN is held low for this long; the capacitor on it needs about 10 ms."""


class PortGone(Exception):
    """The port went away, or does not take bytes any more."""


class PortUnavailable(BenchUnavailable):
    """A serial port can not be opened."""


class SerialPort:
    """An open port. `read` returns what is there, after at most 50 ms; nothing here waits for more."""

    def __init__(self, url: str, baud: int = 115_200) -> None:
        import serial

        self.url = url
        self._errors = (serial.SerialException, OSError, TypeError, ValueError)
        port = _made(url, baud)
        try:
            port.dtr = False
            port.rts = False
            port.open()
        except (serial.SerialException, OSError, ValueError) as error:
            raise PortUnavailable(f"serial port {url} can not be opened: {_cause(error)}", hint=_hint(error)) from None
        self._port = port

    def read(self) -> bytes:
        """What has come. Raises PortGone."""
        try:
            data: bytes = self._port.read(1)
            if data and (more := self._port.in_waiting):
                data += self._port.read(more)
            return data
        except self._errors as error:  # a port closed by another thread raises TypeError inside pyserial
            raise PortGone(_reason(error)) from None

    def write(self, data: bytes) -> None:
        """Send it all. Raises PortGone."""
        try:
            self._port.write(data)
            self._port.flush()
        except self._errors as error:
            raise PortGone(_reason(error)) from None

    def set_reset(self, *, held: bool) -> bool:
        """Hold the board in reset by RTS, or let it run; False where the port has no such lines."""
        try:
            self._port.dtr = False
            self._port.rts = held
        except self._errors:
            return False
        return True

    def close(self) -> None:
        """Let go of the port."""
        try:
            self._port.close()
        except self._errors:
            return


def _made(url: str, baud: int) -> Any:
    import serial

    write_timeout_s = None if "://" in url else WRITE_TIMEOUT_S  # pyserial's rfc2217 refuses to have one
    try:
        port = serial.serial_for_url(
            url, do_not_open=True, baudrate=baud, timeout=READ_TIMEOUT_S, write_timeout=write_timeout_s
        )
    except (serial.SerialException, ValueError) as error:
        raise PortUnavailable(
            f"{url} is no serial port: {_reason(error)}",
            hint="a device file such as /dev/ttyUSB0, socket://host:port, or rfc2217://host:port",
        ) from None
    if "://" not in url:
        port.exclusive = True
    return port


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _cause(error: BaseException) -> str:
    """The system's own words where there are some; pyserial repeats itself."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) and number > 0 else _reason(error)


def _hint(error: BaseException) -> str:
    text = str(error)
    if "Permission" in text or "[Errno 13]" in text:
        return "this user may not open it; membership of the group that owns the device file (often dialout) helps"
    if "exclusively lock" in text or "busy" in text:
        return "another program has it open: a monitor, or a second run"
    if "No such file" in text or "[Errno 2]" in text:
        return "nothing is plugged in there; `wakestorm boards scan` shows what is"
    return "is the board plugged in, and nothing else talking to it?"
