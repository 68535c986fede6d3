"""A simulated device: drives `simulator.device` over a link, with its fault chain between the two.

Everything that the device does becomes a record of the history: captures, wakes, sleeps, faults where they struck.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from harness.bench.clock import Changes, ScenarioClock, Timer
from harness.dut.armed import ArmedFaults, struck
from harness.history import History
from harness.plan_steps import PlannedDevice, PlannedFault
from server.wire.codec import decode_reply, dialect_called, encode_device_message
from server.wire.errors import RemoteProtocolError
from server.wire.topics import Channel, downlink_filters, topic_of
from simulator.camera import Camera
from simulator.device import Device
from simulator.device_states import State
from simulator.effects import (
    Captured,
    Connect,
    DeviceIdentity,
    Disconnect,
    Effect,
    ImageReleased,
    Log,
    Publish,
    SleepUntil,
)
from simulator.fault import (
    EVENT_OF_REPLY,
    Cut,
    Deliver,
    FaultChain,
    LinkAction,
    PowerOff,
)
from simulator.link import Link, LinkError, LinkFactory, LinkSettings
from simulator.profile import Profile, profile_named
from simulator.rng import Rng

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
    ) -> None:
        self.planned = planned
        self.profile = profile_of(planned)
        self._dialect = dialect_called(self.profile.dialect)
        self._clock = clock
        self._changes = changes
        self._history = history
        rng = Rng(f"{seed}/{planned.name}")
        self._jitter = rng.child("jitter")
        self._faults = ArmedFaults(FaultChain(rng.child("faults")))
        self.device = Device(
            DeviceIdentity(device_id=planned.mac, location=location, name=planned.name),
            self.profile,
            Camera(
                device_id=planned.mac,
                seed=seed,
                size_bytes=planned.image_size_bytes,
                picture=planned.picture,
                without=self.profile.jpeg_without,
            ),
            rng.child("device"),
            planned.interval_ms,
        )
        filters = tuple((text, 1) for text in downlink_filters(self._dialect.family, planned.mac))
        settings = LinkSettings(*broker, client_id=f"esp32-{planned.mac}", filters=filters)
        self._link: Link = links(settings, self._on_message, self._on_lost)
        self._is_wifi_up = True
        self._deadline: Timer | None = None
        self._wake_timer: Timer | None = None
        self._next_wake_ms: int | None = None
        self._incarnation = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._photos = 0

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
        self._note("wake", number=self.device.wake_number + 1, reason=reason)
        self._perform(self.device.wake(self._clock.now_ms(), reason))

    def arm(self, faults: Sequence[PlannedFault]) -> None:
        """Let these faults strike from now on; the ones armed before are gone."""
        mine = [fault for fault in faults if self.planned.number in fault.devices]
        self._perform_link(self._faults.arm(mine, self.wakes))

    def set_wifi(self, *, up: bool) -> None:
        """Whether Wi-Fi is there at the next tries."""
        self._is_wifi_up = up

    def power_loss(self, back_after_ms: int | None) -> None:
        """Take the power; back after that long, or at its next wake."""
        now_ms = self._clock.now_ms()
        self._note("fault", action="power_loss")
        back_at_ms = None if back_after_ms is None else now_ms + back_after_ms
        self._perform(self.device.power_loss(now_ms, back_at_ms))

    def reset(self) -> None:
        """Press the reset button."""
        self._note("fault", action="reset")
        self._perform(self.device.reset("software", self._clock.now_ms()))

    def heal(self) -> None:
        """End every fault."""
        self._perform_link(self._faults.heal())
        self._is_wifi_up = True
        if self.is_asleep and self._next_wake_ms is None and self.wakes:
            self._sleep_until(self._clock.now_ms() + self.planned.interval_ms)

    def rest(self) -> None:
        """No more wakes: the scenario is over."""
        if self._wake_timer is not None:
            self._wake_timer.cancel()

    async def close(self) -> None:
        """Let go of connections and timers."""
        self._cancel_timers()
        self._link.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- effects -------------------------------------------------------------------------------------

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Connect():
                    self._start(self._connect(effect, self._incarnation))
                case Publish():
                    self._start(self._publish(effect, self._incarnation))
                case Disconnect(abrupt=abrupt):
                    self._incarnation += 1
                    if abrupt:
                        self._link.cut()
                    else:
                        self._start(self._link.disconnect())
                case SleepUntil(at_ms=at_ms):
                    self._sleep_until(at_ms)
                case Captured():
                    self._photos += 1
                    self._note(
                        "capture",
                        image_name=effect.image_name,
                        captured_at=effect.captured_at,
                        sha256=effect.sha256,
                        size_bytes=effect.size_bytes,
                        total_chunks=effect.total_chunks,
                        damaged_at_source=effect.damaged_at_source,
                        offline=effect.offline,
                    )
                case ImageReleased(image_name=name, sha256=sha256):
                    self._note("info", released=name, sha256=sha256)
                case Log(level=level, text=text):
                    self._note("log", level=level, text=text, source="device")
        self._set_deadline()
        self._changes.notify()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note(self, kind: Any, **fields: Any) -> None:
        self._history.append(self._clock.elapsed_ms(), kind, self.planned.name, **fields)

    def _sleep_until(self, at_ms: int | None) -> None:
        if self._wake_timer is not None:
            self._wake_timer.cancel()
        if at_ms is not None and self.planned.jitter_ms:
            at_ms += self._jitter.between(0, self.planned.jitter_ms)
        self._next_wake_ms = at_ms
        self._note("sleep", until_ms=None if at_ms is None else at_ms - self._clock.start_ms)
        if at_ms is not None:
            self._wake_timer = self._clock.call_at(at_ms, lambda: self.wake("timer"))

    def _set_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None
        if self.device.deadline_ms is not None:
            self._deadline = self._clock.call_at(self.device.deadline_ms, self._tick)

    def _tick(self) -> None:
        self._perform(self.device.tick(self._clock.now_ms()))

    def _cancel_timers(self) -> None:
        for timer in (self._deadline, self._wake_timer):
            if timer is not None:
                timer.cancel()
        self._deadline = self._wake_timer = None
        self._next_wake_ms = None

    # -- the link ------------------------------------------------------------------------------------

    async def _pause(self, ms: int) -> None:
        done = asyncio.Event()
        self._clock.call_at(self._clock.now_ms() + ms, done.set)
        await done.wait()

    async def _connect(self, connect: Connect, incarnation: int) -> None:
        if not connect.wifi_is_up:
            if not self._is_wifi_up:
                return  # the device's own deadline ends this try
            await self._pause(WIFI_JOIN_MS)
            if incarnation != self._incarnation:
                return
            self._perform(self.device.wifi_up(self._clock.now_ms()))
        try:
            await self._link.connect()
        except LinkError as error:
            if incarnation == self._incarnation:
                self._note("log", level="warning", text=f"connect failed: {type(error).__name__}", source="device")
                self._perform(self.device.link_lost(self._clock.now_ms()))
            return
        if incarnation == self._incarnation:
            self._perform(self.device.link_up(self._clock.now_ms()))
        else:
            self._link.cut()

    async def _publish(self, publish: Publish, incarnation: int) -> None:
        channel, payload = encode_device_message(publish.message, self._dialect, self.profile.encoding_quirks)
        topic = topic_of(self._dialect.family, self.planned.mac, channel)
        actions = self._faults.for_wake(self.wakes).process(
            "sent",
            publish.event,
            topic,
            payload,
            chunk_index=publish.chunk_index,
            chunk_count=publish.chunk_count,
        )
        self._note_strike(actions, publish.event, "sent", publish.chunk_index, payload)
        try:
            alive = await self._carry_out(actions, incarnation)
        except LinkError:
            return  # on_lost tells the device
        if alive and incarnation == self._incarnation:
            self._perform(self.device.sent(publish.number, self._clock.now_ms()))

    def _note_strike(
        self, actions: Sequence[LinkAction], event: str, direction: str, index: int | None, payload: bytes
    ) -> None:
        what = struck(actions, event, payload)
        if what is not None:
            where = event if index is None else f"{event}[{index}]"
            self._note("fault", address=f"{where}.{direction}", actions=what)

    async def _carry_out(self, actions: Sequence[LinkAction], incarnation: int) -> bool:
        """Publish what the chain lets through; False where the device is gone."""
        for action in actions:
            match action:
                case Deliver(parcel=parcel, after_ms=after_ms):
                    if after_ms:
                        await self._pause(after_ms)
                    if incarnation != self._incarnation:
                        return False
                    await self._link.publish(parcel.topic, parcel.payload, qos=1)
                case Cut():
                    self._link.cut()
                    self._on_lost("cut by a fault")
                    return False
                case PowerOff(back_after_ms=back_after_ms):
                    self.power_loss(back_after_ms)
                    return False
        return incarnation == self._incarnation

    def _perform_link(self, actions: Sequence[LinkAction]) -> None:
        """What a heal sets free goes out where there is a way, else it is lost with the link."""
        if actions and not self.is_asleep:
            self._start(self._carry_out_quietly(actions))

    async def _carry_out_quietly(self, actions: Sequence[LinkAction]) -> None:
        try:
            await self._carry_out(actions, self._incarnation)
        except LinkError:
            return

    def _on_lost(self, reason: str) -> None:
        self._perform(self.device.link_lost(self._clock.now_ms()))

    def _on_message(self, topic: str, payload: bytes) -> None:
        channel = Channel(topic.split("/", 2)[2])
        try:
            message = decode_reply(channel, payload, self._clock.now(), self._dialect)
        except RemoteProtocolError as error:
            self._note("log", level="warning", text=f"not understood: {error.reason}", source="device")
            return
        event = EVENT_OF_REPLY[type(message)]
        actions = self._faults.for_wake(self.wakes).process("received", event, topic, payload)
        self._note_strike(actions, event, "received", None, payload)
        if all(isinstance(action, Deliver) and not action.after_ms for action in actions):
            for action in actions:
                if isinstance(action, Deliver):
                    self._receive(action.parcel.topic, action.parcel.payload)
        else:
            self._start(self._receive_late(actions, self._incarnation))

    async def _receive_late(self, actions: Sequence[LinkAction], incarnation: int) -> None:
        for action in actions:
            match action:
                case Deliver(parcel=parcel, after_ms=after_ms):
                    if after_ms:
                        await self._pause(after_ms)
                    if incarnation != self._incarnation:
                        return
                    self._receive(parcel.topic, parcel.payload)
                case Cut():
                    self._link.cut()
                    self._on_lost("cut by a fault")
                    return
                case PowerOff(back_after_ms=back_after_ms):
                    self.power_loss(back_after_ms)
                    return

    def _receive(self, topic: str, payload: bytes) -> None:
        channel = Channel(topic.split("/", 2)[2])
        try:
            message = decode_reply(channel, payload, self._clock.now(), self._dialect)
        except RemoteProtocolError:
            return  # corrupted on its way
        self._perform(self.device.receive(message, self._clock.now_ms()))
