"""A simulated device: drives `simulator.device` over a link, with its fault chain between the two.

Everything that the device does becomes a record of the history: captures, wakes, sleeps, faults where they struck.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, assert_never

from harness.bench.clock import Changes, ScenarioClock, Timer
from harness.dut.armed import ArmedFaults
from harness.dut.mishaps import Mishaps
from harness.dut.traffic import Traffic
from harness.dut.windows import FaultyLine
from harness.history import History
from harness.plan_steps import PlannedDevice, PlannedFault
from server.wire.codec import dialect_called
from server.wire.topics import downlink_filters
from simulator.camera import Camera, Cameras
from simulator.device import Device
from simulator.device_mishaps import change_firmware
from simulator.device_states import State
from simulator.effects import (
    Captured,
    CardLost,
    Connect,
    DeviceIdentity,
    Disconnect,
    Effect,
    ImageReleased,
    Log,
    Publish,
    PublishChunks,
    SleepUntil,
    Woken,
)
from simulator.fault import FaultChain
from simulator.link import Link, LinkError, LinkFactory, LinkSettings, OnLost, OnMessage
from simulator.profile import Profile, profile_named
from simulator.rng import Rng

WAKE_LIMIT_MS = 3_600_000
"""A wake is over within minutes; the longest is a hang until its watchdog."""

WIFI_JOIN_MS = 400
"""Association and DHCP of a board that knows its access point."""


def profile_of(planned: PlannedDevice) -> Profile:
    """The planned device's profile with its sizes and traits."""
    sizes: dict[str, Any] = {
        "image_size_bytes": planned.image_size_bytes,
        "chunk_size_bytes": planned.chunk_size_bytes,
        "wake_interval_ms": planned.interval_ms,
    }
    return profile_named(planned.profile).with_traits(**sizes | dict(planned.traits))


class SimulatedDut:
    """One device of a plan. `host` and `port` are the broker's; `around` runs a call as this device's host."""

    def __init__(
        self,
        planned: PlannedDevice,
        *,
        seed: int,
        location: str,
        clock: ScenarioClock,
        changes: Changes,
        history: History,
        links: LinkFactory,
        broker: tuple[str, int],
        line: FaultyLine | None = None,
    ) -> None:
        self.planned = planned
        self.wake_limit_ms = WAKE_LIMIT_MS
        self.trouble = None
        self.profile = profile_of(planned)
        self.dialect = dialect_called(self.profile.dialect)
        self.clock = clock
        self._changes = changes
        self._history = history
        self.rng = rng = Rng(f"{seed}/{planned.name}")
        self._jitter = rng.child("jitter")
        self.faults = ArmedFaults(FaultChain(rng.child("faults")))
        self._seed = seed
        self.device = Device(
            DeviceIdentity(device_id=planned.mac, location=location, name=planned.name),
            self.profile,
            Cameras(((0, self._new_camera()),)),
            rng.child("device"),
            planned.interval_ms,
        )
        self.traffic = Traffic(self)
        self.mishaps = Mishaps(self, line)
        self._links, self._broker = links, broker
        self._new_links()
        self._context = contextvars.copy_context()  # this device's host, whoever wakes it
        self._is_wifi_up = True
        self._deadline: Timer | None = None
        self._wake_timer: Timer | None = None
        self._next_wake_ms: int | None = None
        self.incarnation = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._photos = 0

    def _new_camera(self) -> Camera:
        planned = self.planned
        return Camera(
            device_id=planned.mac,
            seed=self._seed,
            size_bytes=planned.image_size_bytes,
            picture=planned.picture,
            without=self.profile.jpeg_without,
        )

    def _new_links(self) -> None:
        """The link speaks the firmware's topics."""
        mac = self.planned.mac
        filters = tuple((text, 1) for text in downlink_filters(self.dialect.family, mac))
        settings = LinkSettings(*self._broker, client_id=f"esp32-{mac}", filters=filters)
        self.new_link: Callable[[OnMessage, OnLost], Link] = partial(self._links, settings)
        self.link: Link = self.new_link(self.traffic.on_message, self.on_lost)

    # -- what a scenario sees ------------------------------------------------------------------------

    @property
    def is_asleep(self) -> bool:
        """Deep sleep or without power."""
        return self.device.state in (State.OFF, State.SLEEPING)

    @property
    def is_alone(self) -> bool:
        """Nothing reaches it before its own next deadline: asleep, hanging, or looking for Wi-Fi that is not there."""
        looks_in_vain = self.device.state is State.CONNECTING and not self._is_wifi_up
        return self.is_asleep or self.device.state is State.HUNG or looks_in_vain

    @property
    def next_wake_ms(self) -> int | None:
        """Scenario time of the next wake."""
        return self._next_wake_ms if self.is_asleep else None

    @property
    def wakes(self) -> int:
        """Wakes begun since the start."""
        return self.device.wake_number

    @property
    def pending(self) -> tuple[str, ...]:
        """Names in the SD card's queue, oldest first."""
        return self.device.pending

    @property
    def held_sha256(self) -> frozenset[str]:
        """Hashes of the images in the queue."""
        return frozenset(entry.sha256 for entry in self.device.card.pending)

    @property
    def photos(self) -> int:
        """Photos taken since the start."""
        return self._photos

    # -- what a scenario does ------------------------------------------------------------------------

    def wake(self, reason: str) -> None:
        """Wake now."""
        if not self.is_asleep:
            return
        self._cancel_timers()
        self.perform(self.device.wake(self.clock.now_ms(), reason))

    def arm(self, faults: Sequence[PlannedFault]) -> None:
        """Let these faults strike from now on; the ones armed before are gone."""
        mine = [fault for fault in faults if self.planned.number in fault.devices]
        self.mishaps.heal()
        self.traffic.release(self.faults.arm(mine, self.wakes))

    def set_wifi(self, *, up: bool) -> None:
        """Whether Wi-Fi is there at the next tries."""
        self._is_wifi_up = up

    def power_loss(self, back_after_ms: int | None) -> None:
        """Take the power; back after that long, or at its next wake."""
        now_ms = self.clock.now_ms()
        self.note("fault", action="power_loss")
        back_at_ms = None if back_after_ms is None else now_ms + back_after_ms
        self.perform(self.device.power_loss(now_ms, back_at_ms))

    def flash(self, profile: str, **traits: Any) -> None:
        """Another firmware from its next wake on; what is on the card stays. Call it while it sleeps."""
        self.planned = replace(self.planned, profile=profile, traits={**self.planned.traits, **traits})
        self.profile = profile_of(self.planned)
        if self.device.profile != self.profile:
            change_firmware(self.device, self.profile, self._new_camera())
        self.follow_firmware()

    def follow_firmware(self) -> None:
        """Link and dialect are those of the firmware that the device runs, also where it came from a checkpoint."""
        self.profile = self.device.profile
        self.dialect = dialect_called(self.profile.dialect)
        self._new_links()

    def reset(self, reason: str = "sw") -> None:
        """The chip restarts, for a reason of `esp_reset_reason_t`."""
        self.note("fault", action="reset", reason=reason)
        self._cancel_timers()
        self.perform(self.device.reset(reason, self.clock.now_ms()))

    def heal(self) -> None:
        """End every fault."""
        self.mishaps.heal()
        self.traffic.release(self.faults.heal())
        self._is_wifi_up = True
        if self.is_asleep and self._next_wake_ms is None and self.wakes:
            self._sleep_until(self.clock.now_ms() + self.planned.interval_ms)

    def rest(self) -> None:
        """No more wakes: the scenario is over."""
        if self._wake_timer is not None:
            self._wake_timer.cancel()

    async def close(self) -> None:
        """Let go of connections and timers."""
        self._cancel_timers()
        self.link.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- effects -------------------------------------------------------------------------------------

    def perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Connect():
                    self.start(self._connect(effect, self.incarnation))
                case Publish():
                    self.start(self.traffic.publish(effect, self.incarnation))
                case PublishChunks():
                    self.start(self.traffic.publish_chunks(effect, self.incarnation))
                case Disconnect(abrupt=abrupt):
                    self.incarnation += 1
                    self.traffic.drop_held()
                    if abrupt:
                        self.link.cut()
                    else:
                        self.start(self.link.disconnect())
                case SleepUntil(at_ms=at_ms):
                    self._sleep_until(at_ms)
                case Captured():
                    self._photos += 1
                    self.note(
                        "capture",
                        image_name=effect.image_name,
                        captured_at=effect.captured_at,
                        sha256=effect.sha256,
                        size_bytes=effect.size_bytes,
                        total_chunks=effect.total_chunks,
                        damaged_at_source=effect.damaged_at_source,
                        offline=effect.offline,
                    )
                case Woken(number=number, reason=reason):
                    self.note("wake", number=number, reason=reason)
                    self.mishaps.new_wake()
                case CardLost(lost_sha256=lost):
                    self.note("fault", action="card_loss", lost_sha256=list(lost))
                case ImageReleased(image_name=name, sha256=sha256):
                    self.note("info", released=name, sha256=sha256)
                case Log(level=level, text=text):
                    self.note("log", level=level, text=text, source="device")
                case _:
                    assert_never(effect)
        self._set_deadline()
        self._changes.notify()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def note(self, kind: Any, **fields: Any) -> None:
        self._history.append(self.clock.elapsed_ms(), kind, self.planned.name, **fields)

    def _sleep_until(self, at_ms: int | None) -> None:
        if self._wake_timer is not None:
            self._wake_timer.cancel()
        if at_ms is not None:
            at_ms = self.mishaps.next_wake_ms(at_ms)
        if at_ms is not None and self.planned.jitter_ms:
            at_ms += self._jitter.between(0, self.planned.jitter_ms)
        self._next_wake_ms = at_ms
        self.note("sleep", until_ms=None if at_ms is None else at_ms - self.clock.start_ms)
        if at_ms is not None:
            self._wake_timer = self.clock.call_at(at_ms, lambda: self.wake("timer"))

    def _set_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None
        if self.device.deadline_ms is not None:
            self._deadline = self.clock.call_at(self.device.deadline_ms, self._tick)

    def _tick(self) -> None:
        self.perform(self.device.tick(self.clock.now_ms()))

    def _cancel_timers(self) -> None:
        for timer in (self._deadline, self._wake_timer):
            if timer is not None:
                timer.cancel()
        self._deadline = self._wake_timer = None
        self._next_wake_ms = None

    # -- the link ------------------------------------------------------------------------------------

    async def pause(self, ms: int) -> None:
        done = asyncio.Event()
        self.clock.call_at(self.clock.now_ms() + ms, done.set)
        await done.wait()

    async def _connect(self, connect: Connect, incarnation: int) -> None:
        if not connect.wifi_is_up:
            if not self._is_wifi_up:
                return  # the device's own deadline ends this try
            await self.pause(WIFI_JOIN_MS)
            if incarnation != self.incarnation:
                return
            self.perform(self.device.wifi_up(self.clock.now_ms()))
        try:
            await self.link.connect()
        except LinkError as error:
            if incarnation == self.incarnation:
                self.note("log", level="warning", text=f"connect failed: {type(error).__name__}", source="device")
                self.perform(self.device.link_lost(self.clock.now_ms()))
            return
        if incarnation == self.incarnation:
            self.perform(self.device.link_up(self.clock.now_ms()))
        else:
            self.link.cut()

    def on_lost(self, reason: str) -> None:
        """The connection is gone."""
        self.traffic.drop_held()
        self.perform(self.device.link_lost(self.clock.now_ms()))
