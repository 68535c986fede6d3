"""What an upload in parts is: sizes, numbers, what is missing, what is refused. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from server.projects import UploadRefused
from server.wire.states import UploadState

PARTS_MAX: Final = 10_000
PART_SIZE_BYTES_MIN: Final = 1_024
PART_SIZE_BYTES_MAX: Final = 33_554_432
PART_SIZE_BYTES: Final = 8_388_608
"""Where the sender names none, and the video is not larger than 10,000 of them."""

VIDEO_SIZE_BYTES_MAX: Final = 107_374_182_400
NOTES_CHARS_MAX: Final = 10_000

EXPIRES_AFTER: Final = timedelta(hours=24)


class UploadConflict(ValueError):
    """What is asked can't be done in the upload's state; the message says what can. `missing` are parts to send."""

    def __init__(self, message: str, missing: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing


class DuplicateVideo(ValueError):
    """The pin has these bytes already, as the video `video_id`."""

    def __init__(self, video_id: UUID) -> None:
        super().__init__(f"the pin has this video already: {video_id}")
        self.video_id = video_id


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """What the sender says of a video before it comes. `sha256` is believed for nothing but an early 409."""

    pin_id: UUID
    filename: str
    size_bytes: int
    part_size_bytes: int | None = None
    sha256: str | None = None
    recorded_at: datetime | None = None
    operator_notes: str | None = None
    uploaded_by_user_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part as planned; with `sha256` its bytes are here."""

    part_number: int
    offset_bytes: int
    size_bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoUpload:
    """How far an upload is."""

    video_id: UUID
    state: UploadState
    size_bytes: int
    part_size_bytes: int
    received_bytes: int
    missing_parts: list[int]
    parts: list[Part]
    expires_at: datetime


def must_be_open(state: str) -> None:
    if state == UploadState.COMPLETING:
        raise UploadConflict("the upload is being completed: ask for its status")
    if state != UploadState.OPEN:
        raise UploadConflict(f"the upload is {state}: begin a new one")


def part_size(new: NewUpload) -> int:
    if not 1 <= new.size_bytes <= VIDEO_SIZE_BYTES_MAX:
        raise UploadRefused(f"the video has {new.size_bytes} bytes; 1 to {VIDEO_SIZE_BYTES_MAX} are taken")
    size_bytes = new.part_size_bytes or max(PART_SIZE_BYTES, -(-new.size_bytes // PARTS_MAX))
    if -(-new.size_bytes // size_bytes) > PARTS_MAX:
        raise UploadRefused(f"parts of {size_bytes} bytes would be more than {PARTS_MAX}: make them larger")
    return size_bytes


def part_count(row: Any) -> int:
    return -(-int(row["size_bytes"]) // int(row["part_size_bytes"]))


def size_of_part(row: Any, part_number: int) -> int:
    """Every part has the same size but the last."""
    return min(int(row["part_size_bytes"]), int(row["size_bytes"]) - (part_number - 1) * int(row["part_size_bytes"]))


def missing_parts(row: Any, parts: list[Any]) -> tuple[int, ...]:
    there = {part["part_number"] for part in parts}
    return tuple(number for number in range(1, part_count(row) + 1) if number not in there)


def listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers[:20])) + (", ..." if len(numbers) > 20 else "")


def upload_of(row: Any, parts: list[Any]) -> VideoUpload:
    hashes = {part["part_number"]: part["sha256"] for part in parts}
    ended = row["state"] not in (UploadState.OPEN, UploadState.COMPLETING)
    return VideoUpload(
        video_id=row["video_id"],
        state=UploadState(row["state"]),
        size_bytes=row["size_bytes"],
        part_size_bytes=row["part_size_bytes"],
        received_bytes=row["size_bytes"]
        if row["state"] == UploadState.COMPLETED
        else sum(p["size_bytes"] for p in parts),
        missing_parts=[] if ended else list(missing_parts(row, parts)),
        parts=[
            Part(
                part_number=number,
                offset_bytes=(number - 1) * row["part_size_bytes"],
                size_bytes=size_of_part(row, number),
                sha256=hashes.get(number),
            )
            for number in range(1, 0 if ended else part_count(row) + 1)
        ],
        expires_at=row["progress_at"] + EXPIRES_AFTER,
    )
