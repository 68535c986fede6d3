"""What a device still has to send in this wake, message by message. Pure.

A *pass* goes through an image in order (whole, or from a chunk on) and moves the entry's `last_handed`; chunks sent
again one by one don't.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from simulator.rng import Rng
from simulator.sd_card import Entry


@dataclass(slots=True, kw_only=True, eq=False)
class Step:
    """One message to come. `entry` is None for telemetry without an image. Not frozen: that costs, for each chunk."""

    kind: Literal["metadata", "chunk", "telemetry"]
    entry: Entry | None
    index: int = 0
    in_pass: bool = False
    error_code: int = 0


class Outbox:
    """The messages of this wake in order, with what was offered already and how often a chunk went again."""

    def __init__(self, resend_max_per_chunk: int) -> None:
        self._steps: deque[Step] = deque()
        self._resent: Counter[tuple[int, int]] = Counter()
        self._offered: dict[int, Entry] = {}
        self._resend_max = resend_max_per_chunk

    def __len__(self) -> int:
        return len(self._steps)

    def is_sending(self, entry: Entry) -> bool:
        """A pass of this image is queued or under way."""
        return any(step.entry is entry and step.in_pass for step in self._steps)

    def was_offered(self, entry: Entry) -> bool:
        """A pass up to the last chunk of this image was queued in this wake."""
        return entry.number in self._offered

    def first_unoffered(self, entries: Iterable[Entry], image_name: str) -> Entry | None:
        """The oldest photo of that name that was not offered in this wake: names repeat when the counter restarts."""
        named = (entry for entry in entries if entry.image_name == image_name)
        return next((entry for entry in named if not self.was_offered(entry)), None)

    def acked(self, image_name: str) -> Entry | None:
        """The image that an ack means where names repeat: the one being sent, else the first offered, not yet acked."""
        sending = [step.entry for step in self._steps if step.entry is not None and step.in_pass]
        unacked = [entry for entry in self._offered.values() if entry.jpeg is not None]
        return next((entry for entry in [*sending[:1], *unacked] if entry.image_name == image_name), None)

    def add_whole(self, entry: Entry, storm: int = 0, rng: Rng | None = None) -> None:
        """Metadata and all chunks; `storm` nearly empty messages at random places between the chunks."""
        self._steps.append(Step(kind="metadata", entry=entry, in_pass=True))
        places = Counter(rng.below(entry.total_chunks) for _ in range(storm)) if rng and storm else Counter[int]()
        for index in range(entry.total_chunks):
            self._steps.append(Step(kind="chunk", entry=entry, index=index, in_pass=True))
            if storm:
                self._steps.extend(Step(kind="telemetry", entry=entry) for _ in range(places[index]))
        self._offered[entry.number] = entry

    def add_all(self, entries: Iterable[Entry]) -> None:
        """Each of these that was not offered in this wake, whole, one after another."""
        for entry in entries:
            if not self.was_offered(entry):
                self.add_whole(entry)

    def add_rest(self, entry: Entry, first: int) -> None:
        """The chunks from `first` to the last one."""
        for index in range(first, entry.total_chunks):
            self._steps.append(Step(kind="chunk", entry=entry, index=index, in_pass=True))
        self._offered[entry.number] = entry

    def add_last(self, entry: Entry) -> None:
        """The last chunk once more: told to go on where all was sent. Counts as sent again."""
        self.add_again(entry, (entry.total_chunks - 1,))
        self._offered[entry.number] = entry

    def add_again(self, entry: Entry, indexes: Iterable[int]) -> None:
        """Single chunks once more, each at most `resend_max_per_chunk` times a wake; those queued already stay once."""
        queued = {step.index for step in self._steps if step.entry is entry and step.kind == "chunk"}
        for index in dict.fromkeys(indexes):
            key = entry.number, index
            if index in queued or not 0 <= index < entry.total_chunks or self._resent[key] >= self._resend_max:
                continue
            self._resent[key] += 1
            self._steps.append(Step(kind="chunk", entry=entry, index=index))

    def add_telemetry(self, error_code: int) -> None:
        """One telemetry message without an image."""
        self._steps.append(Step(kind="telemetry", entry=None, error_code=error_code))

    def drop(self, entry: Entry) -> None:
        """Forget what is queued of this image."""
        self._steps = deque(step for step in self._steps if step.entry is not entry)

    def take(self) -> Step:
        """The next message; there must be one."""
        return self._steps.popleft()

    def take_following(self, step: Step, limit: int) -> int:
        """Take the chunks of the same pass that follow `step` without a gap; returns how many there were."""
        count = 0
        while count < limit and self._steps:
            following = self._steps[0]
            if not (following.in_pass and following.kind == "chunk" and following.entry is step.entry):
                break
            if following.index != step.index + count + 1:
                break
            self._steps.popleft()
            count += 1
        return count
