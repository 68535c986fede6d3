"""What the server answers: the door of the server's state machine. Pure: (what is known, message, now) -> effects.

Theory. A camera sleeps for hours and is awake for a minute. In that minute it says HELLO with the number of images it
still holds, the server answers with exactly one command, and then chunks flow until every image that the HELLO counted
is stored. The server keeps nothing in memory: `store` reads a `DeviceView` in the transaction, the functions here fold
the messages of a batch over it in arrival order, and every change leaves as an effect that `store` writes before the
same COMMIT. Sends happen after it. So a message that is delivered twice finds the first one's traces in the view, and
what is answered twice is answered alike.

The answer to a HELLO (design 6.3) is the first of these that applies:
  1. unknown, unmapped or inactive device: SLEEP;
  2. manual wake override: SNAP, and the override is spent;
  3. a due command, where the device still has the image: retry or SNAP;
  4. the device says it has pending images and the database has an incomplete one: resume the oldest;
  5. no schedule: SLEEP;
  6. SNAP.
The device is trusted over the database: `pendingImg = 0` means SNAP.

`session` holds the table of protocol states and how a session begins and ends; `transfer` holds what happens to images
while it is open; this file holds HELLO, silence and telemetry, and hands each message to its place.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from uuid import UUID

from server import asking, transfer
from server.commands import IMAGE_COMMANDS, settle
from server.effects import (
    CommandDelivered,
    CommandEnded,
    CommandsFulfilled,
    Effect,
    RecordTelemetry,
    SaveDevice,
    SaveImage,
    SaveSession,
)
from server.session import (
    Turn,
    end_by_silence,
    move,
    open_session,
    register,
    say_done,
    send_to_sleep,
    touch,
)
from server.view import CommandView, DeviceView, ImageView, SessionView, Standing
from server.wire.dialects import SENSOR_KEYS
from server.wire.messages import (
    Capture,
    Chunk,
    DeviceMessage,
    Hello,
    Metadata,
    MissingChunks,
    Resume,
    Retry,
    SendImage,
    Sleep,
    Telemetry,
)
from server.wire.states import AckType, CommandStatus, CommandType, HistoryCategory, HistoryEvent, ImageStatus, WakeType

CAPTURE_COMMANDS = (CommandType.CAPTURE_IMAGE,)


def receive(turn: Turn, message: DeviceMessage) -> list[Effect]:
    """Fold one device message into the turn; returns all effects of the turn so far."""
    turn.view.last_seen_at = turn.now
    if not isinstance(message, Chunk):
        turn.add(SaveDevice(turn.view))
    match message:
        case Hello():
            _hello(turn, message)
        case Metadata():
            turn.view.dialect = transfer.dialect_of(turn, message)
            transfer.metadata(turn, message)
        case Chunk():
            transfer.chunk(turn, message)
        case Telemetry():
            _telemetry(turn, message)
    return turn.effects


# -- HELLO -------------------------------------------------------------------------------------------


def digest_of(hello: Hello) -> str:
    """What makes two HELLOs the same one: everything but the readings."""
    parts = (
        hello.pending_count,
        hello.pending_list,
        hello.firmware_version,
        hello.hardware_version,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _hello(turn: Turn, hello: Hello) -> None:
    view = turn.view
    _note_readings(view, hello)
    digest = digest_of(hello)
    session = view.session
    if session is not None and _is_the_same_wake(turn, session, digest):
        turn.say("[Ingest] HELLO again in the same wake - same answer")
        if session.is_open:
            touch(turn, session)
            session.messages -= 1
        _answer_again(turn, session)
        return
    session = open_session(turn, "hello", WakeType.HELLO)
    session.hello_digest = digest
    session.pending_count = hello.pending_count
    session.pending_list = hello.pending_list
    _answer(turn, session)


def _is_the_same_wake(turn: Turn, session: SessionView, digest: str) -> bool:
    if session.hello_digest != digest:
        return False
    silence = timedelta(milliseconds=turn.view.dialect.session_silence_ms)
    if turn.now - session.last_message_at > silence:
        return False
    return session.is_open or turn.is_redelivery or (session.answer == "sleep" and _would_sleep_again(turn.view))


def _would_sleep_again(view: DeviceView) -> bool:
    """Nobody has mapped it, given it a schedule or asked for a picture since."""
    return view.standing is not Standing.MAPPED or (view.cron is None and not view.manual_wake_override)


def _note_readings(view: DeviceView, message: Hello | Telemetry) -> None:
    if message.battery_voltage_v is not None:
        view.battery_voltage_v = message.battery_voltage_v
    if message.wifi_rssi_dbm is not None:
        view.wifi_rssi_dbm = message.wifi_rssi_dbm
    if isinstance(message, Hello):
        view.firmware_version = message.firmware_version or view.firmware_version
        view.hardware_version = message.hardware_version or view.hardware_version
        if message.pending_list is not None and not view.dialect.sends_pending_list:
            view.dialect = transfer.newest_dialect()


def _answer(turn: Turn, session: SessionView) -> None:
    view = turn.view
    if view.standing is not Standing.MAPPED:
        turn.say(f"[Ingest] Device {view.standing} - sleep only")
        send_to_sleep(turn, session)
        return
    settle(turn, session)
    turn.say("[Ingest] Device provisioned - checking for pending images")
    if view.manual_wake_override:
        view.manual_wake_override = False
        turn.say("[Ingest] Manual wake override - capturing at once")
        _snap(turn, session, "override")
        return
    if _deliver_command(turn, session):
        return
    pending = view.oldest_resumable(session.pending_list) if session.pending_count > 0 else None
    if pending is not None:
        _resume(turn, session, pending)
    elif view.cron is None:
        turn.say("[Ingest] No wake schedule - sleep only")
        send_to_sleep(turn, session)
    else:
        turn.say("[Ingest] No pending images - initiating new image capture")
        _snap(turn, session, "snap")


def _snap(turn: Turn, session: SessionView, event: str) -> None:
    move(session, event)
    session.answer = event
    session.wake_type = WakeType.IMAGE_WAKE
    session.snap_sent_at = turn.now
    session.offers_expected = session.pending_count + 1
    turn.reply(Capture(), AckType.SNAP)
    _expect_more(turn, session)


def _resume(turn: Turn, session: SessionView, image: ImageView) -> None:
    move(session, "resume")
    _carry(turn, session, image, "resume")
    turn.history(HistoryCategory.IMAGE, HistoryEvent.IMAGE_RESUMED, f"{image.image_name} goes on")
    turn.say(
        f"[Ingest] Resuming pending image transfer: {image.wire_image_name} "
        f"({len(image.have)}/{image.total_chunks or 0} chunks)"
    )
    _ask_to_go_on(turn, image)


def _carry(turn: Turn, session: SessionView, image: ImageView, answer: str) -> None:
    session.answer = answer
    session.wake_type = WakeType.RETRY if answer == "retry" else WakeType.IMAGE_WAKE
    session.image_id = session.answer_image_id = image.image_id
    session.offers_expected = max(session.pending_count, 1)
    session.ack_sent_at = turn.now
    image.session_id = session.session_id
    if image.status == "failed":
        image.status = "receiving"
    turn.add(SaveImage(image))
    for command in turn.view.commands:
        if command.image_id == image.image_id and not command.published:
            command.published = True
            turn.add(CommandDelivered(command))
    _expect_more(turn, session)


def _ask_to_go_on(turn: Turn, image: ImageView) -> None:
    """`ACK_OK: {}`, or what stands for it where the firmware would take that for the end (design 9.4)."""
    name = image.wire_image_name
    if turn.view.dialect.empty_ack_ok_means == "go_on":
        turn.reply(Resume(image_name=name), AckType.PENDING_IMAGE_ACK, image)
    elif image.total_chunks is not None and image.have:
        turn.reply(MissingChunks(image_name=name, chunk_indexes=image.missing()), AckType.MISSING_CHUNKS, image)
    else:
        turn.reply(SendImage(image_name=name), AckType.SEND_IMAGE, image)


def _deliver_command(turn: Turn, session: SessionView) -> bool:
    view = turn.view
    for command in view.commands:
        if command.published:
            continue
        if command.command_type in CAPTURE_COMMANDS:
            command.published = True
            turn.add(CommandDelivered(command))
            _snap(turn, session, "override")
            return True
        image = view.image(command.image_id)
        if command.image_id is not None and command.image_status == ImageStatus.COMPLETE:
            command.published = True
            turn.add(CommandsFulfilled(command.image_id), CommandEnded(command, CommandStatus.COMPLETED))
            continue
        if command.command_type not in IMAGE_COMMANDS or image is None or not _still_has(session, image):
            continue
        if session.pending_count > 0 and image is view.oldest_resumable(session.pending_list):
            return False  # the resume fulfils it
        move(session, "retry")
        _carry(turn, session, image, "retry")
        turn.say(f"[Ingest] Delivering {command.command_type} for {image.wire_image_name}")
        _ask_to_retry(turn, image, command)
        return True
    return False


def _still_has(session: SessionView, image: ImageView) -> bool:
    listed = session.pending_list
    if listed is not None and (image.wire_image_name in listed or len(listed) >= session.pending_count):
        return image.wire_image_name in listed  # a list shorter than the count leaves the rest open
    return session.pending_count > 0


def _ask_to_retry(turn: Turn, image: ImageView, command: CommandView | None) -> None:
    if turn.view.dialect.retry_by == "retry_topic" or turn.view.mac.startswith("TEST-"):
        chunks = image.missing() if image.have and image.total_chunks else None
        turn.reply(
            Retry(image_id=str(image.image_id), image_name=image.wire_image_name, chunk_indexes=chunks),
            AckType.RETRY,
            image,
        )
    else:
        turn.reply(SendImage(image_name=image.wire_image_name), AckType.SEND_IMAGE, image)


def _answer_again(turn: Turn, session: SessionView) -> None:
    image = turn.view.image(session.answer_image_id)
    if session.answer == "sleep":
        turn.reply(Sleep(next_wake=session.next_wake_at), AckType.SLEEP)
        return
    if not session.is_open:
        return  # redelivered after the final ACK: the device sleeps
    for command in turn.view.commands:
        if command.was_sent and command.image_id == session.answer_image_id:
            turn.add(CommandDelivered(command))
    if session.answer in ("snap", "override"):
        turn.reply(Capture(), AckType.SNAP)
    elif session.answer == "resume" and image is not None and not image.is_complete:
        _ask_to_go_on(turn, image)
    elif session.answer == "retry" and image is not None and not image.is_complete:
        _ask_to_retry(turn, image, None)


def _expect_more(turn: Turn, session: SessionView) -> None:
    turn.add(SaveSession(session))
    turn.watch(turn.view.dialect.quiet_ms)


# -- quiet, silence ----------------------------------------------------------------------------------


def look_again(turn: Turn) -> list[Effect]:
    """A watched time has come: ask for what is missing, or end a session that fell silent."""
    view = turn.view
    session = view.session
    if session is None or not session.is_open:
        return turn.effects
    quiet_ms = int((turn.now - session.last_message_at) / timedelta(milliseconds=1))
    if quiet_ms >= view.dialect.session_silence_ms:
        if session.images_stored and not asking.is_transferring(view, session):
            say_done(turn, session)
        else:
            end_by_silence(turn, session)
        return turn.effects
    if quiet_ms >= view.dialect.quiet_ms and asking.nudge(turn, session):
        turn.watch(view.dialect.quiet_ms)
        return turn.effects
    if quiet_ms < view.dialect.quiet_ms:
        turn.watch(view.dialect.quiet_ms - quiet_ms)
    else:
        turn.watch(view.dialect.session_silence_ms - quiet_ms)
    return turn.effects


# -- telemetry ---------------------------------------------------------------------------------------


def _telemetry(turn: Turn, message: Telemetry) -> None:
    view = turn.view
    _note_readings(view, message)
    session = view.session
    readings = {key: value for key in SENSOR_KEYS if (value := getattr(message.sensors, key)) is not None}
    if session is not None and session.is_open:
        touch(turn, session)
        session.telemetry |= readings
        if message.error_code:
            transfer.note_device_error(turn, message.error_code)
    else:
        register(turn)
        turn.add(RecordTelemetry(turn.ids(), message, dict(readings)))


def stored(turn: Turn, image_id: UUID, sha256: str, object_key: str) -> list[Effect]:
    """The image was assembled, checked and its bytes are stored."""
    asking.stored(turn, image_id, sha256, object_key)
    return turn.effects


def damaged(turn: Turn, image_id: UUID, reason: str) -> list[Effect]:
    """The assembled bytes are not the image that was announced."""
    asking.damaged(turn, image_id, reason)
    return turn.effects
