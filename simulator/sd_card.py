"""The SD card: every capture, and the queue of those that nobody has confirmed yet.

An entry leaves the queue by `release` only, which the device calls on the final ACK. What was handed over last is kept
with the entry, so it outlives power. A name may stand on the card twice (the counter restarted): entries are told apart
by their number, and a name means the entry that was offered last. Deleting makes room for new photos, oldest first,
confirmed ones only. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class CardFull(Exception):
    """There is no room for the photo, and all that is on the card is still pending."""


@dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """One capture. `jpeg` is None once it is confirmed: the camera can make the same bytes again.

    `last_handed` is the index of the last chunk of a pass that was handed to MQTT, -1 for none.
    """

    number: int
    image_name: str
    captured_at: datetime
    wake_number: int
    counter: int
    size_bytes: int
    total_chunks: int
    sha256: str
    jpeg: bytes | None
    metadata_handed: bool = False
    last_handed: int = -1
    offered_order: int = 0


class SdCard:
    """Captures in the order in which they were taken; the queue has the pending ones in the same order."""

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self.counter = 0
        self.is_full = False
        self._captures: dict[int, Entry] = {}
        self._pending: dict[int, Entry] = {}
        self._next_number = 1
        self._offers = 0

    @property
    def captures(self) -> tuple[Entry, ...]:
        return tuple(self._captures.values())

    @property
    def pending(self) -> tuple[Entry, ...]:
        return tuple(self._pending.values())

    @property
    def pending_count(self) -> int:
        return len(self._pending)

    def is_pending(self, entry: Entry) -> bool:
        return entry.number in self._pending

    def store(self, jpeg: bytes, *, captured_at: datetime, wake_number: int, total_chunks: int, sha256: str) -> Entry:
        """Put a new photo on the card and at the end of the queue, as `image_<counter>.jpg`; raises CardFull."""
        self._make_room(len(jpeg))
        self.counter += 1
        entry = Entry(
            number=self._next_number,
            image_name=f"image_{self.counter}.jpg",
            captured_at=captured_at,
            wake_number=wake_number,
            counter=self.counter,
            size_bytes=len(jpeg),
            total_chunks=total_chunks,
            sha256=sha256,
            jpeg=jpeg,
        )
        self._next_number += 1
        self.used_bytes += entry.size_bytes
        self._captures[entry.number] = entry
        self._pending[entry.number] = entry
        return entry

    def wipe(self) -> tuple[Entry, ...]:
        """An empty card is in this one's place; returns what was pending."""
        lost = self.pending
        self._captures.clear()
        self._pending.clear()
        self.used_bytes = self.counter = 0
        return lost

    def _make_room(self, size_bytes: int) -> None:
        if self.is_full:
            raise CardFull(f"{size_bytes} bytes do not fit: the card takes nothing")
        confirmed = [number for number in self._captures if number not in self._pending]
        for number in confirmed:
            if self.used_bytes + size_bytes <= self.capacity_bytes:
                return
            self.used_bytes -= self._captures.pop(number).size_bytes
        if self.used_bytes + size_bytes > self.capacity_bytes:
            raise CardFull(
                f"{size_bytes} bytes do not fit: {self.used_bytes} of {self.capacity_bytes} are used, "
                f"{len(self._pending)} images are pending"
            )

    def find(self, image_name: str) -> Entry | None:
        """The entry that this name means now: a pending one first, then the one offered last, then the newest."""
        named = [entry for entry in self._captures.values() if entry.image_name == image_name]
        return max(named, key=lambda entry: (self.is_pending(entry), entry.offered_order, entry.number), default=None)

    def handed(self, entry: Entry, pass_index: int | None, *, is_metadata: bool = False) -> None:
        """Note what of this image goes to MQTT now; `pass_index` is None for a chunk that is sent again."""
        self._offers += 1
        entry.offered_order = self._offers
        if is_metadata:
            entry.metadata_handed, entry.last_handed = True, -1
        elif pass_index is not None:
            entry.last_handed = pass_index

    def release(self, entry: Entry) -> bool:
        """Take the entry off the queue; False where it was not in it."""
        if self._pending.pop(entry.number, None) is None:
            return False
        entry.jpeg = None
        return True
