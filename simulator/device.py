"""The camera's state machine, sans-I/O: calls in, effects out; time is an argument and nothing here waits.

Theory of operation
-------------------
A camera sleeps almost always. A wake begins by timer, button or power, and goes through these states (the table is
`device_states.TRANSITIONS`, drawn in docs/device-states.md):

*Connecting, joining.* `Connect` asks the driver for Wi-Fi, then MQTT. The driver says `wifi_up`, `link_up`, or nothing:
a try ends by its own deadline. When all are used up the device takes its photo offline, keeps it and sleeps.

*Awaiting the answer.* With the link up it says HELLO, with what is pending on the card, and waits. A command gives it
work: a new photo (one a wake at most), the rest of an interrupted image, single chunks, or old images.

*Sending.* Work is a row of messages in the outbox. One PUBLISH is under way at a time; the next one goes out
`chunk_spacing_ms` after the driver reported the last one `sent` (PUBACK). Commands that arrive meanwhile add to the
row, but never what stands in it already. `last_handed` of an entry moves when a chunk is handed to MQTT and lives on
the card: that is where `resume_from: last_chunk` goes on after a loss of power, whether or not the chunk arrived.

*Awaiting the ack.* The row is empty. Missing chunks asked for go out again, a limited number of times each.

*Lingering.* A final ACK took an image off the queue. Others may follow (one for each image of this wake), and so may
commands, hence a short wait before sleep.

Only a final ACK empties the queue (in `empty_ack_ok_means: done` firmware, an empty ACK_OK too). Whatever ends a wake
early leaves the entry there for the next one. Card and wake count outlive everything; the outbox is memory, and the
next wake time is RTC memory that a loss of power takes.

The driver's duties: perform effects in order; report `sent` for each Publish; call `tick` at `deadline_ms` and `wake`
at `next_wake_ms`; never go back in time. Calls that make no sense in a state are not heard, and return no effects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from server.wire.messages import Capture, Done, MissingChunks, Resume, Retry, SendAllPending, SendImage, Sleep
from simulator.device_messages import Readings, captured_of, hello_of
from simulator.device_states import ONLINE, TRANSITIONS, Event, State
from simulator.effects import Connect, DeviceIdentity, Disconnect, Effect, ImageReleased, Log, SleepUntil, Woken
from simulator.own_clock import OwnClock
from simulator.power import Battery, ResetReason, reset_reason
from simulator.profile import Profile
from simulator.rng import Rng
from simulator.sd_card import CardFull, Entry, SdCard
from simulator.sender import Sender

ERROR_CARD_FULL: Final = 28
"""`error` of a photo that found no room on the card (ENOSPC)."""


@dataclass(slots=True)
class _Wake:
    """What is memory of one wake only: gone with each sleep, reset and loss of power."""

    woken_at_ms: int = 0
    tries: int = 0
    reconnects: int = 0
    has_captured: bool = False
    told_wake_ms: int | None = None


class Device:
    """One camera. `capture(wake_number, counter)` renders a JPEG: the same bytes for the same numbers."""

    def __init__(
        self,
        identity: DeviceIdentity,
        profile: Profile,
        capture: Callable[[int, int], bytes],
        rng: Rng,
        interval_ms: int | None = None,
    ) -> None:
        self.identity = identity
        self.profile = profile
        self.interval_ms = interval_ms or profile.wake_interval_ms
        self.state = State.OFF
        self.deadline_ms: int | None = None
        self.next_wake_ms: int | None = None
        self.wake_number = 0
        self.reset_reason = ResetReason.POWERON
        self.card = SdCard(profile.card_capacity_bytes)
        self.battery = Battery(profile.battery)
        self.clock = OwnClock(profile.clock_skew_ms, self.interval_ms, profile.clock_unset_until_ntp)
        self.camera = capture
        self._rng = rng
        self._readings = Readings(rng, 0, profile)
        self._wakes_since_restart = 0
        self._wake = _Wake()
        self._sender = self._new_sender(0)

    def _new_sender(self, last_number: int) -> Sender:
        return Sender(self.identity, self.profile, self.card, self._readings, self._jpeg_of, last_number)

    @property
    def pending(self) -> tuple[str, ...]:
        """Names in the queue, oldest first."""
        return tuple(entry.image_name for entry in self.card.pending)

    # -- waking up and getting online --------------------------------------------------------------

    def wake(self, now_ms: int, reason: str = "timer") -> list[Effect]:
        """Start a wake; `reason` is `timer`, `button` or a reset reason. Not heard while awake."""
        if not self._hears(Event.WOKEN):
            return []
        why = reset_reason(reason)
        if self.state is State.OFF and why is ResetReason.DEEPSLEEP:
            why = ResetReason.POWERON
        self.battery.spend(self.state.value, now_ms)
        if self.battery.is_empty:
            self.state, self.next_wake_ms = State.OFF, None
            return [Log("error", "battery is empty"), SleepUntil(None)]
        self.reset_reason = why
        self.wake_number += 1
        self.next_wake_ms = None
        self._restart_counter()
        self.clock.woke(now_ms)
        self._readings = Readings(self._rng, self.wake_number, self.profile)
        self._forget_wake()
        self._wake.woken_at_ms = now_ms
        self._enter(Event.WOKEN, now_ms)
        return [
            Woken(self.wake_number, reason),
            Log("info", f"wake {self.wake_number} ({why.value})"),
            *self._try(now_ms, self.profile.wifi_tries, self.profile.wifi_try_ms),
        ]

    def _restart_counter(self) -> None:
        """The image counter is on the card, except in the firmware that loses it."""
        limit = self.profile.counter_restarts_after_wakes
        self._wakes_since_restart += 1
        if limit is not None and (self.reset_reason.loses_rtc or 0 < limit < self._wakes_since_restart):
            self.card.counter = 0
            self._wakes_since_restart = 1

    def _try(self, now_ms: int, tries: int, limit_ms: int) -> list[Effect]:
        self._wake.tries += 1
        self.deadline_ms = now_ms + limit_ms
        return [Connect(self._wake.tries, tries, limit_ms, wifi_is_up=self.state is State.JOINING)]

    def wifi_up(self, now_ms: int) -> list[Effect]:
        """Wi-Fi is there, and NTP answered; the driver goes on to MQTT without another Connect."""
        if not self._hears(Event.WIFI_UP):
            return []
        self.clock.synced(now_ms)
        self._enter(Event.WIFI_UP, now_ms, now_ms + self.profile.mqtt_try_ms)
        self._wake.tries = 1
        return []

    def link_up(self, now_ms: int) -> list[Effect]:
        """MQTT is connected and subscribed; implies `wifi_up`."""
        self.wifi_up(now_ms)
        if not self._hears(Event.LINK_UP):
            return []
        self._enter(Event.LINK_UP, now_ms, now_ms + self.profile.answer_wait_ms)
        hello = hello_of(self.card, self.battery, self.identity, self.profile, self._readings)
        return [self._sender.publish(hello, "hello", now_ms)]

    def _try_failed(self, now_ms: int) -> list[Effect]:
        profile = self.profile
        is_wifi = self.state is State.CONNECTING
        tries = profile.wifi_tries if is_wifi else profile.mqtt_tries
        if self._wake.tries < tries:
            self._enter(Event.TRY_FAILED, now_ms)
            return self._try(now_ms, tries, profile.wifi_try_ms if is_wifi else profile.mqtt_try_ms)
        what = "Wi-Fi" if is_wifi else "broker"
        effects: list[Effect] = [Log("warning", f"no {what} after {tries} tries, working offline")]
        if not self._wake.has_captured:
            effects += self._take_photo(now_ms, offline=True)[1]
        return effects + (self._hang(now_ms) if self._may_hang else self._sleep(Event.GAVE_UP, now_ms))

    def link_lost(self, now_ms: int) -> list[Effect]:
        """The connection is gone, or could not be made. Heard while there is one or one is wanted."""
        if self.state is State.JOINING:
            return self._try_failed(now_ms)
        if self.state not in ONLINE:
            return []
        if self._hears(Event.LINK_AGAIN) and self._wake.reconnects < self.profile.reconnects_per_wake:
            self._wake.reconnects += 1
            self._sender = self._new_sender(self._sender.last_number)
            self._wake.tries = 0
            self._enter(Event.LINK_AGAIN, now_ms)
            return [
                Log("warning", "link lost, connecting again"),
                *self._try(now_ms, self.profile.mqtt_tries, self.profile.mqtt_try_ms),
            ]
        return self._fail("link lost", now_ms)

    def receive(self, message: object, now_ms: int) -> list[Effect]:
        """A decoded message of the server; what the firmware doesn't know is ignored."""
        if self.state not in ONLINE:
            return []
        match message:
            case Capture():
                return self._on_capture(now_ms)
            case Done(image_name=name, next_wake=next_wake):
                self._note_next_wake(next_wake, now_ms)
                entry = self._sender.outbox.acked(name) or self.card.find(name)
                return [] if entry is None else self._release(entry, now_ms)
            case Sleep(next_wake=next_wake):
                self._note_next_wake(next_wake, now_ms)
                return self._sleep(Event.TOLD_TO_SLEEP, now_ms)
            case SendAllPending():
                self._sender.outbox.add_all(self.card.pending)
                return self._work(now_ms)
            case Resume(image_name=name):
                return self._on_resume(name, now_ms)
            case SendImage(image_name=name) | Retry(image_name=name, chunk_indexes=None):
                return self._on_send_image(name, now_ms)
            case MissingChunks(image_name=name, chunk_indexes=indexes) | Retry(image_name=name, chunk_indexes=indexes):
                entry = self.card.find(name)
                if entry is not None and indexes is not None:
                    self._sender.outbox.add_again(entry, indexes)
                return self._work(now_ms)
        return []

    def _on_capture(self, now_ms: int) -> list[Effect]:
        if self._wake.has_captured:
            return [Log("warning", "told to capture again in one wake, ignored")]
        entry, effects = self._take_photo(now_ms, offline=False)
        if entry is None:
            self._sender.outbox.add_telemetry(ERROR_CARD_FULL)
        else:
            low, high = self.profile.metadata_storm or (0, 0)
            rng = self._rng.child(f"storm/{self.wake_number}")
            self._sender.outbox.add_whole(entry, storm=rng.between(low, high), rng=rng)
        return effects + self._work(now_ms)

    def _on_send_image(self, name: str, now_ms: int) -> list[Effect]:
        entry = self._sender.outbox.first_unoffered(self.card.pending, name) or self.card.find(name)
        if entry is None:
            return [Log("warning", f"{name} is not on the card, ignored")]
        if not self._sender.outbox.is_sending(entry):
            self._sender.outbox.add_whole(entry)
        return self._work(now_ms)

    def _on_resume(self, name: str, now_ms: int) -> list[Effect]:
        entry = self.card.find(name)
        if entry is None:
            return [Log("warning", f"{name} is not on the card, ignored")]
        if self.profile.empty_ack_ok_means == "done":
            return self._release(entry, now_ms)
        if self._sender.outbox.is_sending(entry):
            return []
        if self.profile.resume_from == "start" or not entry.metadata_handed:
            self._sender.outbox.add_whole(entry)
        elif entry.last_handed + 1 < entry.total_chunks:
            self._sender.outbox.add_rest(entry, entry.last_handed + 1)
        else:
            self._sender.outbox.add_last(entry)
        return self._work(now_ms)

    def _release(self, entry: Entry, now_ms: int) -> list[Effect]:
        """The image is stored: off the queue, nothing more of it is sent."""
        effects: list[Effect] = []
        if self.card.release(entry):
            effects.append(ImageReleased(entry.image_name, entry.sha256))
        elif entry is not self._sender.last_entry:
            return []
        self._sender.outbox.drop(entry)
        if self.state is not State.AWAITING_ANSWER and not self._sender.outbox:
            self._enter(Event.ACKED, now_ms, now_ms + self.profile.ack_linger_ms)
        return effects

    def _note_next_wake(self, next_wake: datetime, now_ms: int) -> None:
        if not self.profile.ignores_next_wake:
            self._wake.told_wake_ms = now_ms + self.clock.until_ms(next_wake, now_ms)

    # -- photos and messages -----------------------------------------------------------------------

    def _take_photo(self, now_ms: int, *, offline: bool) -> tuple[Entry | None, list[Effect]]:
        self._wake.has_captured = True
        self.battery.draw_mj(self.profile.battery.currents.capture_mj)
        jpeg = self.camera(self.wake_number, self.card.counter + 1)
        try:
            entry = self.card.store(
                jpeg,
                captured_at=self.clock.reading(now_ms),
                wake_number=self.wake_number,
                total_chunks=-(-len(jpeg) // self.profile.chunk_size_bytes),
                sha256=hashlib.sha256(jpeg).hexdigest(),
            )
        except CardFull as error:
            return None, [Log("error", f"no photo: {error}")]
        return entry, [captured_of(entry, self.profile, offline=offline)]

    def _work(self, now_ms: int) -> list[Effect]:
        """Go on sending if there is anything to send."""
        if not self._sender.outbox:
            return []
        self._enter(Event.WORK_GIVEN, now_ms, self.deadline_ms)
        return self._pump(now_ms)

    def _pump(self, now_ms: int) -> list[Effect]:
        """Hand over the next message if none is under way and its time has come."""
        sender = self._sender
        if not sender.outbox and not sender.is_under_way:
            is_acked = sender.last_entry is not None and not self.card.is_pending(sender.last_entry)
            wait_ms = self.profile.ack_linger_ms if is_acked else self.profile.ack_wait_ms
            self._enter(Event.ACKED if is_acked else Event.ALL_SENT, now_ms, now_ms + wait_ms)
            return []
        publish = sender.next(now_ms)
        self.deadline_ms = sender.due_ms
        return [] if publish is None else [publish]

    def sent(self, number: int, now_ms: int) -> list[Effect]:
        """The broker acknowledged (PUBACK) the publish of that number."""
        if not self._sender.acknowledged(number, now_ms) or self.state is not State.SENDING:
            return []
        return self._pump(now_ms)

    def forget_photos(self, entries: tuple[Entry, ...]) -> None:
        """Nothing more of these is sent."""
        for entry in entries:
            self._sender.outbox.drop(entry)

    def _jpeg_of(self, entry: Entry) -> bytes:
        return self.camera(entry.wake_number, entry.counter) if entry.jpeg is None else entry.jpeg

    # -- the end of a wake -------------------------------------------------------------------------

    def tick(self, now_ms: int) -> list[Effect]:
        """A deadline has come; not heard before it."""
        if self.deadline_ms is None or now_ms < self.deadline_ms:
            return []
        match self.state:
            case State.CONNECTING | State.JOINING:
                return self._try_failed(now_ms)
            case State.AWAITING_ANSWER:
                return self._fail("no answer to HELLO", now_ms)
            case State.SENDING if not self._sender.is_under_way:
                return self._pump(now_ms)
            case State.SENDING:
                return self._fail("publish not acknowledged", now_ms)
            case State.AWAITING_ACK:
                return self._fail("no ack", now_ms)
            case State.HUNG:
                return self.reset("task_wdt", now_ms)
            case _:
                return self._sleep(Event.WAIT_OVER, now_ms)

    def _fail(self, why: str, now_ms: int) -> list[Effect]:
        return [Log("warning", why), *(self._hang(now_ms) if self._may_hang else self._sleep(Event.WAIT_OVER, now_ms))]

    @property
    def _may_hang(self) -> bool:
        """Not after its watchdog: it would hang and take photos until card and battery are used up."""
        is_after_watchdog = self.reset_reason is ResetReason.TASK_WDT
        return self.profile.hangs_after_error and not is_after_watchdog and self._hears(Event.HANGS)

    def _hang(self, now_ms: int) -> list[Effect]:
        self._enter(Event.HANGS, now_ms, now_ms + self.profile.watchdog_ms)
        return [Log("error", "hangs")]

    def _sleep(self, event: Event, now_ms: int) -> list[Effect]:
        """Deep sleep until the time the server named, else by the own timer."""
        told_ms = self._wake.told_wake_ms
        self._enter(event, now_ms)
        self.next_wake_ms = self._own_wake_ms(now_ms) if told_ms is None else max(told_ms, now_ms + 1_000)
        self._forget_wake()
        return [Disconnect(), SleepUntil(self.next_wake_ms)]

    def _own_wake_ms(self, now_ms: int) -> int:
        """Whole intervals after this wake began, and after now."""
        return self._wake.woken_at_ms + self.interval_ms * ((now_ms - self._wake.woken_at_ms) // self.interval_ms + 1)

    def clock_set(self, by_ms: int) -> None:
        """The clock was moved while no time passed: by it, the wake under way began that much later."""
        self._wake.woken_at_ms += by_ms

    def power_loss(self, now_ms: int, back_at_ms: int | None = None) -> list[Effect]:
        """Power is gone until `back_at_ms`; None: until the next wake would be due. The card stays."""
        due_ms = self.next_wake_ms if self.state in (State.OFF, State.SLEEPING) else self._own_wake_ms(now_ms)
        if self._hears(Event.POWER_LOST):
            self._enter(Event.POWER_LOST, now_ms)
        self._forget_wake()
        self.next_wake_ms = due_ms if back_at_ms is None else back_at_ms
        return [Log("error", "power lost"), Disconnect(abrupt=True), SleepUntil(self.next_wake_ms)]

    def reset(self, reason: str, now_ms: int) -> list[Effect]:
        """The chip restarts at once (`panic`, `brownout`, `task_wdt`, ...): memory is gone, the card stays."""
        if self._hears(Event.RESET):
            self._enter(Event.RESET, now_ms)
        return [Disconnect(abrupt=True), *self.wake(now_ms, reason)]

    def _hears(self, event: Event) -> bool:
        return event in TRANSITIONS[self.state]

    def _enter(self, event: Event, now_ms: int, deadline_ms: int | None = None) -> None:
        self.battery.spend(self.state.value, now_ms)
        self.state = TRANSITIONS[self.state][event]
        self.deadline_ms = deadline_ms

    def _forget_wake(self) -> None:
        self.deadline_ms = None
        self._wake = _Wake()
        self._sender = self._new_sender(self._sender.last_number)
