"""One end of a TCP connection in memory.

Bytes wait in the writer's buffer, then travel (at most `WINDOW_BYTES` that the reader has not taken), then wait at the
reader if it has paused. Order is kept in each direction. Callbacks run in the context of the end's owner, so that
what a peer starts never belongs to the sender.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from harness.bench.virtual.line import LineEnd
    from harness.bench.virtual.network import MemoryNetwork

WINDOW_BYTES: Final = 65_536
HIGH_WATER_BYTES: Final = 65_536
GIVE_UP_US: Final = 924_000_000  # Linux: 15 retransmissions (tcp_retries2)

END: Final = b""


def reset_error() -> ConnectionResetError:
    """What a socket says when the other side sent RST."""
    return ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


class MemoryTransport(asyncio.Transport):
    """An asyncio transport whose other end is in this process; made by MemoryNetwork only."""

    peer: MemoryTransport

    def __init__(
        self,
        network: MemoryNetwork,
        tag: str | None,
        local: tuple[str, int],
        remote: tuple[str, int],
        context: contextvars.Context,
    ) -> None:
        super().__init__({"sockname": local, "peername": remote, "socket": None})
        self.tag, self.local, self.remote = tag, local, remote
        self._network = network
        self._context = context
        self._protocol: asyncio.Protocol | None = None
        self._buffer: deque[bytes] = deque()
        self._buffer_bytes = 0
        self._unread_bytes = 0
        self._arrived: deque[bytes] = deque()
        self._line_free_us = 0
        self.last_arrival_us = 0
        self._high_bytes, self._low_bytes = HIGH_WATER_BYTES, HIGH_WATER_BYTES // 4
        self._is_paused = self._is_writing_paused = False
        self._is_closing = self._is_lost = self._is_fenced = self._is_half_open = False
        self._eof_written = self._eof_sent = False
        self._stuck: deque[bytes] = deque()
        self._give_up: asyncio.TimerHandle | None = None
        self.over: LineEnd | None = None

    # --- asyncio's side -------------------------------------------------------------------------------------------

    def start(self, protocol: asyncio.Protocol) -> None:
        """Connects the protocol; what has arrived before is delivered after `connection_made`."""
        if self._is_lost:
            return
        self._protocol = protocol
        self._context.run(protocol.connection_made, self)
        self._deliver_arrived()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def is_closing(self) -> bool:
        return self._is_closing

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._is_closing or self._is_fenced or not data:
            return
        if self._network.on_bytes is not None:
            self._network.on_bytes(self, "out", bytes(data))
        self._buffer.append(bytes(data))
        self._buffer_bytes += len(data)
        self._pump()
        if self._buffer_bytes > self._high_bytes and not self._is_writing_paused:
            self._is_writing_paused = True
            if self._protocol is not None:
                self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._eof_written and not self._is_closing:
            self._eof_written = True
            self._pump()

    def close(self) -> None:
        """Sends what is buffered, then FIN; the protocol hears `connection_lost(None)` after that."""
        if not self._is_closing:
            self._is_closing = True
            self._pump()

    def abort(self) -> None:
        """Drops what is buffered; the other side hears RST after the way there."""
        if self._is_lost:
            return
        if not self._is_half_open and not self._is_fenced:
            self._network.send_reset(self)
        self.lose(None)

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._network.loop.call_soon(self._deliver_arrived, context=self._network.context)

    def is_reading(self) -> bool:
        return not self._is_paused and not self._is_closing

    def get_write_buffer_size(self) -> int:
        return self._buffer_bytes

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low_bytes, self._high_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = HIGH_WATER_BYTES if low is None else 4 * low
        self._high_bytes, self._low_bytes = high, high // 4 if low is None else low

    # --- the network's side ---------------------------------------------------------------------------------------

    @property
    def is_lost(self) -> bool:
        """Whether this end is gone for its owner."""
        return self._is_lost

    def cut(self) -> None:
        """A fault: both ends hear RST now, what travels is lost."""
        self._network.statistics.cuts += 1
        for end in (self, self.peer):
            end.lose(reset_error())

    def half_open(self) -> None:
        """A fault: this end's machine is gone without a word; the other end finds out by its own timeouts only."""
        self._is_half_open = self.peer._is_half_open = True
        self.lose(None, silently=True)

    def reset_later(self, leaves_us: int) -> None:
        """RST to the other end leaves then."""
        self._network.deliver_reset(self, leaves_us)

    def leave_unaware(self) -> None:
        """A fault: this end hears nothing any more, and does not know; what it sends comes nowhere."""
        self._is_half_open = True

    def fence(self) -> None:
        """The owner has crashed: RST to the other end; here nothing is heard and nothing can be written any more."""
        if not self._is_lost and not self._is_half_open:
            self._network.send_reset(self)
        self._is_fenced = True
        self.lose(None, silently=True)

    def lose(self, error: Exception | None, *, silently: bool = False) -> None:
        """This end is gone; its protocol hears `connection_lost(error)` soon, unless silently."""
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        self._buffer.clear()
        self._buffer_bytes = 0
        self._arrived.clear()
        if error is not None or silently or not self._eof_sent:
            self._drop_stuck()
        if not self._stuck:
            self._network.forget(self)
        if self._protocol is not None and not silently:
            self._network.loop.call_soon(self._protocol.connection_lost, error, context=self._context)

    def _pump(self) -> None:
        """Sends as much of the buffer as the other side has room for; closes when it is empty."""
        while self._buffer and self._unread_bytes < WINDOW_BYTES:
            room = min(WINDOW_BYTES - self._unread_bytes, self._network.segment_bytes)
            head = self._buffer.popleft()
            segment, rest = head[:room], head[room:]
            if rest:
                self._buffer.appendleft(rest)
            self._buffer_bytes -= len(segment)
            self._unread_bytes += len(segment)
            self._send(segment)
        if self._is_writing_paused and self._buffer_bytes <= self._low_bytes:
            self._is_writing_paused = False
            if self._protocol is not None and not self._is_lost:
                self._network.loop.call_soon(self._protocol.resume_writing, context=self._context)
        if (self._eof_written or self._is_closing) and not self._buffer and not self._eof_sent:
            self._eof_sent = True
            self._send(END)
        if self._is_closing and self._eof_sent and not self._is_lost:
            self.lose(None)  # what is stuck lives on without its owner, as in a kernel

    def _send(self, segment: bytes) -> None:
        network = self._network
        network.statistics.segments += 1
        network.statistics.bytes += len(segment)
        if self._is_half_open or self._stuck or not network.is_reachable(self.local[0], self.remote[0]):
            self._stuck.append(segment)
            if self._give_up is None:
                self._give_up = network.loop.call_after_us(GIVE_UP_US, self._give_up_now, context=network.context)
            return
        self._go(segment)

    def _go(self, segment: bytes) -> None:
        """Onto the way: over a faulty line, where there is one."""
        if self.over is None:
            self.dispatch(segment)
        else:
            self._unread_bytes -= self.over.carry(segment)

    def dispatch(self, segment: bytes, not_before_us: int = 0) -> None:
        """The segment travels, and arrives."""
        network = self._network
        loop = network.loop
        leaves_us = max(loop.now_us, self._line_free_us, not_before_us)
        if network.bandwidth_bytes_per_s:
            leaves_us += round(len(segment) * 1e6 / network.bandwidth_bytes_per_s)
            self._line_free_us = leaves_us
        arrives_us = max(leaves_us + network.draw_latency_us(self.local[0], self.remote[0]), self.last_arrival_us)
        self.last_arrival_us = arrives_us = network.taken_in_us(self.remote[0], arrives_us)
        loop.call_at_us(arrives_us, self.peer.arrive, segment, context=network.context)

    def healed(self) -> None:
        """The way is free again: what was stuck goes out, in order."""
        if self._is_half_open:
            return
        stuck = list(self._stuck)
        self._drop_stuck()
        for segment in stuck:
            self._go(segment)
        if self._is_lost:
            self._network.forget(self)

    def _drop_stuck(self) -> None:
        self._stuck.clear()
        if self._give_up is not None:
            self._give_up.cancel()
            self._give_up = None

    def _give_up_now(self) -> None:
        self._drop_stuck()
        self._network.forget(self)
        self.lose(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))

    def arrive(self, segment: bytes) -> None:
        """A segment has come from the other side."""
        if self._is_half_open:
            return
        if self._is_lost:
            if segment and not self.peer._is_lost:
                self._network.send_reset(self)  # as TCP does: nobody reads here any more
            return
        self._arrived.append(segment)
        self._deliver_arrived()

    def _deliver_arrived(self) -> None:
        while self._arrived and self._protocol is not None and not self._is_paused and not self._is_lost:
            segment = self._arrived.popleft()
            if segment == END:
                if not self._is_closing and not self._context.run(self._protocol.eof_received):
                    self.close()
                continue
            self.peer._unread_bytes -= len(segment)
            if not self._is_closing:
                if self._network.on_bytes is not None:
                    self._network.on_bytes(self, "in", segment)
                self._context.run(self._protocol.data_received, segment)
            self.peer._pump()
