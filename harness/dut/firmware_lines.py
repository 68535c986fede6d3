"""What a camera's console says of itself: lines of the tag `cam`, read into a picture of the device. Pure.

The lines are those of docs/boards.md: a word or two, then `key=value` pairs. Any firmware that prints them can be
driven; what else it prints is shown and kept, and means nothing here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from harness.dut.log_lines import log_line

TAG: Final = "cam"
_PAIR: Final = re.compile(r"(\w+)=(\S*)")


@dataclass(frozen=True, slots=True)
class Ready:
    """A boot has come to the camera's program."""

    reset: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo was taken and is on the card."""

    image_name: str
    captured_at: str
    sha256: str
    size_bytes: int
    total_chunks: int
    damaged_at_source: bool
    offline: bool


@dataclass(frozen=True, slots=True)
class Freed:
    """A photo left the queue: the camera takes it for stored."""

    image_name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Asleep:
    """Deep sleep begins; `for_ms` None: until somebody wakes it."""

    for_ms: int | None


@dataclass(frozen=True, slots=True)
class ClockSet:
    """It has taken the time that it was told."""


Said = Ready | Photo | Freed | Asleep | ClockSet


def said_in(line: str) -> Said | None:
    """What a line means for the picture; None for every other line."""
    parts = log_line(line)
    if parts is None or parts.tag != TAG:
        return None
    word, _, rest = parts.text.partition(" ")
    values = dict(_PAIR.findall(rest))
    try:
        match word:
            case "ready":
                return Ready(values["reset"].lower(), values.get("version", ""))
            case "captured":
                return Photo(
                    image_name=values["image"],
                    captured_at=values["at"],
                    sha256=values["sha256"],
                    size_bytes=int(values["bytes"]),
                    total_chunks=int(values["chunks"]),
                    damaged_at_source=values.get("damaged", "0") == "1",
                    offline=values.get("offline", "0") == "1",
                )
            case "released":
                return Freed(values["image"], values["sha256"])
            case "time":
                values["unix_ms"]
                return ClockSet()
            case "sleep":
                return Asleep(int(values["for_ms"]) if values.get("for_ms", "").isdecimal() else None)
    except (KeyError, ValueError):
        return None
    return None


@dataclass(slots=True)
class Picture:
    """What is known of a camera from its lines: queue, photos, boots."""

    photos: int = 0
    boots: int = 0
    queue: list[tuple[str, str]] = field(default_factory=list)
    """(name, sha256) of each photo on the card that was not released, oldest first."""

    def take(self, said: Said) -> None:
        """Fold one thing in."""
        match said:
            case Ready():
                self.boots += 1
            case Photo():
                self.photos += 1
                self.queue.append((said.image_name, said.sha256))
            case Freed():
                for index, (name, sha256) in enumerate(self.queue):
                    if (name, sha256) == (said.image_name, said.sha256):
                        del self.queue[index]
                        break
            case Asleep() | ClockSet():
                pass
