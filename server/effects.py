"""What `ingest` decides: frozen values that `store` writes in one transaction and the intake sends after COMMIT.

Effects that hold a view (`SaveSession`, `SaveImage`, `SaveDevice`) mean "write its final state once".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from server.view import CommandView, DeviceView, ImageView, SessionView
from server.wire.messages import ServerMessage, Telemetry
from server.wire.states import AckType, CommandStatus, HistoryCategory, HistoryEvent, HistorySeverity


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterDevice:
    """A device nobody knows gets a row, `pending_approval`."""

    device_id: UUID


@dataclass(frozen=True, slots=True)
class SaveDevice:
    """Last seen, battery, schedule and dialect of the device."""

    device: DeviceView


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A new row of device_wake_sessions and of device_wake_payloads."""

    session: SessionView


@dataclass(frozen=True, slots=True)
class SaveSession:
    """The session and its payload as they stand after the batch."""

    session: SessionView


@dataclass(frozen=True, slots=True)
class CreateImage:
    """A capture seen for the first time."""

    image: ImageView


@dataclass(frozen=True, slots=True)
class LinkImage:
    """The session carries this image: its wake payload says so (fn_wake_ingestion_handler)."""

    image: ImageView


@dataclass(frozen=True, slots=True)
class SaveImage:
    """The image as it stands after the batch."""

    image: ImageView


@dataclass(frozen=True, slots=True)
class StoreChunk:
    """First copy of a chunk."""

    image_id: UUID
    index: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CompareChunk:
    """A further copy of a chunk: counted; other bytes at the same index are a conflict event."""

    image_id: UUID
    index: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StageChunk:
    """A chunk before its metadata."""

    wire_image_name: str
    index: int
    data: bytes


@dataclass(frozen=True, slots=True)
class DropStaged:
    """The staged chunks of that name are no longer needed there."""

    wire_image_name: str


@dataclass(frozen=True, slots=True)
class SetChunksAside:
    """A damaged image's chunks move aside under their attempt, so that a resend can heal it."""

    image_id: UUID
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class LogDuplicate:
    """The capture was offered again in this session: one row per (capture, session), with the count."""

    image: ImageView
    session: SessionView
    kind: str


@dataclass(frozen=True, slots=True)
class RecordTelemetry:
    """Readings outside a wake session."""

    payload_id: UUID
    telemetry: Telemetry
    data: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHistory:
    """One row of device_history."""

    category: HistoryCategory
    event_type: HistoryEvent
    severity: HistorySeverity
    description: str
    data: dict[str, object] = field(default_factory=dict)
    session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class CommandDelivered:
    """The command goes out with the reply that follows; it counts as published once that has left."""

    command: CommandView


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """The command is settled without an answer of its own: completed, or failed with the reason."""

    command: CommandView
    status: CommandStatus
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SetSchedule:
    """The device's wake schedule."""

    cron: str


@dataclass(frozen=True, slots=True)
class CommandsFulfilled:
    """Every command and alert for this image has had its effect."""

    image_id: UUID


@dataclass(frozen=True, slots=True)
class AlertFailing:
    """The image failed once more: from its last try on, a person is told."""

    image_id: UUID


@dataclass(frozen=True, slots=True)
class CaptureCommandsEnded:
    """The session that carried a capture command is over: its outcome is whether a photo came."""

    session: SessionView


@dataclass(frozen=True, slots=True)
class PayloadsComplete:
    """Every wake payload that carried this image ends complete."""

    image_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Send to the device after COMMIT, audited through fn_log_device_ack."""

    message: ServerMessage
    ack_type: AckType
    image: ImageView | None = None


@dataclass(frozen=True, slots=True)
class Complete:
    """Every chunk is there: assemble, check and store, in a transaction after the batch's."""

    image_id: UUID


@dataclass(frozen=True, slots=True)
class Refuse:
    """The message goes to quarantine."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Look at the device's session again at that time."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """One log line, with the device."""

    line: str
    level: str = "info"


Effect = (
    RegisterDevice
    | SaveDevice
    | OpenSession
    | SaveSession
    | CreateImage
    | LinkImage
    | SaveImage
    | StoreChunk
    | CompareChunk
    | StageChunk
    | DropStaged
    | SetChunksAside
    | LogDuplicate
    | RecordTelemetry
    | LogHistory
    | CommandDelivered
    | CommandEnded
    | SetSchedule
    | CommandsFulfilled
    | CaptureCommandsEnded
    | AlertFailing
    | PayloadsComplete
    | Reply
    | Complete
    | Refuse
    | Watch
    | Say
)
