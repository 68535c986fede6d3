"""N cameras on one loop: a sleeping one is a heap entry, an awake one an object, and nobody is a task of its own.

Theory. The roster knows who is due. A due camera is built anew from its few numbers (`Device`, the same state machine
as in scenarios), lives in `FleetCamera` until it sleeps, and is forgotten again. At most `at_once` are awake, at most
`connects` of them not yet online: whoever must wait for that sleeps on and is late, so that a pause of the fleet's own
never looks like one of the broker. A camera that still holds a photo is kept whole, and at the end woken again, twice
at most: then every photo must have arrived.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from server.wire.topics import downlink_filters
from simulator.device import Device
from simulator.effects import Captured, DeviceIdentity
from simulator.encoded import Encoder
from simulator.fleet_camera import FleetCamera
from simulator.fleet_fault import FleetFault, Strike, strike_of
from simulator.fleet_timers import Deadline, Deadlines
from simulator.latency import Latencies
from simulator.link import FleetLink, FleetLinkFactory, LinkSettings, OnLost, OnMessage
from simulator.profile import Profile
from simulator.rng import Rng
from simulator.roster import Roster
from simulator.stock_camera import StockBase64, StockCamera

WAKES_A_TURN: Final = 64
"""Cameras woken before the loop looks at its sockets again."""

DRAIN_WAKES: Final = 2
PORTS_AN_ADDRESS: Final = 20_000
"""Connections from one source address: Linux has 28,232 ports for them, some of which others use."""

TROUBLES_MAX: Final = 50
MAC_FIRST: Final = 0x02FC00000000
"""The first camera's MAC: locally administered, so that no device that was ever sold has it."""

LEAVE_S_MAX: Final = 1.0
"""Longest that the broker may take to close after DISCONNECT; a device that goes to sleep has no more patience."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What a fleet does. `cycling`: each camera wakes again as soon as it sleeps; `source_hosts`: own addresses."""

    devices: int
    seed: int
    profile: Profile
    interval_ms: int
    spread_ms: int
    length_ms: int
    start_ms: int
    host: str
    port: int
    username: str | None = None
    password: str | None = None
    part: int = 1
    parts: int = 1
    at_once: int = 10_000
    connects: int = 200
    cycling: bool = False
    drain: bool = True
    source_hosts: tuple[str, ...] = ()
    mac_first: int = MAC_FIRST
    faults: tuple[FleetFault, ...] = ()
    """They heal with the last planned wake: what is still held then comes in undisturbed."""


@dataclass(slots=True, kw_only=True)
class FleetCounts:
    """Where the cameras are, and what was done since the start."""

    registered: int = 0
    asleep: int = 0
    connecting: int = 0
    uploading: int = 0
    done: int = 0
    failed: int = 0
    wakes: int = 0
    confirmed: int = 0
    messages: int = 0
    held: int = 0
    not_begun: int = 0
    late_ms: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    troubles: Counter[str] = field(default_factory=Counter)


def camera_mac(index: int, first: int = MAC_FIRST) -> str:
    """The MAC of a fleet's camera: 12 upper-case hex digits, counted from the first camera's."""
    return f"{first + index:012X}"


def camera_name(index: int) -> str:
    """Its name in ledgers; sorts by index."""
    return f"cam-{index:07d}"


class Fleet:
    """`on_capture(index, captured)` hears of every photo; `run` returns when all is over."""

    def __init__(self, plan: FleetPlan, links: FleetLinkFactory, on_capture: Callable[[int, Captured], None]) -> None:
        self.plan = plan
        profile = plan.profile
        stock = StockBase64(profile.image_size_bytes, profile.chunk_size_bytes, plan.seed)
        self.encoder = Encoder(profile, stock)
        self.messages_sent = 0
        self._links = links
        self._device_key = Rng(f"{plan.seed}/fleet devices").u64()
        self._on_capture = on_capture
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self._loop)
        self._zero_s = self._loop.time()
        self._zero_ms = plan.start_ms
        self._counts = FleetCounts()
        self._awake: dict[int, FleetCamera] = {}
        self._held: dict[int, Device] = {}
        self._connecting = 0
        self._drains = 0
        self._is_stopping = False
        self._changed = asyncio.Event()
        self._wake_up: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving: set[FleetLink] = set()
        self.unfinished: dict[int, str] = {}
        """Cameras that were cut off while awake, and what each waited for."""
        self.roster = Roster(
            plan.devices,
            seed=plan.seed,
            interval_ms=plan.interval_ms,
            spread_ms=plan.spread_ms,
            length_ms=plan.length_ms,
            part=plan.part,
            parts=plan.parts,
        )
        self._counts.registered = self.roster.registered

    # -- a run -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Every planned wake, then those that bring in what is still held."""
        self._zero_s = self._loop.time()
        while self._goes_on():
            self._changed.clear()
            self._wake_due()
            await self._changed.wait()
        if self._tasks:
            await asyncio.wait(self._tasks)
        while self._leaving:
            self._changed.clear()
            await self._changed.wait()

    def stop(self) -> None:
        """Nobody wakes any more; `run` returns once all sleep."""
        self._is_stopping = True
        self._counts.not_begun += sum(1 for _ in self.roster.clear())
        self._changed.set()

    def abandon(self) -> None:
        """Cut every connection now; what was under way stays on the cards."""
        for camera in list(self._awake.values()):
            self.unfinished[camera.index] = camera.waits_for
            camera.drop()
            self._held[camera.index] = camera.device
            self._counts.failed += 1
        self._awake.clear()
        for task in self._tasks:
            task.cancel()
        for link in list(self._leaving):
            link.cut()
        self.stop()

    def counts(self) -> FleetCounts:
        """A snapshot."""
        counts = self._counts
        counts.connecting = sum(camera.is_connecting for camera in self._awake.values())
        counts.uploading = len(self._awake) - counts.connecting
        counts.asleep = counts.registered - len(self._awake)
        counts.messages = self.messages_sent
        counts.held = len(self._held)
        return counts

    def held_sha256(self) -> frozenset[str]:
        """Photos that cameras still hold."""
        return frozenset(entry.sha256 for device in self._held.values() for entry in device.card.pending)

    def _goes_on(self) -> bool:
        if self._awake or len(self.roster):
            return True
        if self._is_stopping or not self.plan.drain or self._drains >= DRAIN_WAKES or not self._held:
            return False
        self._drains += 1
        for index in self._held:
            self.roster.sleep(index, self._elapsed_ms())
        return True

    def _wake_due(self) -> None:
        """Wake who is due, and look again when the next one is; where no more may be awake, whoever sleeps or is online
        looks at once. One reading of the clock for both: who falls due between two readings would sleep for ever."""
        now_ms = self._elapsed_ms()
        for _ in range(WAKES_A_TURN):
            if len(self._awake) >= self.plan.at_once or self._connecting >= self.plan.connects:
                return
            due = self.roster.take_due(now_ms)
            if due is None:
                self._look_again_when_due()
                return
            self._counts.late_ms = max(self._counts.late_ms, now_ms - due[1])
            self._wake(due[0])
        self._loop.call_soon(self._changed.set)

    def _look_again_when_due(self) -> None:
        if self._wake_up is not None:
            self._wake_up.cancel()
            self._wake_up = None
        due_ms = self.roster.next_due_ms
        if due_ms is not None:
            self._wake_up = self._loop.call_at(self._zero_s + due_ms / 1000, self._changed.set)

    def _wake(self, index: int) -> None:
        device = self._held.pop(index, None) or self._built(index)
        camera = self._awake[index] = FleetCamera(self, index, device)
        self._connecting += 1
        self._counts.wakes += 1
        camera.wake()

    def _built(self, index: int) -> Device:
        plan, roster, mac = self.plan, self.roster, camera_mac(index, self.plan.mac_first)
        photographed = StockCamera(
            device_id=camera_mac(index),  # the same photos for the same seed, whatever the MACs
            seed=plan.seed,
            size_bytes=plan.profile.image_size_bytes,
            chunk_bytes=plan.profile.chunk_size_bytes,
        )
        device = Device(
            DeviceIdentity(device_id=mac, name=camera_name(index)),
            plan.profile,
            photographed,
            Rng.from_state((Rng.from_state((self._device_key, index)).u64(), 0)),
            plan.interval_ms or None,
        )
        device.wake_number = roster.wakes[index]
        device.card.counter = roster.counters[index]
        device.battery.used_mj = roster.used_mj[index]
        return device

    # -- told by cameras -------------------------------------------------------------------------------

    def went_online(self) -> None:
        """One connection less is being made."""
        self._connecting -= 1
        self._changed.set()

    def captured(self, index: int, effect: Captured) -> None:
        """A photo was taken."""
        self._on_capture(index, effect)

    def released(self, camera: FleetCamera, sha256: str) -> None:
        """The server has confirmed a photo."""
        self._counts.confirmed += 1
        if camera.released == 1:
            self._counts.latencies.add(self.now_ms() - camera.woken_at_ms)

    def trouble(self, text: str) -> None:
        """Something did not go as it should."""
        troubles = self._counts.troubles
        troubles[text if text in troubles or len(troubles) < TROUBLES_MAX else "others"] += 1

    def slept(self, camera: FleetCamera) -> None:
        """It is over; all that is left of the camera are numbers, unless it still holds a photo."""
        index, device, roster = camera.index, camera.device, self.roster
        if self._awake.get(index) is not camera:
            return
        del self._awake[index]
        if not camera.was_online:
            self._connecting -= 1
        roster.wakes[index] = device.wake_number
        roster.counters[index] = device.card.counter
        roster.used_mj[index] = device.battery.used_mj
        if device.card.pending_count:
            self._held[index] = device
        if camera.released and not device.card.pending_count:
            self._counts.done += 1
        else:
            self._counts.failed += 1
        self._plan_next(index, device.wake_number)
        self._changed.set()

    def _plan_next(self, index: int, wakes: int) -> None:
        if self._is_stopping or self._drains:
            return
        if self.plan.cycling:
            due_ms: int | None = self._elapsed_ms()
            if due_ms is not None and due_ms >= self.plan.length_ms:
                due_ms = None
        else:
            due_ms = self.roster.planned_ms(index, wakes)
        if due_ms is not None:
            self.roster.sleep(index, due_ms)

    # -- what cameras need -----------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return self._zero_ms + self._elapsed_ms()

    def _elapsed_ms(self) -> int:
        return int((self._loop.time() - self._zero_s) * 1000)

    def call_at(self, at_ms: int, callback: Callable[[], None]) -> Deadline:
        """Call at that Unix time, not before."""
        return self._deadlines.call_at(self._zero_s + (at_ms - self._zero_ms) / 1000 + 0.0005, callback)

    def strike_of(self, index: int, wake: int) -> Strike | None:
        """What befalls that wake of that camera."""
        plan = self.plan
        if self._drains:
            return None
        chunks = -(-plan.profile.image_size_bytes // plan.profile.chunk_size_bytes)
        return strike_of(plan.faults, plan.seed, index, wake, chunks)

    def leave(self, link: FleetLink) -> None:
        """A connection that ends beside everything else; one that takes too long is cut."""
        self._leaving.add(link)
        patience = self._deadlines.call_at(self._loop.time() + LEAVE_S_MAX, link.cut)

        def left() -> None:
            patience.cancel()
            self._leaving.discard(link)
            if not self._leaving:
                self._changed.set()

        link.leave(left)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Connections are made beside everything else."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._loop.call_exception_handler({"message": "a camera's connection", "exception": task.exception()})

    def new_link(self, index: int, on_message: OnMessage, on_lost: OnLost) -> FleetLink:
        """A link of a camera, not connected yet."""
        plan, mac = self.plan, camera_mac(index, self.plan.mac_first)
        hosts = plan.source_hosts
        settings = LinkSettings(
            plan.host,
            plan.port,
            client_id=f"esp32-{mac}",
            filters=tuple((text, 1) for text in downlink_filters(self.encoder.dialect.family, mac)),
            username=plan.username,
            password=plan.password,
            source_host=hosts[index % len(hosts)] if hosts else None,
        )
        return self._links(settings, on_message, on_lost)
