"""TLS before a broker that has none: a certificate of one's own, and a door that ends the TLS."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of its own making for 127.0.0.1, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lab")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "ca.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def server_context(folder: Path) -> ssl.SSLContext:
    """What a TLS server on 127.0.0.1 needs; `ca.pem` in that folder is what its clients need."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(folder))
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
