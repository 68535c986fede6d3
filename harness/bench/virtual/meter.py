"""Counts what PostgreSQL still owes an answer to, so that the clock never jumps over a query.

Only the type and length of each message is read. A message that asks joins a queue; Sync, Query and Flush make what
stands there due; the answers take it out again (PostgreSQL's protocol, version 3, chapter "Message Flow").
"""

from __future__ import annotations

import asyncio
import contextvars
import struct
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Protocol

SSL_REQUEST: Final = 80877103
CANCEL_REQUEST: Final = 80877102
ASKING: Final = {b"P": b"1", b"B": b"2", b"D": b"Tn", b"E": b"CIs", b"C": b"3"}
SYNCING: Final = frozenset({b"S", b"Q", b"F"})
UNASKED: Final = frozenset({b"N", b"S", b"A", b"E"})  # may come at any time
READY: Final = b"Z"
ROW: Final = b"D"
END: Final = b"end"
SECURITY: Final = b"tls"
TEXT_SHOWN_BYTES: Final = 160


class Frames:
    """Cuts a byte stream into messages; gives (type, start of the body) and keeps no bodies."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._skip_bytes = 0

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The messages whose end lies in `data` or before."""
        found: list[tuple[bytes, bytes]] = []
        at, end = 0, len(data)
        while at < end:
            if not self._header and end - at >= 5:  # nearly always: the message is whole
                body = at + 5
                after = at + 1 + int.from_bytes(data[at + 1 : body], "big")
                if after <= end:
                    found.append((data[at : at + 1], data[body : min(after, body + TEXT_SHOWN_BYTES)]))
                    at = after
                    continue
            at = self._piece(data, at, end, found)
        return found

    def _piece(self, data: bytes, at: int, end: int, found: list[tuple[bytes, bytes]]) -> int:
        """A part of a message that comes in several; returns where `data` goes on."""
        if self._skip_bytes:
            step = min(self._skip_bytes, end - at)
            self._skip_bytes -= step
            if not self._skip_bytes:
                found.append((bytes(self._header[:1]), bytes(self._header[5:])))
                self._header.clear()
            return at + step
        step = min(5 - len(self._header), end - at)
        self._header += data[at : at + step]
        at += step
        if len(self._header) == 5:
            self._skip_bytes = struct.unpack_from("!i", self._header, 1)[0] - 4
            self._header += data[at : at + min(self._skip_bytes, TEXT_SHOWN_BYTES)]
            if not self._skip_bytes:
                found.append((bytes(self._header[:1]), b""))
                self._header.clear()
        return at


class PgMeter:
    """What one connection waits for; `account(+1)` when it begins to owe, `account(-1)` when it does not any more."""

    def __init__(self, name: str, account: Callable[[int], None]) -> None:
        self.name = name
        self._last_text = b""
        self.stray_replies = 0
        self._account = account
        self._pending: deque[bytes] = deque()
        self._due = 0
        self._skipping = False
        self._startup: bytearray | None = bytearray()
        self._sent, self._received = Frames(), Frames()
        self._awaits_copy_data = False
        self._is_reading_paused = False
        self._is_writing_paused = False
        self._is_released = False
        self._counts = False

    @property
    def text(self) -> str:
        """The start of what was asked last."""
        return self._last_text.replace(b"\0", b" ").decode(errors="replace").strip()

    @property
    def is_outstanding(self) -> bool:
        """Whether real time has to pass before virtual time may."""
        return self._counts

    @property
    def is_starting(self) -> bool:
        """Whether the client has not yet sent its startup packet."""
        return self._startup is not None

    def release(self) -> None:
        """From now on the clock does not wait for this connection (a fault: the database does not answer)."""
        self._is_released = True
        self._update()

    def resume(self) -> None:
        """Ends `release`."""
        self._is_released = False
        self._update()

    def clear(self) -> None:
        """The connection is gone: nothing is owed."""
        self._pending.clear()
        self._due = 0
        self._is_writing_paused = False
        self._update()

    def reading_paused(self, paused: bool) -> None:
        """The client itself does not take the answer now."""
        self._is_reading_paused = paused
        self._update()

    def writing_paused(self, paused: bool) -> None:
        """The client waits until PostgreSQL has read what is in the buffer."""
        self._is_writing_paused = paused
        self._update()

    def sent(self, data: bytes) -> None:
        """The client has written these bytes."""
        if self._startup is not None:
            self._startup += data
            self._read_startup()
        else:
            for kind, body in self._sent.feed(data):
                self._asked(kind, body)
        self._update()

    def _read_startup(self) -> None:
        while self._startup is not None and len(self._startup) >= 8:
            length, code = struct.unpack_from("!ii", self._startup)
            if len(self._startup) < length:
                return
            del self._startup[:length]
            self._pending.append({SSL_REQUEST: SECURITY, CANCEL_REQUEST: END}.get(code, READY))
            self._due = len(self._pending)
            if code != SSL_REQUEST:
                rest, self._startup = bytes(self._startup), None
                for kind, body in self._sent.feed(rest):
                    self._asked(kind, body)

    def _asked(self, kind: bytes, body: bytes) -> None:
        if kind in SYNCING:
            self._pending.append(READY)
            self._due = len(self._pending)
            self._skipping = False
        elif kind == b"H":
            self._due = len(self._pending)
        elif kind == b"X":
            self._pending.append(END)
            self._due = len(self._pending)
        elif kind in b"cf":
            self._awaits_copy_data = False
        elif kind in ASKING and not self._skipping:
            self._pending.append(ASKING[kind])
        if kind in b"QP":
            self._last_text = body

    def received(self, data: bytes) -> None:
        """PostgreSQL has answered these bytes."""
        if self._pending and self._pending[0] == SECURITY:
            self._take()
            data = data[1:]
        for kind, _ in self._received.feed(data):
            if kind != ROW or not self._pending:  # a row answers nothing
                self._answered(kind)
        self._update()

    def _answered(self, kind: bytes) -> None:
        if not self._pending:
            self.stray_replies += kind not in UNASKED and not self._is_released
        elif kind == READY:
            while self._pending and self._take() != READY:
                pass
            self._awaits_copy_data = False
        elif kind == b"E":
            self._awaits_copy_data = False
            while self._pending and self._pending[0] not in (READY, END):
                self._take()
            self._skipping = not self._pending
        elif kind == b"G":
            self._awaits_copy_data = True
        elif kind in self._pending[0] and self._pending[0] not in (READY, END):
            self._take()

    def _take(self) -> bytes:
        self._due = max(0, self._due - 1)
        return self._pending.popleft()

    def _update(self) -> None:
        owes = (self._due > 0 and not self._awaits_copy_data) or self._is_writing_paused
        counts = owes and not self._is_released and not self._is_reading_paused
        if counts != self._counts:
            self._counts = counts
            self._account(1 if counts else -1)


class Points(Protocol):
    """Who looks at every request of a client and may strike at one."""

    def asked(self, connection: MeteredProtocol, data: bytes) -> bytes | None:
        """What goes to PostgreSQL instead of this request; None: nothing."""
        ...

    def answered(self, connection: MeteredProtocol) -> bool:
        """Whether what PostgreSQL has just answered is kept from the client."""
        ...


class MeteredTransport(asyncio.Transport):
    """What the client writes to: counts, and can be frozen or fenced."""

    def __init__(self, real: asyncio.Transport, protocol: MeteredProtocol) -> None:
        super().__init__()
        self._real = real
        self._protocol = protocol

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self._protocol.write(self._real, bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        self.write(b"".join(list_of_data))

    def pause_reading(self) -> None:
        self._real.pause_reading()
        self._protocol.meter.reading_paused(True)

    def resume_reading(self) -> None:
        self._real.resume_reading()
        self._protocol.meter.reading_paused(False)

    def is_reading(self) -> bool:
        return self._real.is_reading()

    def close(self) -> None:
        self._real.close()

    def abort(self) -> None:
        self._real.abort()

    def is_closing(self) -> bool:
        return self._real.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._real.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol.inner = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol.inner

    def can_write_eof(self) -> bool:
        return self._real.can_write_eof()

    def write_eof(self) -> None:
        self._real.write_eof()

    def get_write_buffer_size(self) -> int:
        return self._real.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._real.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._real.set_write_buffer_limits(high, low)


class MeteredProtocol(asyncio.Protocol):
    """Stands between the real transport and the client's protocol on one connection to PostgreSQL."""

    def __init__(
        self,
        inner: asyncio.Protocol,
        meter: PgMeter,
        tag: str | None,
        forget: Callable[[MeteredProtocol], None],
    ) -> None:
        self._forget = forget
        self._context = contextvars.copy_context()
        self.inner = inner
        self.meter = meter
        self.tag = tag
        self.transport: MeteredTransport | None = None
        self._real: asyncio.Transport | None = None
        self._is_frozen = False
        self.is_fenced = False
        self.points: Points | None = None
        self._held_out: list[bytes] = []
        self._held_in: list[bytes] = []

    def write(self, real: asyncio.Transport, data: bytes) -> None:
        """Passes on, holds back (frozen) or swallows (fenced)."""
        if self.is_fenced:
            return
        if self._is_frozen:
            self._held_out.append(data)
            return
        if self.points is not None and not self.meter.is_starting:
            replaced = self.points.asked(self, data)
            if replaced is None:
                return
            data = replaced
        self.meter.sent(data)
        real.write(data)

    def freeze(self) -> None:
        """PostgreSQL neither hears nor answers on this connection while virtual time goes on."""
        self._is_frozen = True
        self.meter.release()

    def thaw(self) -> None:
        """What was held back goes through, in order."""
        if not self._is_frozen:
            return
        self._is_frozen = False
        self.meter.resume()
        held_in, self._held_in = self._held_in, []
        held_out, self._held_out = self._held_out, []
        for data in held_in:
            self.data_received(data)
        for data in held_out:
            if self._real is not None and not self._real.is_closing():
                self.write(self._real, data)

    def reset(self) -> None:
        """The client hears that its connection is gone; what is still on its way is lost, in both directions."""
        self._is_frozen = True
        self.meter.release()
        if self._real is not None:
            self._context.run(self._real.abort)  # what the client does about it is the client's

    def fence(self) -> None:
        """The owner has crashed: the connection is aborted, nothing passes any more, in no direction."""
        self.is_fenced = True
        self.meter.clear()
        if self._real is not None:
            self._real.abort()

    def tell_the_end(self) -> None:
        """A fenced client hears that its connection is gone and frees what it holds; its owner runs no more."""
        with suppress(Exception):
            self._context.run(self.inner.connection_lost, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._real = transport
        self.transport = MeteredTransport(transport, self)
        if self.is_fenced:
            transport.abort()
        else:
            self.inner.connection_made(self.transport)

    def data_received(self, data: bytes) -> None:
        if self.is_fenced:
            return
        if self._is_frozen:
            self._held_in.append(data)
            return
        self.meter.received(data)
        if self.points is None or not self.points.answered(self):
            self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self.is_fenced else self.inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.meter.clear()
        self._forget(self)
        if not self.is_fenced:
            self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self.meter.writing_paused(True)
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.meter.writing_paused(False)
        self.inner.resume_writing()
