"""One HTTP/1.1 exchange over a real socket on the running loop; no library, no thread."""

from __future__ import annotations

import asyncio

from harness.bench import HttpAnswer
from harness.errors import BenchUnavailable

TIMEOUT_S = 30.0
_HEAD_BYTES_MAX = 64 * 1024
_OWN_HEADERS = {"host", "connection", "content-length"}


async def exchange_over_tcp(
    host: str,
    port: int,
    method: str,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    timeout_s: float = TIMEOUT_S,
) -> HttpAnswer:
    """The answer; raises BenchUnavailable where there is none, or none within the time limit."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port, limit=_HEAD_BYTES_MAX)
            try:
                writer.write(_request(host, port, method, path, headers or {}, body))
                return await _answer(reader)
            finally:
                writer.close()
    except TimeoutError:
        raise BenchUnavailable(f"{method} {path}: the server did not answer within {timeout_s:g} s") from None
    except (OSError, EOFError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise BenchUnavailable(f"{method} {path}: no answer from the server: {reason}") from None


def _request(host: str, port: int, method: str, path: str, headers: dict[str, str], body: bytes | None) -> bytes:
    fields = {"host": f"{host}:{port}", "connection": "close"}
    if body is not None:
        fields |= {"content-type": "application/json", "content-length": str(len(body))}
    fields |= {name.lower(): value for name, value in headers.items() if name.lower() not in _OWN_HEADERS}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


async def _answer(reader: asyncio.StreamReader) -> HttpAnswer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ", 2)[1])
    headers = {
        name.strip().lower(): value.strip() for line in head[1:] if ":" in line for name, value in [line.split(":", 1)]
    }
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    return HttpAnswer(status, headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    return bytes(body)
