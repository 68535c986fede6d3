"""A board on a bare TCP socket (`socket://`): neither speed nor modem lines. One host at a time."""

from __future__ import annotations

import asyncio
import socket
from typing import Final, cast

from simulator.board.ports import OnData, OnLines

_UNREAD_BYTES_MAX: Final = 4 << 20
"""A host that is so far behind isn't reading: what is new is dropped."""


class TcpPort:
    """`port` 0 takes a free one, which is kept over unplug and plug."""

    has_lines = False

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._client: asyncio.Transport | None = None

    @property
    def name(self) -> str:
        return f"socket://{self._host}:{self._port}"

    def baud(self) -> int | None:
        return None

    async def plug(self, on_data: OnData, on_lines: OnLines) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self, on_data), self._host, self._port)
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
        client = self._client
        if client is not None and data and client.get_write_buffer_size() < _UNREAD_BYTES_MAX:
            client.write(data)

    def take(self, client: asyncio.Transport) -> bool:
        """A host connects; False where there is one already."""
        if self._client is not None:
            return False
        self._client = client
        return True

    def leave(self, client: asyncio.Transport | None) -> None:
        """A host is gone."""
        if client is self._client:
            self._client = None


class _Client(asyncio.Protocol):
    def __init__(self, port: TcpPort, on_data: OnData) -> None:
        self._port = port
        self._on_data = on_data
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        wire = self._transport.get_extra_info("socket")
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._port.take(self._transport):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._on_data(data, None)

    def connection_lost(self, error: Exception | None) -> None:
        self._port.leave(self._transport)
