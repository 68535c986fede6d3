"""The camera firmware on a virtual board: the simulated device behind a serial console, on a real MQTT connection.

What a boot gives it, it takes from flash: behaviour by the app's description, settings by NVS. Card, battery and wake
count lie outside the chip and outlive every boot; another firmware finds them as the one before it left them. A stop
comes from outside (reset, power, loader) and finds it in the middle of anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from server.wire.codec import decode_reply, dialect_called, encode_device_message
from server.wire.errors import RemoteProtocolError
from server.wire.messages import Sleep
from server.wire.topics import Channel, downlink_filters, topic_of
from simulator.board import console
from simulator.board.board import AppStarted
from simulator.board.boot_log import Level, log_line
from simulator.board.camera_config import BadSettings, CameraConfig, camera_config, profile_of_app
from simulator.board.host import BoardHost
from simulator.board.nvs import NO_FREE_PAGES, Value, read_nvs, want_of_room
from simulator.board.panic import CRASHES, frames_of, last_words
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
from simulator.fault import EVENT_OF_REPLY, Deliver, FaultChain, LinkAction, PowerOff
from simulator.link import Link, LinkError, LinkFactory, LinkSettings
from simulator.provisioning import NAMESPACE
from simulator.rng import Rng

WIFI_JOIN_MS: Final = 400
_LEVELS: Final[dict[str, Level]] = {"info": "I", "warning": "W", "error": "E"}
_SLEEP_MS_MIN: Final = 1
TAG: Final = "cam"


class CameraApp:
    """See `host.App`. `unix_ms` tells the real time; `links` makes the MQTT connection."""

    def __init__(self, host: BoardHost, links: LinkFactory, unix_ms: Callable[[], int]) -> None:
        self.is_wifi_up = True
        self.switch = FaultChain(Rng("power switch"))
        self.device: Device | None = None
        self.photos = 0
        self._host = host
        self._links = links
        self._unix_ms = unix_ms
        self._ahead_ms = 0
        self._loop = asyncio.get_running_loop()
        self._event: AppStarted | None = None
        self._config: CameraConfig | None = None
        self._settings: Mapping[str, Mapping[str, Value]] = {}
        self._link: Link | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._back: asyncio.TimerHandle | None = None
        self._incarnation = 0
        self._started_ms = 0.0
        self._reason = ""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def now_ms(self) -> int:
        """Unix time as the board sees it."""
        return self._unix_ms() + self._ahead_ms

    def set_time(self, unix_ms: int) -> None:
        """Move the board's clock; a camera that is asleep wakes when its time has come by it."""
        before_ms, self._ahead_ms = self._ahead_ms, unix_ms - self._unix_ms()
        device = self.device
        if device is not None:
            device.clock_set(self._ahead_ms - before_ms)
        if device is not None and device.state is State.SLEEPING and device.next_wake_ms is not None:
            self._host.wakes_in(max(_SLEEP_MS_MIN, device.next_wake_ms - self.now_ms))

    # -- from boot to stop ---------------------------------------------------------------------------

    def start(self, event: AppStarted) -> None:
        """app_main. An app that is no camera firmware says nothing more."""
        app = event.boot.app
        profile = profile_of_app(app.description) if app is not None else None
        if app is None or app.description is None or profile is None:
            return
        self._event, self._started_ms = event, self._host.now_ms
        storage = self._storage(event)
        wanting = want_of_room(storage) if storage else None
        if wanting is not None:
            self._say("E", f"nvs: {wanting}")
        self._settings = {} if wanting == NO_FREE_PAGES else read_nvs(storage)
        try:
            config = camera_config(profile, self._host.board.chip.mac, self._settings.get(NAMESPACE, {}))
        except BadSettings as error:
            self._say("E", f"nvs: {error}")
            return
        device = self._prepared(config)
        reason, self._reason = self._reason or event.reset.reason.value, ""
        self._say("I", console.ready(config, app.description, reason))
        if not config.broker_host:
            self._say("E", "nvs: no broker_host, working offline")
        self._perform(device.wake(self.now_ms, reason))

    def stop(self, *, has_power: bool) -> None:
        """Gone from one instant to the next."""
        self._event = None
        self._incarnation += 1
        if self._deadline is not None:
            self._deadline.cancel()
        if self._link is not None:
            self._link.cut()
        if self.device is not None and (self.device.state is not State.SLEEPING or not has_power):
            self.device.power_loss(self.now_ms)

    async def close(self) -> None:
        """Let go of connection and timers."""
        self.stop(has_power=False)
        if self._back is not None:
            self._back.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _storage(self, event: AppStarted) -> bytes:
        """The NVS partition, where there is one."""
        partition = event.boot.app.nvs if event.boot.app is not None else None
        return self._host.board.flash.read(partition.offset, partition.size_bytes) if partition is not None else b""

    def _prepared(self, config: CameraConfig) -> Device:
        """The device, made anew for another configuration; what lies outside the chip goes over to it."""
        if self.device is None or config != self._config:
            rng = Rng(f"{config.seed}/{config.name}")
            profile = config.profile
            photo = Camera(
                device_id=config.device_id,
                seed=config.seed,
                size_bytes=profile.image_size_bytes,
                picture=config.picture,
                without=profile.jpeg_without,
            )
            identity = DeviceIdentity(device_id=config.device_id, location=config.location, name=config.name)
            made = Device(identity, profile, photo, rng.child("device"), profile.wake_interval_ms)
            if self.device is not None:
                _take_over(self.device, made)
            self.device, self._config = made, config
        dialect = dialect_called(config.profile.dialect)
        filters = tuple((text, 1) for text in downlink_filters(dialect.family, config.device_id))
        settings = LinkSettings(
            config.broker_host,
            config.broker_port,
            client_id=f"esp32-{config.device_id}",
            filters=filters,
            username=config.broker_user,
            password=config.broker_password,
        )
        self._link = self._links(settings, self._on_message, self._on_lost)
        return self.device

    # -- the console ---------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        """One command."""
        if self._event is None or self.device is None:
            return
        try:
            command = console.parse_command(text)
        except console.BadCommand as error:
            self._say("W", str(error))
            return
        match command.verb:
            case "status":
                self._say("I", console.status(self.device, self.photos))
            case "nvs":
                for row in console.stored(self._settings):
                    self._say("I", f"nvs {row}")
            case "crash":
                self.crash(command.argument)
            case "time":
                self.set_time(int(command.argument))
                self._say("I", f"time unix_ms={command.argument}")
            case "format":
                self._format(self.device)
            case "sleep":
                self._go_to_sleep(self.device)
            case "wake":
                self._say("I", "awake already")
            case "help":
                for word, meaning in console.HELP.items():
                    self._say("I", f"{word}: {meaning}")

    def _format(self, device: Device) -> None:
        """What a test begins with: nothing of before is left, and this wake does not count."""
        device.forget_photos(device.card.wipe())
        device.battery.renew()
        device.wake_number = self.photos = 0
        self._say("I", "formatted")

    def crash(self, kind: str) -> None:
        """Die in one of the ways of `panic.CRASHES`, and restart."""
        if self._event is None or self._event.boot.app is None:
            return
        app = self._event.boot.app
        with self._host.board.flash.view() as cells:
            frames = frames_of(cells, app, kind)
        elf = app.description.elf_sha256 if app.description is not None else ""
        _, reset, self._reason = CRASHES[kind]
        self._host.app_writes(last_words(kind, self._log_ms, frames, elf))
        self._host.app_resets(reset)

    def _go_to_sleep(self, device: Device) -> None:
        wake_at = datetime.fromtimestamp((self.now_ms + device.interval_ms) // 1000, UTC)
        effects = device.receive(Sleep(next_wake=wake_at), self.now_ms)
        if effects:
            self._perform(effects)
        else:
            self._say("W", "not online, sleeps when this try is over")

    @property
    def _log_ms(self) -> int:
        before = self._event.boot.ms if self._event is not None else 0
        return before + round(self._host.now_ms - self._started_ms)

    def _say(self, level: Level, text: str) -> None:
        self._host.app_writes(log_line(level, self._log_ms, TAG, text).encode() + b"\r\n")

    # -- effects -------------------------------------------------------------------------------------

    def _perform(self, effects: Sequence[Effect]) -> None:
        incarnation = self._incarnation
        for effect in effects:
            if incarnation != self._incarnation:
                return
            match effect:
                case Connect():
                    self._start(self._connect(effect, incarnation))
                case Publish():
                    self._start(self._publish(effect, incarnation))
                case Disconnect(abrupt=abrupt):
                    self._leave(abrupt=abrupt)
                    incarnation = self._incarnation
                case SleepUntil(at_ms=at_ms):
                    self._sleep(at_ms)
                case Captured():
                    self.photos += 1
                    self._say("I", console.captured(effect))
                case ImageReleased(image_name=name, sha256=sha256):
                    self._say("I", f"released image={name} sha256={sha256}")
                case Log(level=level, text=text):
                    self._say(_LEVELS[level], text)
        self._set_deadline()

    def _leave(self, *, abrupt: bool) -> None:
        self._incarnation += 1
        if self._link is not None:
            if abrupt:
                self._link.cut()
            else:
                self._start(self._link.disconnect())

    def _sleep(self, at_ms: int | None) -> None:
        for_ms = None if at_ms is None else max(_SLEEP_MS_MIN, at_ms - self.now_ms)
        self._say("I", f"sleep for_ms={'-' if for_ms is None else for_ms}")
        self._event = None
        self._host.app_sleeps(for_ms)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _set_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self.device is not None and self.device.deadline_ms is not None:
            delay_ms = max(0, self.device.deadline_ms - self.now_ms)
            self._deadline = self._loop.call_later(delay_ms / 1000, self._tick, self.device)

    def _tick(self, device: Device) -> None:
        if device.state is State.HUNG:
            self.crash("wdt")
        else:
            self._perform(device.tick(self.now_ms))

    # -- the link ------------------------------------------------------------------------------------

    async def _connect(self, connect: Connect, incarnation: int) -> None:
        device, link, config = self.device, self._link, self._config
        if device is None or link is None or config is None or not config.broker_host:
            return  # the device's own deadline ends this try
        if not connect.wifi_is_up:
            if not self.is_wifi_up:
                return
            await asyncio.sleep(WIFI_JOIN_MS / 1000)
            if incarnation != self._incarnation:
                return
            self._say("I", f"wifi up ssid={config.wifi_ssid or '-'}")
            self._perform(device.wifi_up(self.now_ms))
        try:
            await link.connect()
        except LinkError as error:
            if incarnation == self._incarnation:
                self._say("W", f"broker not reached: {error}")
                self._perform(device.link_lost(self.now_ms))
            return
        if incarnation == self._incarnation:
            self._say("I", f"broker up host={config.broker_host} port={config.broker_port}")
            self._perform(device.link_up(self.now_ms))
        else:
            link.cut()

    async def _publish(self, publish: Publish, incarnation: int) -> None:
        device, link, config = self.device, self._link, self._config
        if device is None or link is None or config is None:
            return
        profile = config.profile
        dialect = dialect_called(profile.dialect)
        channel, payload = encode_device_message(publish.message, dialect, profile.encoding_quirks)
        topic = topic_of(dialect.family, config.device_id, channel)
        index, count = publish.chunk_index, publish.chunk_count
        actions = self.switch.process("sent", publish.event, topic, payload, chunk_index=index, chunk_count=count)
        what = console.what_is(publish.message, publish.event, index, count)
        self._say("I", f"sending {what}")
        try:
            alive = await self._carry_out(actions, link, incarnation)
        except LinkError:
            return  # on_lost tells the device
        if alive and incarnation == self._incarnation:
            self._say("I", f"sent {what}")
            self._perform(device.sent(publish.number, self.now_ms))

    async def _carry_out(self, actions: Sequence[LinkAction], link: Link, incarnation: int) -> bool:
        """Publish; False where the power went right after it."""
        for action in actions:
            match action:
                case Deliver(parcel=parcel):
                    await link.publish(parcel.topic, parcel.payload, qos=1)
                case PowerOff(back_after_ms=back_after_ms):
                    if incarnation == self._incarnation:
                        self.power_cut(back_after_ms)
                    return False
        return True

    def power_cut(self, back_after_ms: int | None) -> None:
        """The power switch: off, and on again after that long; None: when somebody switches it on."""
        self._host.power_off()
        if back_after_ms is not None:
            self._back = self._loop.call_later(back_after_ms / 1000, self._host.power_on)

    def _on_lost(self, reason: str) -> None:
        if self._event is not None and self.device is not None:
            self._say("W", f"broker lost: {reason}")
            self._perform(self.device.link_lost(self.now_ms))

    def _on_message(self, topic: str, payload: bytes) -> None:
        if self._event is None or self.device is None or self._config is None:
            return
        channel = Channel(topic.split("/", 2)[2])
        now = datetime.fromtimestamp(self.now_ms / 1000, UTC)
        try:
            message = decode_reply(channel, payload, now, dialect_called(self._config.profile.dialect))
        except RemoteProtocolError as error:
            self._say("W", f"not understood: {error.reason}")
            return
        self._say("I", f"received {EVENT_OF_REPLY[type(message)]}")
        self._perform(self.device.receive(message, self.now_ms))


def _take_over(old: Device, new: Device) -> None:
    """Card, battery and wake count don't care which firmware runs."""
    new.card, new.battery, new.wake_number = old.card, old.battery, old.wake_number
