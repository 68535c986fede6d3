"""A board behind RFC 2217, Telnet's serial ports: TCP with speed, DTR and RTS. One host at a time.

The Telnet side is pyserial's own `PortManager`; it acts on an object that looks like a serial port, which is this one.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any, Final, cast

from serial.rfc2217 import PortManager

from simulator.board.ports import OnData, OnLines

_UNREAD_BYTES_MAX: Final = 4 << 20


class _Uart:
    """What PortManager sets: a speed and two lines. The other settings are kept and have no effect."""

    def __init__(self, on_lines: OnLines) -> None:
        self.baudrate = 115_200
        self.bytesize, self.parity, self.stopbits = 8, "N", 1
        self.xonxoff = self.rtscts = self.break_condition = False
        self.cts = self.dsr = self.cd = True
        self.ri = False
        self._on_lines = on_lines
        self._dtr = self._rts = False

    @property
    def dtr(self) -> bool:
        return self._dtr

    @dtr.setter
    def dtr(self, asserted: bool) -> None:
        self._dtr = bool(asserted)
        self._on_lines(self._dtr, self._rts)

    @property
    def rts(self) -> bool:
        return self._rts

    @rts.setter
    def rts(self, asserted: bool) -> None:
        self._rts = bool(asserted)
        self._on_lines(self._dtr, self._rts)

    def reset_input_buffer(self) -> None:
        """Nothing waits here."""

    def reset_output_buffer(self) -> None:
        """Nothing waits here."""

    def get_settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("baudrate", "bytesize", "parity", "stopbits")} | {
            "xonxoff": False,
            "rtscts": False,
        }

    def apply_settings(self, settings: Mapping[str, Any]) -> None:
        for name, value in settings.items():
            setattr(self, name, value)


class Rfc2217Port:
    """`port` 0 takes a free one, which is kept over unplug and plug."""

    has_lines = True

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._client: _Client | None = None

    @property
    def name(self) -> str:
        """With pyserial's option that spares 9 s of waiting for control answers."""
        return f"rfc2217://{self._host}:{self._port}?ign_set_control"

    def baud(self) -> int | None:
        return None if self._client is None else self._client.uart.baudrate

    async def plug(self, on_data: OnData, on_lines: OnLines) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self, on_data, on_lines), self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def unplug(self) -> None:
        """Reset the connection and stop listening."""
        if self._server is not None:
            self._server.close()
        if self._client is not None:
            self._client.abort()
        self._server = self._client = None

    def write(self, data: bytes) -> None:
        """Send to the host that is connected."""
        if self._client is not None and data:
            self._client.send(data)

    def take(self, client: _Client) -> bool:
        """A host connects; False where there is one already."""
        if self._client is not None:
            return False
        self._client = client
        return True

    def leave(self, client: _Client) -> None:
        """A host is gone."""
        if client is self._client:
            self._client = None


class _Client(asyncio.Protocol):
    """One Telnet connection; also the connection object that PortManager answers on."""

    def __init__(self, port: Rfc2217Port, on_data: OnData, on_lines: OnLines) -> None:
        self.uart = _Uart(on_lines)
        self._port = port
        self._on_data = on_data
        self._transport: asyncio.Transport | None = None
        self._manager: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._port.take(self):
            self._manager = PortManager(cast(Any, self.uart), cast(Any, self))
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._manager is not None:
            plain = b"".join(self._manager.filter(data))
            if plain:
                self._on_data(plain, self.uart.baudrate)

    def connection_lost(self, error: Exception | None) -> None:
        self._port.leave(self)

    def write(self, data: bytes) -> None:
        """Telnet's own answers."""
        if self._transport is not None:
            self._transport.write(data)

    def send(self, data: bytes) -> None:
        """Serial data, escaped for Telnet."""
        if self._transport is not None and self._transport.get_write_buffer_size() < _UNREAD_BYTES_MAX:
            self._transport.write(b"".join(self._manager.escape(data)))

    def abort(self) -> None:
        """Reset the connection."""
        if self._transport is not None:
            self._transport.abort()
