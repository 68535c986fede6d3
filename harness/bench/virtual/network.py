"""Machines in memory: TCP with latency, order, back-pressure, resets, half-open ends and partitions.

Everything is deterministic: latencies come from the generator passed in, and dictionaries keep their order.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from harness.bench.virtual.incarnation import current_host, current_incarnation
from harness.bench.virtual.line import MemoryLine
from harness.bench.virtual.loop import VirtualLoop
from harness.bench.virtual.transport import MemoryTransport, reset_error
from simulator.rng import Rng

SYN_RETRIES_US: Final = (1_000_000, 2_000_000, 4_000_000, 8_000_000, 16_000_000, 32_000_000, 64_000_000)
FIRST_CLIENT_PORT: Final = 49_152
SEGMENT_MAX_BYTES: Final = 65_536


@dataclass(slots=True)
class NetworkStatistics:
    """Counts since the network was made."""

    connections: int = 0
    refused: int = 0
    timed_out: int = 0
    segments: int = 0
    bytes: int = 0
    cuts: int = 0
    fenced: int = 0


class MemoryServer(asyncio.AbstractServer):
    """A listening address."""

    def __init__(
        self, network: MemoryNetwork, address: tuple[str, int], factory: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self.address = address
        self.factory = factory
        self.tag = current_incarnation.get()
        self.context = contextvars.copy_context()
        self._network = network

    def close(self) -> None:
        self._network.stop_listening(self)

    def is_serving(self) -> bool:
        return self._network.is_listening(self)

    async def start_serving(self) -> None:
        """It does already."""

    async def serve_forever(self) -> None:
        await self._network.loop.create_future()

    async def wait_closed(self) -> None:
        """Connections live on without their listener."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._network.loop


class MemoryNetwork:
    """The network of one virtual loop; becomes `loop.network`.

    `latency_us` draws the time of one segment on its way; `segment_bytes` splits what is written;
    `bandwidth_bytes_per_s` limits each direction of each connection (None: no limit).
    """

    def __init__(
        self,
        loop: VirtualLoop,
        latency_us: Callable[[], int],
        *,
        segment_bytes: int = SEGMENT_MAX_BYTES,
        bandwidth_bytes_per_s: int | None = None,
    ) -> None:
        self.loop = loop
        self.segment_bytes = segment_bytes
        self.bandwidth_bytes_per_s = bandwidth_bytes_per_s
        self.statistics = NetworkStatistics()
        self.on_bytes: Callable[[MemoryTransport, str, bytes], None] | None = None
        self.context = contextvars.copy_context()
        self.latency_us = latency_us
        self._latency_of: dict[str, Callable[[], int]] = {}
        self._reads_every_us: dict[str, int] = {}
        self._listening: dict[tuple[str, int], MemoryServer] = {}
        self._ends: dict[MemoryTransport, None] = {}
        self._down: dict[str, None] = {}
        self._blocked: dict[frozenset[str], None] = {}
        self._lines: dict[str, MemoryLine] = {}
        self._next_port = FIRST_CLIENT_PORT
        loop.network = self

    # --- addresses and connections --------------------------------------------------------------------------------

    def listen(self, host: str, port: int, protocol_factory: Callable[[], asyncio.BaseProtocol]) -> MemoryServer:
        """Connections to (host, port) get a protocol each, in the caller's context; a taken address is an OSError."""
        address = (host, port)
        if address in self._listening:
            raise OSError(errno.EADDRINUSE, f"address {host}:{port} is in use")
        server = MemoryServer(self, address, protocol_factory)
        self._listening[address] = server
        return server

    def stop_listening(self, server: MemoryServer) -> None:
        """New connections are refused; open ones stay."""
        if self.is_listening(server):
            del self._listening[server.address]

    def is_listening(self, server: MemoryServer) -> bool:
        """Whether the server still takes connections."""
        return self._listening.get(server.address) is server

    async def connect(self, protocol_factory: Callable[[], Any], host: str, port: int) -> tuple[asyncio.Transport, Any]:
        """A connection from the current host; refused without a listener, TimeoutError after 127 s without a way."""
        source = current_host.get()
        await self._reach(source, host)
        server = self._listening.get((host, port))
        if server is None:
            await self._travel(host, source)
            self.statistics.refused += 1
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed {(host, port)}")
        self._next_port += 1
        local, remote = (source, self._next_port), (host, port)
        near = MemoryTransport(self, current_incarnation.get(), local, remote, contextvars.copy_context())
        far = MemoryTransport(self, server.tag, remote, local, server.context.copy())
        near.peer, far.peer = far, near
        self._ends[near] = self._ends[far] = None
        if source in self._lines:
            self._lines[source].join(near, far)
        self.statistics.connections += 1
        latency_us = self.draw_latency_us(host, source)
        far.last_arrival_us = self.loop.now_us + latency_us
        accepted = far_protocol(server)
        self.loop.call_soon(far.start, accepted, context=self.context)
        try:
            await self._sleep_us(latency_us)
            if near.is_lost:
                raise reset_error()
        except BaseException:
            near.abort()
            raise
        protocol = protocol_factory()
        near.start(protocol)
        return near, protocol

    async def _reach(self, source: str, host: str) -> None:
        """The SYN's way, with the retries of a real kernel."""
        for wait_us in SYN_RETRIES_US:
            if self.is_reachable(source, host):
                await self._travel(source, host)
                return
            await self._sleep_us(wait_us)
        self.statistics.timed_out += 1
        raise TimeoutError(errno.ETIMEDOUT, f"Connect call to {host} timed out")

    async def _travel(self, source: str, target: str) -> None:
        await self._sleep_us(self.draw_latency_us(source, target))

    async def _sleep_us(self, delay_us: int) -> None:
        done = self.loop.create_future()
        timer = self.loop.call_after_us(delay_us, _wake, done)
        try:
            await done
        finally:
            timer.cancel()

    def connections(self, *, host: str | None = None, tag: str | None = None) -> list[MemoryTransport]:
        """The open ends on a host or of an incarnation, oldest first."""
        return [end for end in self._ends if (host is None or end.local[0] == host) and (tag is None or end.tag == tag)]

    def forget(self, end: MemoryTransport) -> None:
        """An end is gone."""
        self._ends.pop(end, None)
        if end.over is not None and end.peer.is_lost:
            end.over.forget()

    def send_reset(self, end: MemoryTransport) -> None:
        """RST from this end to its peer, behind what already travels; lost where there is no way."""
        if not self.is_reachable(end.local[0], end.remote[0]):
            return
        if end.over is None:
            self.deliver_reset(end, self.loop.now_us)
        else:
            end.over.carry_reset()

    def deliver_reset(self, end: MemoryTransport, leaves_us: int) -> None:
        """RST leaves this end then."""
        arrives_us = leaves_us + self.draw_latency_us(end.local[0], end.remote[0])
        end.last_arrival_us = max(arrives_us, end.last_arrival_us)
        self.loop.call_at_us(end.last_arrival_us, end.peer.lose, reset_error(), context=self.context)

    # --- latency and faults ---------------------------------------------------------------------------------------

    def draw_latency_us(self, source: str, target: str) -> int:
        """The time of one segment from host to host; a host's own latency goes before the network's."""
        draw = self._latency_of.get(source) or self._latency_of.get(target) or self.latency_us
        return max(0, draw())

    def set_latency(self, host: str, latency_us: Callable[[], int] | None) -> None:
        """Segments from and to this host draw from here (None: as the others again)."""
        if latency_us is None:
            self._latency_of.pop(host, None)
        else:
            self._latency_of[host] = latency_us

    def read_every(self, host: str, every_us: int) -> None:
        """This host takes in what has come for it at multiples of `every_us`: what travels together comes together."""
        self._reads_every_us[host] = every_us

    def taken_in_us(self, host: str, arrives_us: int) -> int:
        """When the host takes in what arrives then."""
        every_us = self._reads_every_us.get(host)
        return arrives_us if every_us is None else -(-arrives_us // every_us) * every_us

    def line_of(self, host: str, seed: int | str) -> MemoryLine:
        """A line that faults can strike, for every connection that this host opens from now on."""
        line = self._lines[host] = MemoryLine(self.loop, Rng(f"{seed}/line/{host}"))
        return line

    def is_reachable(self, source: str, target: str) -> bool:
        """Whether segments get from host to host; a host always reaches itself."""
        if source == target:
            return True
        return not (source in self._down or target in self._down or frozenset((source, target)) in self._blocked)

    def partition(self, host: str, other: str | None = None) -> None:
        """A fault: nothing passes between the two (one named: between it and everyone); what is sent waits."""
        if other is None:
            self._down[host] = None
        else:
            self._blocked[frozenset((host, other))] = None

    def heal(self, host: str, other: str | None = None) -> None:
        """Ends `partition`: what was stuck is delivered, in order."""
        if other is None:
            self._down.pop(host, None)
        else:
            self._blocked.pop(frozenset((host, other)), None)
        for end in list(self._ends):
            if self.is_reachable(end.local[0], end.remote[0]):
                end.healed()

    def cut(self, host: str) -> int:
        """A fault: every connection of this host is reset at both ends; how many there were."""
        ends = self.connections(host=host)
        for end in ends:
            if not end.is_lost:
                end.cut()
        return len(ends)

    def fence(self, tag: str) -> None:
        """The incarnation has crashed: it never runs, writes or listens again, in memory and to PostgreSQL.

        The other ends hear RST. What its backends still do is left to the caller: await `Cluster.backends_gone`.
        """
        self.loop.bury(tag)
        for server in [server for server in self._listening.values() if server.tag == tag]:
            server.close()
        for end in self.connections(tag=tag):
            end.fence()
            self.statistics.fenced += 1
        for connection in self.loop.postgres_connections(tag):
            connection.fence()
            connection.tell_the_end()
            self.statistics.fenced += 1


def far_protocol(server: MemoryServer) -> asyncio.Protocol:
    """The server's protocol for one new connection, made in the server's context."""
    protocol = server.context.copy().run(server.factory)
    assert isinstance(protocol, asyncio.Protocol)
    return protocol


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
