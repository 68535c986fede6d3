"""The levers of the embedded bench on its servers and its simulated broker; others stand beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.bench.embedded_database import EmbeddedDatabase
from harness.bench.embedded_store import EmbeddedStore
from harness.bench.stranger import Stranger, take_over
from harness.bench.virtual.incarnation import running_as
from harness.bench.virtual.network import MemoryNetwork
from simulator.broker_host import BrokerHost
from simulator.levers import Levers
from simulator.rng import Rng

if TYPE_CHECKING:
    import asyncpg

    from server.app import App

BROKER: Final = ("broker", 1883)
LATENCY_US: Final = (4_000, 30_000)
"""One way over Wi-Fi and the internet."""


@dataclass(slots=True)
class ServerPlace:
    """One server of the scenario: its number stays, its incarnations come and go."""

    number: int
    incarnation: int = 0
    app: App | None = None
    pool: asyncpg.Pool | None = None
    is_paused: bool = False

    @property
    def tag(self) -> str:
        """Of the incarnation that runs, or ran last."""
        return f"server{self.number}#{self.incarnation}"

    @property
    def host(self) -> str:
        """The machine."""
        return f"server{self.number}"

    @property
    def client_id(self) -> str:
        """At the broker."""
        return f"wakestorm-{self.host}"


OnServer = Callable[[ServerPlace], Awaitable[None]]


class EmbeddedServers:
    """See `ServerLevers`. A paused one is cut off from the broker: its clock is the bench's."""

    def __init__(
        self,
        places: Sequence[ServerPlace],
        network: MemoryNetwork,
        rng: Rng,
        *,
        boot: OnServer,
        crash: OnServer,
        stop: OnServer,
    ) -> None:
        self.database: EmbeddedDatabase | None = None
        self._places = places
        self._network = network
        self._rng = rng
        self._boot = boot
        self._crash = crash
        self._stop = stop

    def _chosen(self, which: int | None) -> list[ServerPlace]:
        return [place for place in self._places if which is None or which == place.number]

    async def crash(self, which: int | None) -> None:
        for place in self._chosen(which):
            if place.app is not None:
                await self._crash(place)

    async def stop(self, which: int | None) -> None:
        for place in self._chosen(which):
            if place.app is not None:
                await self._stop(place)

    async def start(self, which: int | None) -> None:
        for place in self._chosen(which):
            if place.app is None:
                await self._boot(place)

    async def pause(self, which: int | None) -> None:
        for place in self._chosen(which):
            place.is_paused = True
            self._network.partition(place.host, BROKER[0])

    async def resume(self, which: int | None) -> None:
        for place in self._chosen(which):
            if place.is_paused:
                place.is_paused = False
                self._network.heal(place.host, BROKER[0])

    async def slow_down(self, which: int | None, by_ms: int) -> None:
        for place in self._chosen(which):
            slow = None if by_ms == 0 else (lambda: by_ms * 1000 + self._rng.between(*LATENCY_US))
            self._network.set_latency(place.host, slow)

    async def crash_at(self, which: int | None, at: str, *, nth: int) -> None:
        assert self.database is not None
        host = None if which is None else f"server{which}"
        self.database.crash_server_at(host, at, nth=nth)

    async def crash_host(self, host: str) -> None:
        """The server on that machine, wherever it is."""
        for place in self._places:
            if place.host == host and place.app is not None:
                await self._crash(place)

    async def heal(self) -> None:
        """All of them run and can be reached."""
        await self.resume(None)
        await self.slow_down(None, 0)
        await self.start(None)


class EmbeddedBroker:
    """See `BrokerLevers`. Its sessions outlive every crash; `lose_sessions` is the other kind."""

    def __init__(
        self,
        host: BrokerHost,
        network: MemoryNetwork,
        client_ids: Sequence[str],
        *,
        note: Callable[[str, str], None],
        publish: Callable[..., Awaitable[None]],
    ) -> None:
        self.host = host
        self._network = network
        self._client_ids = client_ids
        self._note = note
        self._publish = publish
        self._listener: Any = None
        self._strangers: list[Stranger] = []

    async def crash(self) -> None:
        self._go("crash")

    async def stop(self) -> None:
        self._go("stop")

    def _go(self, action: str) -> None:
        if self._listener is not None:
            self._note("broker", action)
            self._network.stop_listening(self._listener)
            self._listener = None
            self.host.stop()

    async def start(self) -> None:
        if self._listener is None:
            self._note("broker", "start")
            self.listen()

    def listen(self) -> None:
        """Takes connections from now on."""
        with running_as(None, BROKER[0]):
            self._listener = self._network.listen(*BROKER, self.host.protocol)

    async def pause(self) -> None:
        self._note("broker", "pause")
        self.host.freeze()

    async def resume(self) -> None:
        self._note("broker", "resume")
        self.host.thaw()

    async def lose_sessions(self) -> None:
        self._note("broker", "lose_sessions")
        self.host.apply(self.host.broker.lose_sessions())

    async def limit_queues(self, messages: int | None) -> None:
        self._note("broker", "limit_queues")
        self.host.broker.limit_queues(messages)

    async def redeliver(self, *, dup: bool) -> None:
        self._note("broker", "redeliver")
        broker = self.host.broker
        broker.redelivers_with_dup = dup
        for client_id in self._client_ids:
            self.host.apply(broker.redeliver(client_id, dup=dup))

    async def retain(self, topic: str, payload: bytes) -> None:
        await self._publish(topic, payload, qos=0, retain=True)

    async def take_over(self, which: int) -> None:
        self._note("broker", "takeover")
        with running_as(None, "stranger"):
            self._strangers.append(await take_over(*BROKER, self._client_ids[which]))

    async def disconnect_all(self) -> None:
        self._note("broker", "disconnect_all")
        self.host.apply(self.host.broker.disconnect_all("disconnect storm"))

    async def heal(self) -> None:
        """It listens and answers; no stranger is left."""
        await self.start()
        self.host.thaw()
        for stranger in self._strangers:
            stranger.leave()
        self._strangers.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedLevers(Levers):
    """The levers of one embedded bench."""

    server: EmbeddedServers
    broker: EmbeddedBroker
    database: EmbeddedDatabase
    store: EmbeddedStore

    async def heal(self) -> None:
        """Everything is as it should be, whatever was done to it; the database first, since servers need it."""
        await self.database.heal()
        await self.store.heal()
        await self.broker.heal()
        await self.server.heal()
