"""TLS before a broker that has none: a door that ends the TLS, with a certificate of `wakestorm certs`."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from server.certificates import Names, make


def server_context(folder: Path) -> ssl.SSLContext:
    """What a TLS server on 127.0.0.1 needs; `ca.crt` in that folder is what its clients need."""
    make(folder, Names(hosts=["127.0.0.1"], clients=(), days=1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "broker.crt", folder / "broker.key")
    return context


class TlsDoor:
    """TLS before a plain port, in a thread of its own: paho shakes hands while its loop waits."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._to = port
        self._context = context
        self._writers: list[asyncio.StreamWriter] = []
        self._opened = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._opened.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        door = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        self.port = door.sockets[0].getsockname()[1]
        self._opened.set()
        await self._end.wait()
        door.close()
        for writer in self._writers:
            with suppress(AttributeError):  # Python 3.11.2, of a TLS transport that was closed twice
                writer.transport.abort()
        await asyncio.sleep(0.05)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, to_writer]
        await asyncio.gather(piped(reader, to_writer), piped(to_reader, writer), return_exceptions=True)


async def piped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
