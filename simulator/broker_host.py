"""Puts the simulated broker on asyncio: one protocol object for each connection, the loop's clock for `tick`.

Works with `loop.create_server` on a real loop and with the bench's in-memory network on a virtual one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import cast

from simulator.broker import Broker, CloseConnection, Dropped, Effect, Routed, SendBytes


class BrokerHost:
    """Drives one Broker; `protocol` is the factory for a server. `on_event` hears what was routed or dropped."""

    def __init__(self, broker: Broker, *, on_event: Callable[[Routed | Dropped], None] | None = None) -> None:
        self.broker = broker
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._transports: dict[int, asyncio.Transport] = {}
        self._connections_seen = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms: int | None = None

    def protocol(self) -> asyncio.Protocol:
        """A protocol for one accepted connection."""
        return _HostProtocol(self)

    @property
    def now_ms(self) -> int:
        """The loop's clock."""
        return round(self._loop.time() * 1000)

    def apply(self, effects: Iterable[Effect]) -> None:
        """Carry out effects in order; also for those of the broker's fault methods."""
        for effect in effects:
            match effect:
                case SendBytes(connection, data):
                    if connection in self._transports:
                        self._transports[connection].write(data)
                case CloseConnection(connection):
                    transport = self._transports.pop(connection, None)
                    if transport is not None:
                        transport.close()
                case Routed() | Dropped():
                    if self._on_event is not None:
                        self._on_event(effect)
        self._schedule()

    def freeze(self) -> None:
        """The broker stands still."""
        self.broker.freeze()

    def thaw(self) -> None:
        """The broker goes on."""
        self.apply(self.broker.thaw(self.now_ms))

    def stop(self) -> None:
        """Abort every connection and the timer; the sessions stay in the broker."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._timer_ms = None
        for transport in self._transports.values():
            transport.abort()
        self._transports.clear()

    # -- called by the protocols -----------------------------------------------------------------

    def connected(self, transport: asyncio.Transport) -> int:
        """Number and register a connection."""
        self._connections_seen += 1
        self._transports[self._connections_seen] = transport
        self.apply(self.broker.opened(self._connections_seen, self.now_ms))
        return self._connections_seen

    def received(self, connection: int, data: bytes) -> None:
        """Bytes for the broker."""
        self.apply(self.broker.received(connection, data, self.now_ms))

    def lost(self, connection: int) -> None:
        """The wire is gone, by whoever's doing."""
        if self._transports.pop(connection, None) is not None:
            self.apply(self.broker.closed(connection, self.now_ms))

    def _schedule(self) -> None:
        deadline_ms = self.broker.deadline_ms
        if deadline_ms == self._timer_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = deadline_ms
        self._timer = None if deadline_ms is None else self._loop.call_at(deadline_ms / 1000, self._tick)

    def _tick(self) -> None:
        self._timer = self._timer_ms = None
        self.apply(self.broker.tick(self.now_ms))


class _HostProtocol(asyncio.Protocol):
    def __init__(self, host: BrokerHost) -> None:
        self._host = host
        self._number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._number = self._host.connected(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._host.received(self._number, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._host.lost(self._number)
