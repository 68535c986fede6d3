"""Sending in one wake: which message goes out next, when, and what is under way. Memory only; pure.

One PUBLISH is under way at a time, or, with the profile's `burst_chunks`, up to so many chunks that stand in a row.
`due_ms` is when something has to happen: the next message, or, with one under way, the end of patience.
"""

from __future__ import annotations

from collections.abc import Callable

from server.wire.messages import DeviceMessage
from simulator.device_messages import Readings, message_of
from simulator.effects import DeviceIdentity, Publish, PublishChunks, PublishEvent
from simulator.profile import Profile
from simulator.sd_card import Entry, SdCard
from simulator.transfer import Outbox, Step


class Sender:
    """The outbox of one connection, and its publishes. Numbers go on after `last_number`."""

    def __init__(
        self,
        identity: DeviceIdentity,
        profile: Profile,
        card: SdCard,
        readings: Readings,
        jpeg_of: Callable[[Entry], bytes],
        last_number: int = 0,
    ) -> None:
        self.outbox = Outbox(profile.resend_max_per_chunk)
        self.last_number = last_number
        self.last_entry: Entry | None = None
        self.is_under_way = False
        self._identity = identity
        self._profile = profile
        self._card = card
        self._readings = readings
        self._jpeg_of = jpeg_of
        self._gap_ms = 0
        self._not_before_ms = 0
        self._limit_ms = 0

    @property
    def due_ms(self) -> int:
        return self._limit_ms if self.is_under_way else self._not_before_ms

    def next(self, now_ms: int) -> Publish | PublishChunks | None:
        """The next message of the outbox, which must not be empty; None where it isn't its time yet."""
        if self.is_under_way or now_ms < self._not_before_ms:
            return None
        step = self.outbox.take()
        entry = step.entry
        if entry is not None and step.in_pass and step.kind == "chunk" and self._profile.burst_chunks is not None:
            return self._burst(step, entry, self._profile.burst_chunks, now_ms)
        message = message_of(step, self._jpeg_of, self._identity, self._profile, self._readings)
        if entry is None:
            return self.publish(message, "telemetry", now_ms, self._profile.chunk_spacing_ms)
        if step.kind == "telemetry":
            return self.publish(message, "telemetry", now_ms, self._profile.storm_spacing_ms)
        self.last_entry = entry
        self._card.handed(entry, step.index if step.in_pass else None, is_metadata=step.kind == "metadata")
        index = step.index if step.kind == "chunk" else None
        return self.publish(
            message, step.kind, now_ms, self._profile.chunk_spacing_ms, index=index, count=entry.total_chunks
        )

    def _burst(self, step: Step, entry: Entry, limit: int, now_ms: int) -> PublishChunks:
        """The chunk of this step and those that follow it."""
        count = 1 + self.outbox.take_following(step, limit - 1)
        self.last_entry = entry
        self._card.handed(entry, step.index + count - 1)
        self._begin(now_ms, self._profile.chunk_spacing_ms)
        return PublishChunks(
            number=self.last_number,
            image_name=entry.image_name,
            jpeg=self._jpeg_of(entry),
            first_index=step.index,
            count=count,
        )

    def _begin(self, now_ms: int, gap_ms: int) -> None:
        self.last_number += 1
        self.is_under_way = True
        self._gap_ms = gap_ms
        self._limit_ms = now_ms + self._profile.publish_wait_ms

    def publish(
        self,
        message: DeviceMessage,
        event: PublishEvent,
        now_ms: int,
        gap_ms: int = 0,
        *,
        index: int | None = None,
        count: int | None = None,
    ) -> Publish:
        """Hand over this message now; nothing else for `gap_ms` after it was acknowledged."""
        self._begin(now_ms, gap_ms)
        return Publish(number=self.last_number, message=message, event=event, chunk_index=index, chunk_count=count)

    def acknowledged(self, number: int, now_ms: int) -> bool:
        """PUBACK came; False where that publish isn't under way (any more)."""
        if not self.is_under_way or number != self.last_number:
            return False
        self.is_under_way = False
        self._not_before_ms = now_ms + self._gap_ms
        return True
