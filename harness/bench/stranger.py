"""A client under somebody else's client id: it says CONNECT, then nothing, until the broker closes its connection."""

from __future__ import annotations

import asyncio

from server.wire.mqtt_codec import Connect, encode


class Stranger(asyncio.Protocol):
    """Keeps the session it has taken over; what the broker sends it is not acknowledged."""

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(encode(Connect(client_id=self._client_id, clean_session=False, keep_alive_s=0)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def leave(self) -> None:
        """Drop the connection, if the broker has not."""
        if self._transport is not None:
            self._transport.abort()


async def take_over(host: str, port: int, client_id: str) -> Stranger:
    """A stranger who is connected there. Raises OSError."""
    _, stranger = await asyncio.get_running_loop().create_connection(lambda: Stranger(client_id), host, port)
    return stranger
