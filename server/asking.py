"""What the server asks for, and what follows when an image is safe: missing chunks, backlog, the end of a wake. Pure.

A session is over when every image that its HELLO counted, and the photo that was asked for, has been offered whole;
only then the final ACK_OK goes out (design 6.4). What is missing is asked for at most three times a wake (6.9).
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import UUID

from server.effects import AlertFailing, CommandsFulfilled, Complete, PayloadsComplete, SaveSession, SetChunksAside
from server.session import Turn, say_done
from server.view import DeviceView, ImageView, SessionView, Standing
from server.wire import limits
from server.wire.messages import MissingChunks, SendAllPending, SendImage
from server.wire.states import AckType, HistoryCategory, HistoryEvent, HistorySeverity, ImageStatus

# -- asking ------------------------------------------------------------------------------------------


def is_transferring(view: DeviceView, session: SessionView) -> bool:
    """Some image of this session is not whole yet."""
    return any(_is_awaited(session, image) for image in view.images)


def _is_awaited(session: SessionView, image: ImageView) -> bool:
    is_in_session = image.session_id == session.session_id and image.is_open and not _is_given_up(image)
    return is_in_session and not ("*" in session.backlog_asked and _is_silent_about(session, image))


def _is_silent_about(session: SessionView, image: ImageView) -> bool:
    """HELLO, which named no image, was answered with this one, and nothing of it came: its card may have gone."""
    has_come = image.last_chunk_at is not None and image.last_chunk_at >= session.wake_at
    return session.pending_list is None and image.image_id == session.answer_image_id and not has_come


def _is_given_up(image: ImageView) -> bool:
    return image.status == "failed" and image.retry_count >= image.max_retries


def nudge(turn: Turn, session: SessionView) -> bool:
    """After a quiet time: ask for what the session still lacks; False where there is nothing (more) to ask for."""
    view = turn.view
    for image in view.images:
        if _is_awaited(session, image):
            if image.is_whole:
                turn.add(Complete(image.image_id))
                return True
            if _is_silent_about(session, image) and session.messages == 1 and session.missing_rounds:
                return _ask(turn, session) and _ask_for_all(turn, session)
            return ask_for_missing(turn, session, image)
    if view.staged:
        return _ask(turn, session) and _ask_for_image(turn, next(iter(view.staged)))
    if not session.images_stored:
        return False
    if _is_over(session) or not _ask(turn, session):
        say_done(turn, session)
        return False
    session.backlog_asked.clear()
    go_on(turn, session)
    return session.is_open


def _ask(turn: Turn, session: SessionView) -> bool:
    """One more round of asking, at most MISSING_ROUNDS_PER_WAKE_MAX a wake and one in a quiet time."""
    if turn.view.standing is not Standing.MAPPED or session.missing_rounds >= limits.MISSING_ROUNDS_PER_WAKE_MAX:
        return False
    quiet = timedelta(milliseconds=turn.view.dialect.quiet_ms)
    if session.asked_at is not None and turn.now - session.asked_at < quiet:
        return False
    session.missing_rounds += 1
    session.asked_at = turn.now
    turn.add(SaveSession(session))
    return True


def ask_for_missing(turn: Turn, session: SessionView, image: ImageView) -> bool:
    if image.total_chunks is None or (image.attempt and not image.have):  # nothing of it is of use
        return _ask(turn, session) and _ask_for_image(turn, image.wire_image_name)
    if not _ask(turn, session):
        return False
    missing = image.missing()
    turn.reply(MissingChunks(image_name=image.wire_image_name, chunk_indexes=missing), AckType.MISSING_CHUNKS, image)
    turn.say(f"[Ingest] Asking for {len(missing)} missing chunks of {image.wire_image_name}")
    return True


def _ask_for_image(turn: Turn, wire_name: str) -> bool:
    turn.reply(SendImage(image_name=wire_name), AckType.SEND_IMAGE)
    return True


def _ask_for_all(turn: Turn, session: SessionView) -> bool:
    session.backlog_asked.append("*")
    turn.reply(SendAllPending(), AckType.SEND_ALL_PENDING)
    turn.say("[Ingest] Asking for all pending images")
    return True


# -- completion and backlog --------------------------------------------------------------------------


def stored(turn: Turn, image_id: UUID, sha256: str, object_key: str) -> None:
    """The image is whole, checked and its bytes are kept: the row is complete, and the session goes on or ends."""
    view = turn.view
    image = view.image(image_id)
    if image is None or image.is_complete:
        return
    image.status = ImageStatus.COMPLETE
    image.failure = image.failed_at = None
    image.metadata |= {"sha256": sha256, "object_key": object_key}
    turn.save_image(image)
    turn.add(PayloadsComplete(image_id), CommandsFulfilled(image_id))
    turn.history(
        HistoryCategory.IMAGE,
        HistoryEvent.IMAGE_COMPLETED,
        f"{image.image_name} stored ({image.image_size_bytes} bytes)",
    )
    turn.say(f"[Ingest] Image complete: {image.wire_image_name}")
    session = view.session
    if session is None or not session.is_open or image.session_id != session.session_id:
        return
    session.images_stored.append(image_id)
    turn.add(SaveSession(session))
    if not is_transferring(view, session):
        go_on(turn, session)


def go_on(turn: Turn, session: SessionView) -> None:
    """After an image is safe: ask for what the device still holds, or end the wake with the final ACKs (design 6.4)."""
    if is_transferring(turn.view, session):
        return
    if _is_over(session) or not _ask_for_backlog(turn, session):
        say_done(turn, session)


def _is_over(session: SessionView) -> bool:
    return len(session.images_stored) >= session.offers_expected


def _ask_for_backlog(turn: Turn, session: SessionView) -> bool:
    """True while the device is busy with the backlog or has just been asked for it."""
    view = turn.view
    if view.dialect.backlog_by == "send_image" and session.pending_list is not None:
        names = _not_offered_yet(view, session, session.pending_list)
        if names:
            session.backlog_asked.append(names[0])
            _ask_for_image(turn, names[0])
            turn.say(f"[Ingest] Asking for pending image {names[0]}")
    elif "*" not in session.backlog_asked:
        _ask_for_all(turn, session)
        names = ["*"]
    else:
        names = ["*"]
    if not names:
        return False
    turn.add(SaveSession(session))
    turn.watch(view.dialect.quiet_ms)
    return True


def _not_offered_yet(view: DeviceView, session: SessionView, pending_list: tuple[str, ...]) -> list[str]:
    """Names of the device's list that nothing came for yet. A name may stand for several photos (its counter
    restarted), and the photo of this wake stands in no list."""
    is_new_photo = session.answer in ("snap", "override")
    came = Counter(
        image.wire_image_name
        for image in view.images
        if image.image_id in session.images_stored and not (is_new_photo and image.image_id == session.image_id)
    )
    return list((Counter(pending_list) - (came | Counter(session.backlog_asked))).elements())


def damaged(turn: Turn, image_id: UUID, reason: str) -> None:
    """Count, size, markers, decoding or hash are wrong: the bytes go aside, and the image is asked for again."""
    view = turn.view
    image = view.image(image_id)
    if image is None or image.is_complete:
        return
    turn.add(SetChunksAside(image_id, image.attempt, reason))
    image.have.clear()
    image.attempt += 1
    image.retry_count = max(image.retry_count, min(image.retry_count + 1, image.max_retries))
    image.status, image.failure, image.failed_at = ImageStatus.FAILED, f"damaged: {reason}", turn.now
    turn.save_image(image)
    turn.add(AlertFailing(image_id))
    turn.history(
        HistoryCategory.IMAGE,
        HistoryEvent.IMAGE_DAMAGED,
        f"{image.image_name}: {reason}",
        severity=HistorySeverity.ERROR,
    )
    turn.say(f"[Ingest] Damaged image {image.wire_image_name}: {reason}", "error")
    session = view.session
    if session is None or not session.is_open or image.session_id != session.session_id:
        return
    if image.is_resumable and _ask(turn, session):
        _ask_for_image(turn, image.wire_image_name)
        turn.watch(view.dialect.quiet_ms)
    elif session.images_stored and not is_transferring(view, session):
        go_on(turn, session)
