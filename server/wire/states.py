"""Every state, type and category that is ever written to the database, defined once.

Each class is one column's list; the tests hold it equal to the CHECK of that column. Members are the stored text.
"""

from __future__ import annotations

from enum import StrEnum

from server.wire import access


class ImageStatus(StrEnum):
    """`device_images.status`."""

    PENDING = "pending"
    RECEIVING = "receiving"
    COMPLETE = "complete"
    FAILED = "failed"


class CaptureTimeSource(StrEnum):
    """`device_images.captured_at_source`: who made the time up. A server's time is no part of a capture's identity."""

    DEVICE = "device"
    SERVER = "server"


class ProtocolState(StrEnum):
    """`device_wake_payloads.protocol_state`; the column's comment says what each one means."""

    HELLO_RECEIVED = "hello_received"
    ACK_SENT = "ack_sent"
    ACK_PENDING_SENT = "ack_pending_sent"
    SNAP_SENT = "snap_sent"
    METADATA_RECEIVED = "metadata_received"
    COMPLETE = "complete"
    FAILED = "failed"
    SLEEP_ONLY = "sleep_only"


PROTOCOL_STATE_MEANINGS: dict[ProtocolState, str] = {
    ProtocolState.HELLO_RECEIVED: "Device sent HELLO",
    ProtocolState.ACK_SENT: "Server sent ACK (normal flow)",
    ProtocolState.ACK_PENDING_SENT: "Server sent ACK for pending image resume",
    ProtocolState.SNAP_SENT: "Server sent SNAP command",
    ProtocolState.METADATA_RECEIVED: "Got metadata, receiving chunks",
    ProtocolState.COMPLETE: "Image complete, SLEEP sent",
    ProtocolState.FAILED: "Protocol flow failed",
    ProtocolState.SLEEP_ONLY: "Just send SLEEP (no schedule/unmapped)",
}
"""The words of seed 001; the column comment is made of them."""


class WakeSessionStatus(StrEnum):
    """`device_wake_sessions.status`."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    TIMEOUT = "timeout"
    ERROR = "error"


class PayloadStatus(StrEnum):
    """`device_wake_payloads.payload_status`: under way, or how it ended."""

    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"
    FAILED = "failed"
    SLEEP_ONLY = "sleep_only"


class WakeType(StrEnum):
    """`device_wake_payloads.wake_type`."""

    IMAGE_WAKE = "image_wake"
    TELEMETRY_ONLY = "telemetry_only"
    HELLO = "hello"
    RETRY = "retry"


class CommandType(StrEnum):
    """`device_commands.command_type`."""

    RETRY_IMAGE = "retry_image"
    CAPTURE_IMAGE = "capture_image"
    SEND_IMAGE = "send_image"
    SET_WAKE_SCHEDULE = "set_wake_schedule"
    UPDATE_CONFIG = "update_config"
    REBOOT = "reboot"
    UPDATE_FIRMWARE = "update_firmware"
    RESEND_CHUNKS = "resend_chunks"


class CommandStatus(StrEnum):
    """`device_commands.status`."""

    PENDING = "pending"
    SENT = "sent"
    PUBLISHED = "published"
    ACKNOWLEDGED = "acknowledged"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class AlertType(StrEnum):
    """`device_alerts.alert_type`."""

    IMAGE_TRANSMISSION_FAILED = "image_transmission_failed"
    DEVICE_ERROR = "device_error"
    LOW_BATTERY = "low_battery"
    DEVICE_SILENT = "device_silent"


class AlertSeverity(StrEnum):
    """`device_alerts.severity`."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class HistorySeverity(StrEnum):
    """`device_history.severity`."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class HistoryCategory(StrEnum):
    """`device_history.event_category`."""

    WAKE = "wake"
    IMAGE = "image"
    COMMAND = "command"
    TELEMETRY = "telemetry"
    PROVISIONING = "provisioning"
    CONFIGURATION = "configuration"
    ERROR = "error"


class HistoryEvent(StrEnum):
    """`device_history.event_type`, past tense."""

    WAKE_SESSION_STARTED = "wake_session_started"
    WAKE_SESSION_ENDED = "wake_session_ended"
    IMAGE_STARTED = "image_started"
    IMAGE_RESUMED = "image_resumed"
    IMAGE_COMPLETED = "image_completed"
    IMAGE_TIMED_OUT = "image_timed_out"
    IMAGE_DAMAGED = "image_damaged"
    IMAGE_SUPERSEDED = "image_superseded"
    IMAGE_OFFERED_AGAIN = "image_offered_again"
    CHUNK_CONFLICTED = "chunk_conflicted"
    RETRY_QUEUED = "retry_queued"
    RETRY_NOT_QUEUED = "retry_not_queued"
    RETRIES_EXHAUSTED = "retries_exhausted"
    MANUAL_RETRY_REQUESTED = "manual_retry_requested"
    COMMAND_PUBLISHED = "command_published"
    COMMAND_COMPLETED = "command_completed"
    COMMAND_FAILED = "command_failed"
    COMMAND_EXPIRED = "command_expired"
    COMMAND_CANCELLED = "command_cancelled"
    TELEMETRY_RECEIVED = "telemetry_received"
    DEVICE_DISCOVERED = "device_discovered"
    DEVICE_MAPPED = "device_mapped"
    SCHEDULE_CHANGED = "schedule_changed"
    MANUAL_WAKE_REQUESTED = "manual_wake_requested"
    DEVICE_ERROR_REPORTED = "device_error_reported"
    SCHEDULE_REFUSED = "schedule_refused"


class AckType(StrEnum):
    """`device_ack_log.ack_type`: what the server said to a device."""

    PENDING_IMAGE_ACK = "PENDING_IMAGE_ACK"
    ACK_OK = "ACK_OK"
    MISSING_CHUNKS = "MISSING_CHUNKS"
    SNAP = "SNAP"
    SLEEP = "SLEEP"
    SEND_IMAGE = "SEND_IMAGE"
    SEND_ALL_PENDING = "SEND_ALL_PENDING"
    RETRY = "RETRY"


class ProvisioningStatus(StrEnum):
    """`devices.provisioning_status`."""

    PENDING_APPROVAL = "pending_approval"
    PENDING_MAPPING = "pending_mapping"
    MAPPED = "mapped"
    ACTIVE = "active"
    INACTIVE = "inactive"
    DECOMMISSIONED = "decommissioned"
    SYSTEM = "system"


class DeviceType(StrEnum):
    """`devices.device_type`."""

    PHYSICAL = "physical"
    VIRTUAL = "virtual"


class ImageStyle(StrEnum):
    """`images.style`: what an upload was made into."""

    ORIGINAL = "original"
    THUMBNAIL = "thumbnail"
    GREYSCALE = "greyscale"


class UploadStatus(StrEnum):
    """`videos.upload_status`."""

    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    FAILED = "failed"


class UploadState(StrEnum):
    """`video_uploads.state`: what an upload in parts has come to."""

    OPEN = "open"
    COMPLETING = "completing"
    COMPLETED = "completed"
    ABORTED = "aborted"
    FAILED = "failed"
    EXPIRED = "expired"


class JobStatus(StrEnum):
    """`processing_jobs.status`."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ProcessingStatus(StrEnum):
    """`videos.processing_status`, as this server writes it; rows of phase 1 may hold other words."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Role(StrEnum):
    """`web_users.role`: each may do what the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Area(StrEnum):
    """What a scope of a bearer token is about; scopes are `<area>:read` and `<area>:write`."""

    DEVICES = "devices"
    ALERTS = "alerts"
    ORIGINALS = "originals"
    VIDEOS = "videos"
    RUNS = "runs"
    METRICS = "metrics"
    MESSAGES = "messages"


class SignInKind(StrEnum):
    """`web_sessions.kind`."""

    BROWSER = "browser"
    TOKEN = "token"


CHECKED_COLUMNS: dict[tuple[str, str], type[StrEnum]] = {
    ("device_images", "status"): ImageStatus,
    ("device_images", "captured_at_source"): CaptureTimeSource,
    ("device_wake_payloads", "protocol_state"): ProtocolState,
    ("device_wake_payloads", "payload_status"): PayloadStatus,
    ("device_wake_payloads", "image_status"): ImageStatus,
    ("device_wake_payloads", "wake_type"): WakeType,
    ("device_wake_sessions", "status"): WakeSessionStatus,
    ("device_commands", "command_type"): CommandType,
    ("device_commands", "status"): CommandStatus,
    ("device_alerts", "alert_type"): AlertType,
    ("device_alerts", "severity"): AlertSeverity,
    ("device_history", "event_category"): HistoryCategory,
    ("device_history", "event_type"): HistoryEvent,
    ("device_history", "severity"): HistorySeverity,
    ("device_ack_log", "ack_type"): AckType,
    ("devices", "provisioning_status"): ProvisioningStatus,
    ("devices", "device_type"): DeviceType,
    ("images", "style"): ImageStyle,
    ("videos", "upload_status"): UploadStatus,
    ("video_uploads", "state"): UploadState,
    ("processing_jobs", "status"): JobStatus,
    ("web_users", "role"): Role,
    ("web_sessions", "role"): Role,
    ("web_sessions", "kind"): SignInKind,
    ("broker_logins", "role"): access.Role,
}
"""Which CHECK holds which list: (table, column) to the class."""
