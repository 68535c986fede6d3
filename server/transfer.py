"""What happens to images while a session is open: metadata, chunks, missing chunks, completion, backlog. Pure.

An image is durable piece by piece: its chunks are rows until it is whole. Whole, it is assembled and checked outside
(`completion`), which comes back here as `stored` or `damaged`. A session is over when every image that its HELLO
counted, and the photo that was asked for, has been offered whole; only then the final ACK_OK goes out.
"""

from __future__ import annotations

from datetime import timedelta

from server import asking
from server.effects import (
    CompareChunk,
    Complete,
    CreateImage,
    DropStaged,
    LinkImage,
    LogDuplicate,
    Refuse,
    SaveSession,
    StageChunk,
    StoreChunk,
)
from server.session import Turn, current_session, move, touch
from server.view import SUPERSEDED, DeviceView, ImageView, SessionView, newest
from server.wire.codec import chunk_index_of
from server.wire.dialects import DIALECTS, Dialect
from server.wire.errors import RemoteProtocolError
from server.wire.messages import (
    Chunk,
    Done,
    Metadata,
)
from server.wire.states import (
    AckType,
    CaptureTimeSource,
    HistoryCategory,
    HistoryEvent,
    HistorySeverity,
    ImageStatus,
    WakeType,
)

STAGED_CHUNKS_MAX = 4096
"""Chunks of one device that may wait for their metadata; more is no camera."""

STAGED_BYTES_MAX = 4_000_000
"""Their bytes: they are read with each batch of the device. What is beyond is asked for once the metadata is there."""

OPEN_TRANSFERS_MAX = 16
"""Images of one device that may be under way. A camera sends one at a time; the others stay on its card."""

SUPERSEDED_AN_HOUR_MAX = 32
"""Captures of one device that newer ones of their name may close in an hour: each stays, with its chunks."""


def dialect_of(turn: Turn, message: Metadata) -> Dialect:
    """The dialect that this metadata shows."""
    return DIALECTS.get(message.dialect, turn.view.dialect)


def newest_dialect() -> Dialect:
    """The dialect of firmware that lists its pending images."""
    return DIALECTS["v3.5.0"]


# -- metadata ----------------------------------------------------------------------------------------


def metadata(turn: Turn, message: Metadata) -> None:
    """One image is announced: a new capture, a resume, or one that is stored already."""
    view = turn.view
    last = view.session
    image = view.same_capture(message, photo_due=_is_photo_due(last))
    if image is not None and last is not None and _ended_with(turn, last, image):
        _copies_follow(turn, image)
        turn.add(LogDuplicate(image, last, "metadata"))
        turn.reply(Done(image_name=image.wire_image_name, next_wake=last.next_wake_at), AckType.ACK_OK, image)
        return
    if image is None and _open_besides(view, message.image_name) >= OPEN_TRANSFERS_MAX:
        turn.add(Refuse("too_many_open", f"{message.image_name}: {OPEN_TRANSFERS_MAX} transfers are open already"))
        return
    if image is None and _closes_too_many(turn, message.image_name):
        detail = f"{message.image_name}: {SUPERSEDED_AN_HOUR_MAX} captures gave way to another of their name in an hour"
        turn.add(Refuse("too_many_superseded", detail))
        return
    session = current_session(turn)
    touch(turn, session)
    if message.error_code:
        note_device_error(turn, message.error_code)
    if image is None:
        image = _create(turn, session, message)
    elif image.is_complete:
        _stored_before(turn, session, image)
        return
    else:
        _announced_again(turn, session, image, message)
    move(session, "metadata")
    turn.add(LinkImage(image))
    session.image_id = session.image_id or image.image_id
    session.wake_type = WakeType.RETRY if session.answer == "retry" else WakeType.IMAGE_WAKE
    _adopt_staged(turn, session, image)
    _look_whether_whole(turn, session, image)


def note_device_error(turn: Turn, error_code: int) -> None:
    """The device reported an error: the session will end with it."""
    if turn.view.session is not None:
        turn.view.session.error_codes.append(error_code)
    turn.history(
        HistoryCategory.ERROR,
        HistoryEvent.DEVICE_ERROR_REPORTED,
        f"Device error {error_code}",
        severity=HistorySeverity.ERROR,
        error_code=error_code,
    )


def _open_besides(view: DeviceView, wire_name: str) -> int:
    """Images under way; the one with this name would be superseded."""
    under_way = (ImageStatus.PENDING, ImageStatus.RECEIVING)
    return sum(image.status in under_way and image.wire_image_name != wire_name for image in view.images)


def _closes_too_many(turn: Turn, wire_name: str) -> bool:
    """Whether this new capture would close one, and too many were closed lately."""
    if turn.view.newest_open(wire_name) is None:
        return False
    since = turn.now - timedelta(hours=1)
    closed = [image for image in turn.view.images if image.is_superseded and (image.failed_at or turn.now) > since]
    return len(closed) >= SUPERSEDED_AN_HOUR_MAX


def _is_photo_due(session: SessionView | None) -> bool:
    return session is not None and session.is_open and session.answer in ("snap", "override") and not session.captured


def _ended_with(turn: Turn, session: SessionView, image: ImageView) -> bool:
    """A late copy of an image whose final ACK has just ended its session."""
    recent = turn.now - session.last_message_at <= timedelta(milliseconds=turn.view.dialect.session_silence_ms)
    return recent and not session.is_open and image.image_id in session.images_stored


def _create(turn: Turn, session: SessionView, message: Metadata) -> ImageView:
    view = turn.view
    older = view.newest_open(message.image_name)
    if older is not None:
        _supersede(turn, older)
    captured_at = message.captured_at or turn.now
    image = ImageView(
        image_id=turn.ids(),
        image_name=view.free_image_name(message.image_name, captured_at),
        wire_image_name=message.image_name,
        status=ImageStatus.PENDING,
        captured_at=captured_at,
        captured_at_source=CaptureTimeSource.DEVICE if message.captured_at else CaptureTimeSource.SERVER,
        image_size_bytes=message.image_size_bytes,
        chunk_size_bytes=message.chunk_size_bytes,
        total_chunks=message.total_chunks,
        session_id=session.session_id,
        dialect=message.dialect,
        expected_sha256=message.image_sha256,
        metadata=_metadata_row(message),
        created_seq=max((known.created_seq for known in view.images), default=0) + 1,
        error_code=message.error_code,
    )
    view.images.append(image)
    session.captured = True
    turn.add(CreateImage(image))
    turn.history(
        HistoryCategory.IMAGE, HistoryEvent.IMAGE_STARTED, f"{image.image_name}: {image.total_chunks} chunks announced"
    )
    return image


def _supersede(turn: Turn, image: ImageView) -> None:
    """Chunks of its name belong to another capture from now on; its own metadata opens it again (design 9.4)."""
    image.status, image.failure, image.failed_at = ImageStatus.FAILED, SUPERSEDED, turn.now
    turn.save_image(image)
    turn.history(
        HistoryCategory.IMAGE, HistoryEvent.IMAGE_SUPERSEDED, f"{image.image_name}: another capture has its name"
    )


def _metadata_row(message: Metadata) -> dict[str, object]:
    sensors = message.sensors
    row: dict[str, object] = {
        "location": message.location,
        "error": message.error_code,
        "temperature": sensors.temperature,
        "humidity": sensors.humidity,
        "pressure": sensors.pressure,
        "gas_resistance": sensors.gas_resistance,
        "dialect": message.dialect,
        "image_sha256": message.image_sha256,
    }
    return {key: value for key, value in row.items() if value is not None}


def _announced_again(turn: Turn, session: SessionView, image: ImageView, message: Metadata) -> None:
    """Metadata of an image that is not whole yet: a resume, or a copy within the same session."""
    if image.session_id == session.session_id and image.status != "failed":
        turn.add(LogDuplicate(image, session, "metadata"))
    newer = turn.view.newest_open(image.wire_image_name)
    if newer is not None and newer is not image and newer.created_seq > image.created_seq:
        _supersede(turn, newer)
    image.created_seq = max(known.created_seq for known in turn.view.images) + 1
    image.session_id = session.session_id
    image.expected_sha256 = message.image_sha256 or image.expected_sha256
    if image.status == "failed":
        image.status = ImageStatus.RECEIVING if image.have else "pending"
        image.failure = None
    turn.save_image(image)


def _stored_before(turn: Turn, session: SessionView, image: ImageView) -> None:
    """A whole image offered again, since its last ACK was lost: acked at its metadata, stored once (design 6.4)."""
    _copies_follow(turn, image)
    turn.add(LogDuplicate(image, session, "metadata"), DropStaged(image.wire_image_name))
    turn.view.staged.pop(image.wire_image_name, None)
    if image.image_id not in session.images_stored:
        session.images_stored.append(image.image_id)
        session.image_id = session.image_id or image.image_id
        turn.say(f"[Ingest] {image.wire_image_name} is stored already - acknowledging again")
    asking.go_on(turn, session)


def _copies_follow(turn: Turn, stored: ImageView) -> None:
    """Its chunks come once more before the device hears that it is stored: no other capture of its name takes them."""
    other = turn.view.newest_open(stored.wire_image_name)
    if other is not None:
        _supersede(turn, other)


def _adopt_staged(turn: Turn, session: SessionView, image: ImageView) -> None:
    """The chunks that came before this metadata; not where they may be late copies of another photo of this name."""
    staged = turn.view.staged.pop(image.wire_image_name, None)
    if not staged:
        return
    named = [other for other in turn.view.images if other.wire_image_name == image.wire_image_name]
    if not any(other.is_complete for other in named):
        for index, data in sorted(staged.items()):
            if index < (image.total_chunks or 0):  # others were no part of this image
                _keep(turn, session, image, index, data)
    turn.add(DropStaged(image.wire_image_name))


# -- chunks ------------------------------------------------------------------------------------------


def chunk(turn: Turn, message: Chunk) -> None:
    """One piece of an image, in any order, any number of times."""
    view = turn.view
    try:
        index = chunk_index_of(message, view.dialect)
    except RemoteProtocolError as error:
        turn.add(Refuse(error.reason, error.detail))
        return
    image = view.newest_open(message.image_name)
    if image is None or _is_unspoken_of(view.session, image):
        _chunk_without_open_image(turn, message, index)
        return
    session = current_session(turn)
    if image.total_chunks is not None and index >= image.total_chunks:
        turn.add(Refuse("bad_number", f"chunk {index} of {image.image_name} with {image.total_chunks} chunks"))
        return
    touch(turn, session)
    _keep(turn, session, image, index, message.payload)
    if not _look_whether_whole(turn, session, image) and index == (image.total_chunks or 0) - 1:
        asking.ask_for_missing(turn, session, image)


def _keep(turn: Turn, session: SessionView, image: ImageView, index: int, data: bytes) -> None:
    image.session_id = session.session_id
    if index in image.have:
        session.chunk_duplicates += 1
        turn.add(CompareChunk(image.image_id, index, data))
    else:
        image.have.add(index)
        session.chunks_received += 1
        image.last_chunk_at = turn.now
        turn.add(StoreChunk(image.image_id, index, data))
    if image.status in ("pending", "failed"):
        image.status = ImageStatus.RECEIVING
        image.failure = None
    session.image_id = session.image_id or image.image_id
    turn.save_image(image)


def _is_unspoken_of(session: SessionView | None, image: ImageView) -> bool:
    """A photo that has failed, and in this wake neither side has named it: chunks of its name may be another's."""
    if image.status != ImageStatus.FAILED:
        return False
    return session is None or image.session_id != session.session_id


def _stored_in(session: SessionView, view: DeviceView, wire_name: str) -> ImageView | None:
    """The photo of that name which that wake stored, or announced again once it was stored."""
    named = [image for image in view.images if image.wire_image_name == wire_name and image.is_complete]
    offered = [
        image for image in named if image.session_id == session.session_id or image.image_id in session.images_stored
    ]
    return newest(offered)


def _chunk_without_open_image(turn: Turn, message: Chunk, index: int) -> None:
    """A late copy for an image that is stored, or a chunk that came before its metadata."""
    view = turn.view
    last = view.session
    known = None if last is None else _stored_in(last, view, message.image_name)
    if known is not None and last is not None:
        last.chunk_duplicates += 1
        turn.add(SaveSession(last))
        if not last.is_open and index == (known.total_chunks or 0) - 1:
            turn.reply(Done(image_name=known.wire_image_name, next_wake=last.next_wake_at), AckType.ACK_OK, known)
        return
    session = current_session(turn)
    touch(turn, session)
    waiting = view.staged.setdefault(message.image_name, {})
    pieces = [len(piece) for pieces in view.staged.values() for piece in pieces.values()]
    if len(pieces) >= STAGED_CHUNKS_MAX or sum(pieces) + len(message.payload) > STAGED_BYTES_MAX:
        turn.add(Refuse("too_many_staged", f"{len(pieces)} chunks wait for their metadata already"))
        return
    if index in waiting:
        session.chunk_duplicates += 1
        return
    waiting[index] = message.payload
    turn.add(StageChunk(message.image_name, index, message.payload))
    turn.watch(view.dialect.quiet_ms)


def _look_whether_whole(turn: Turn, session: SessionView, image: ImageView) -> bool:
    if image.is_whole:
        turn.add(Complete(image.image_id))
        return True
    turn.watch(turn.view.dialect.quiet_ms)
    return False
