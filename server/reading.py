"""Rows to views: how a batch's snapshot is put together from the statements of `queries/read.sql`. Pure."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Protocol, TypeVar
from uuid import UUID

from server.view import CommandView, DeviceView, ImageView, SessionView, Standing
from server.wire.dialects import default_dialect, dialect_named
from server.wire.states import CommandStatus, ProvisioningStatus
from server.wire.topics import Family


class Row(Protocol):
    """A row of asyncpg: values by column name."""

    def __getitem__(self, key: Any, /) -> Any:
        """The value of that column."""
        ...


T = TypeVar("T")


def record(kind: type[T], row: Row, **given: Any) -> T:
    """A dataclass from the columns of its fields' names; `given` goes before the row."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: given[name] if name in given else row[name] for name in names})


_MAPPED = (ProvisioningStatus.MAPPED, ProvisioningStatus.ACTIVE)
_NOT_YET = (ProvisioningStatus.PENDING_APPROVAL, ProvisioningStatus.PENDING_MAPPING)


def unknown_device(mac: str, family: Family) -> DeviceView:
    """The view of a device without a row."""
    return DeviceView(
        mac=mac, device_id=None, standing=Standing.UNKNOWN, dialect=default_dialect(family), family=family
    )


def standing_of(row: Row) -> Standing:
    """What a row's device may do."""
    if not row["is_active"]:
        return Standing.INACTIVE
    if row["provisioning_status"] in _MAPPED:
        return Standing.MAPPED
    return Standing.UNMAPPED if row["provisioning_status"] in _NOT_YET else Standing.INACTIVE


def device_view(row: Row, family: Family | None) -> DeviceView:
    """One device with its newest session. `family` is the one it uses now; None keeps the stored one."""
    if family is None:
        family = Family(row["topic_family"]) if row["topic_family"] else Family.ESP32CAM
    return DeviceView(
        mac=row["device_mac"],
        device_id=row["device_id"],
        standing=standing_of(row),
        dialect=dialect_named(row["protocol_version"], family),
        family=family,
        cron=row["wake_schedule_cron"],
        timezone=row["timezone"] or "UTC",
        manual_wake_override=row["manual_wake_override"],
        next_wake_at=row["next_wake_at"],
        session=None if row["session_id"] is None or row["payload_id"] is None else session_view(row),
        battery_voltage_v=row["battery_voltage"],
        wifi_rssi_dbm=row["wifi_rssi"],
        firmware_version=row["firmware_version"],
        hardware_version=row["hardware_version"],
        last_seen_at=row["last_seen_at"],
        last_wake_at=row["last_wake_at"],
    )


def session_view(row: Row) -> SessionView:
    """The newest wake session with its payload, from a row of the `devices` statement."""
    pending_list = row["pending_list"]
    return SessionView(
        session_id=row["session_id"],
        payload_id=row["payload_id"],
        wake_at=row["wake_timestamp"],
        status=row["session_status"],
        protocol_state=row["protocol_state"] or "hello_received",
        wake_type=row["wake_type"],
        answer=row["answer"] or "none",
        hello_digest=row["hello_digest"],
        last_message_at=row["last_message_at"] or row["wake_timestamp"],
        next_wake_at=row["next_wake_scheduled"] or row["wake_timestamp"],
        pending_count=row["pending_images_count"],
        pending_list=None if pending_list is None else tuple(pending_list),
        offers_expected=row["offers_expected"] or 0,
        missing_rounds=row["missing_rounds"],
        asked_at=row["asked_at"],
        backlog_asked=list(row["backlog_asked"] or []),
        images_stored=[UUID(text) for text in row["images_stored"] or []],
        image_id=row["session_image_id"],
        answer_image_id=row["answer_image_id"],
        captured=row["image_captured"],
        messages=row["message_count"],
        chunks_received=row["chunks_sent"],
        chunk_duplicates=row["chunk_duplicates"],
        error_codes=list(row["error_codes"] or []),
        telemetry=dict(row["telemetry_data"] or {}),
        ack_sent_at=row["ack_sent_at"],
        snap_sent_at=row["snap_sent_at"],
        sleep_sent_at=row["sleep_sent_at"],
        ended_at=row["ended_at"],
        payload_status=row["payload_status"],
    )


def image_view(row: Row, created_seq: int) -> ImageView:
    """One image with the chunk indexes that are there; `created_seq` orders images by age."""
    metadata = dict(row["metadata"] or {})
    return ImageView(
        image_id=row["image_id"],
        image_name=row["image_name"],
        wire_image_name=row["wire_image_name"],
        status=row["status"],
        captured_at=row["captured_at"],
        captured_at_source=row["captured_at_source"],
        image_size_bytes=row["image_size"],
        chunk_size_bytes=row["chunk_size_bytes"],
        total_chunks=row["total_chunks"],
        have=set(row["have"]),
        retry_count=row["retry_count"],
        max_retries=row["max_retries"],
        attempt=row["attempt"],
        failed_at=row["failed_at"],
        failure=row["timeout_reason"],
        session_id=row["image_session_id"],
        last_chunk_at=row["last_chunk_at"],
        dialect=row["dialect"],
        expected_sha256=metadata.get("image_sha256"),
        metadata=metadata,
        created_seq=created_seq,
        error_code=row["error_code"] or 0,
    )


def command_view(row: Row) -> CommandView:
    """One due command."""
    payload = row["command_payload"]
    return CommandView(
        command_id=row["command_id"],
        command_type=row["command_type"],
        image_id=row["image_id"],
        image_status=row["image_status"],
        payload=payload if isinstance(payload, dict) else {},
        was_sent=row["status"] == CommandStatus.SENT,
    )
