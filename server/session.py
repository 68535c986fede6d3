"""The life of one wake session: opened, answered, ended; shared by `ingest` (HELLO) and `transfer` (images). Pure.

`Turn` is one device's part of a batch: the view it changes, the time, the id source, and the effects it has asked for.
The protocol state moves only through `TRANSITIONS`; a missing key there is a bug of ours and crashes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from server import wake
from server.effects import (
    CaptureCommandsEnded,
    Effect,
    LogHistory,
    OpenSession,
    RegisterDevice,
    Reply,
    SaveDevice,
    SaveImage,
    SaveSession,
    Say,
    Watch,
)
from server.view import DeviceView, ImageView, SessionView, Standing
from server.wire.errors import LocalProtocolError
from server.wire.messages import Done, ServerMessage, Sleep
from server.wire.states import (
    AckType,
    HistoryCategory,
    HistoryEvent,
    HistorySeverity,
    PayloadStatus,
    ProtocolState,
    WakeSessionStatus,
    WakeType,
)

TRANSITIONS: Final[dict[tuple[str, str], str]] = {
    ("new", "hello"): "hello_received",
    ("new", "unannounced"): "hello_received",
    ("hello_received", "snap"): "ack_sent",
    ("hello_received", "resume"): "ack_pending_sent",
    ("hello_received", "retry"): "ack_pending_sent",
    ("hello_received", "override"): "snap_sent",
    ("hello_received", "sleep"): "sleep_only",
    ("hello_received", "metadata"): "metadata_received",
    ("ack_sent", "metadata"): "metadata_received",
    ("snap_sent", "metadata"): "metadata_received",
    ("ack_pending_sent", "metadata"): "metadata_received",
    ("metadata_received", "metadata"): "metadata_received",
    ("hello_received", "done"): "complete",
    ("ack_sent", "done"): "complete",
    ("snap_sent", "done"): "complete",
    ("ack_pending_sent", "done"): "complete",
    ("metadata_received", "done"): "complete",
    ("hello_received", "silence"): "failed",
    ("ack_sent", "silence"): "failed",
    ("snap_sent", "silence"): "failed",
    ("ack_pending_sent", "silence"): "ack_pending_sent",
    ("metadata_received", "silence"): "metadata_received",
    ("failed", "metadata"): "metadata_received",
    ("failed", "done"): "complete",
    ("failed", "silence"): "failed",
}
"""(protocol state, event) -> protocol state. The 8 states are seed 001's; `new` stands for "no row yet".

From `sleep_only` and `complete` nothing leads on: that session is over, and whatever comes opens another one.

At `silence` a session that carries an image keeps its state: the image may still come whole, or time out. A timeout
makes it `failed` in the database while the session may still be open: the device may go on all the same.
"""


@dataclass(slots=True, kw_only=True)
class Turn:
    """What one device's messages change in one batch. `ids` makes row ids; `is_redelivery` is MQTT's DUP flag."""

    view: DeviceView
    now: datetime
    ids: Callable[[], UUID]
    is_redelivery: bool = False
    effects: list[Effect] = field(default_factory=list)

    def add(self, *effects: Effect) -> None:
        """Ask for effects, in order."""
        self.effects.extend(effects)

    def say(self, line: str, level: str = "info") -> None:
        """One log line."""
        self.effects.append(Say(line=line, level=level))

    def reply(self, message: ServerMessage, ack_type: AckType, image: ImageView | None = None) -> None:
        """Answer the device after COMMIT."""
        self.effects.append(Reply(message=message, ack_type=ack_type, image=image))

    def history(
        self,
        category: HistoryCategory,
        event_type: HistoryEvent,
        description: str,
        *,
        severity: HistorySeverity = HistorySeverity.INFO,
        **data: object,
    ) -> None:
        """One row of device_history, tied to the session."""
        session_id = self.view.session.session_id if self.view.session else None
        self.effects.append(
            LogHistory(
                category=category,
                event_type=event_type,
                severity=severity,
                description=description,
                data=data,
                session_id=session_id,
            )
        )

    def save_image(self, image: ImageView) -> None:
        """The image changed."""
        self.effects.append(SaveImage(image))

    def watch(self, after_ms: int) -> None:
        """Look at the session again after that time."""
        self.effects.append(Watch(self.now + timedelta(milliseconds=after_ms)))


def move(session: SessionView, event: str) -> None:
    """Move the protocol state by the table; raises LocalProtocolError where the table has no such move."""
    key = (session.protocol_state, event)
    if key not in TRANSITIONS:
        raise LocalProtocolError(f"protocol state {session.protocol_state!r} has no move for {event!r}")
    session.protocol_state = TRANSITIONS[key]


def open_session(turn: Turn, event: str, wake_type: WakeType) -> SessionView:
    """A new session for a device that has just woken: moves the wake times on, closes what was left open."""
    view = turn.view
    if view.session is not None and view.session.is_open:
        end_by_silence(turn, view.session)
    register(turn)
    view.last_wake_at = turn.now
    view.next_wake_at = next_wake_of(turn)
    session = SessionView(
        session_id=turn.ids(),
        payload_id=turn.ids(),
        wake_at=turn.now,
        status=WakeSessionStatus.IN_PROGRESS,
        protocol_state="new",
        wake_type=wake_type,
        answer="none",
        hello_digest=None,
        last_message_at=turn.now,
        next_wake_at=view.next_wake_at,
    )
    move(session, event)
    view.session = session
    turn.add(SaveDevice(view), OpenSession(session), SaveSession(session))
    turn.history(HistoryCategory.WAKE, HistoryEvent.WAKE_SESSION_STARTED, f"Wake session started by {event}")
    return session


def register(turn: Turn) -> None:
    """A device that nobody knows gets its row (design 6.3)."""
    view = turn.view
    if view.standing is Standing.UNKNOWN and view.device_id is None:
        view.device_id = turn.ids()
        turn.add(RegisterDevice(device_id=view.device_id))
        turn.history(HistoryCategory.PROVISIONING, HistoryEvent.DEVICE_DISCOVERED, f"{view.mac} waits for approval")
        turn.say(f"[Ingest] Unknown device {view.mac} registered as pending_approval", "warning")


def next_wake_of(turn: Turn) -> datetime:
    """Next wake by the device's schedule; a schedule nobody can read counts as none and leaves an event."""
    try:
        return wake.next_wake(turn.view.cron, turn.view.timezone, turn.now)
    except (wake.ScheduleError, LookupError) as error:
        turn.history(
            HistoryCategory.ERROR,
            HistoryEvent.SCHEDULE_REFUSED,
            str(error),
            severity=HistorySeverity.ERROR,
            schedule=turn.view.cron,
        )
        turn.say(f"[Ingest] Wake schedule unreadable: {error}", "error")
        return wake.next_wake(None, "UTC", turn.now)


def current_session(turn: Turn) -> SessionView:
    """The open session, or a new one for a device whose HELLO never came."""
    session = turn.view.session
    if session is None or not session.is_open:
        session = open_session(turn, "unannounced", WakeType.IMAGE_WAKE)
        turn.say("[Ingest] Data without HELLO - wake session opened")
    return session


def touch(turn: Turn, session: SessionView) -> None:
    """A message of the open session has come."""
    session.last_message_at = turn.now
    session.messages += 1
    turn.add(SaveSession(session))


def send_to_sleep(turn: Turn, session: SessionView) -> None:
    """SLEEP and nothing else: unmapped, inactive, unknown, or without a schedule (design 6.3)."""
    move(session, "sleep")
    session.answer = "sleep"
    session.payload_status = PayloadStatus.SLEEP_ONLY
    session.sleep_sent_at = turn.now
    turn.reply(Sleep(next_wake=session.next_wake_at), AckType.SLEEP)
    _end(turn, session, WakeSessionStatus.COMPLETED)


def say_done(turn: Turn, session: SessionView) -> None:
    """The wake is over: one final ACK_OK for each image stored in it, the last image's last."""
    images = [image for image_id in session.images_stored if (image := turn.view.image(image_id)) is not None]
    for image in images:
        turn.reply(Done(image_name=image.wire_image_name, next_wake=session.next_wake_at), AckType.ACK_OK, image)
    move(session, "done")
    session.payload_status = PayloadStatus.COMPLETE
    session.ack_sent_at = session.sleep_sent_at = turn.now
    _end(turn, session, WakeSessionStatus.ERROR if session.error_codes else WakeSessionStatus.COMPLETED)


def end_by_silence(turn: Turn, session: SessionView) -> None:
    """The device is asleep, or gone: `timeout` if nothing followed the HELLO, else `completed` (design 6.5)."""
    move(session, "silence")
    if session.protocol_state == ProtocolState.FAILED:
        session.payload_status = PayloadStatus.FAILED
    nothing_followed = session.messages <= 1
    if session.error_codes:
        _end(turn, session, WakeSessionStatus.ERROR)
    else:
        _end(turn, session, WakeSessionStatus.TIMEOUT if nothing_followed else WakeSessionStatus.COMPLETED)


def _end(turn: Turn, session: SessionView, status: WakeSessionStatus) -> None:
    session.status = status
    session.ended_at = turn.now
    turn.add(SaveSession(session))
    if session.answer == "override":
        turn.add(CaptureCommandsEnded(session))
    turn.history(HistoryCategory.WAKE, HistoryEvent.WAKE_SESSION_ENDED, f"Wake session ended: {status}", status=status)
    turn.say(f"[Session] Wake session ended: {status}")
