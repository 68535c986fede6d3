"""A batch's records as rows of `save` and `journal`: which field of a view stands in which column. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from server.effects import LogHistory, Reply
from server.session import Turn
from server.view import DeviceView, ImageView, SessionView
from server.wire.limits import MISSING_NOTED_MAX
from server.wire.messages import Done, MissingChunks, Retry, Sleep
from server.wire.states import HistoryCategory, HistoryEvent, HistorySeverity, ImageStatus

_UNDER_WAY = (ImageStatus.PENDING, ImageStatus.RECEIVING)

Row = dict[str, Any]
"""A record for `save`: column and value."""


def device_row(view: DeviceView) -> Row:
    """What a message may have changed of a device."""
    return {
        "device_id": view.device_id,
        "last_seen_at": view.last_seen_at,
        "last_wake_at": view.last_wake_at,
        "next_wake_at": view.next_wake_at,
        "manual_wake_override": view.manual_wake_override,
        "battery_voltage": view.battery_voltage_v,
        "wifi_rssi": view.wifi_rssi_dbm,
        "firmware_version": view.firmware_version,
        "hardware_version": view.hardware_version,
        "protocol_version": view.dialect.name,
        "topic_family": view.family,
    }


def image_row(image: ImageView) -> Row:
    """What a message may have changed of an image."""
    return {
        "image_id": image.image_id,
        "status": image.status,
        "session_id": image.session_id,
        "last_chunk_at": image.last_chunk_at,
        "retry_count": image.retry_count,
        "attempt": image.attempt,
        "failed_at": image.failed_at,
        "timeout_reason": image.failure,
        "metadata": image.metadata,
        "received_chunks": len(image.have),
    }


def session_row(session: SessionView, view: DeviceView) -> Row:
    """The session and its wake payload, with how far the image it carries has come; what is not read is complete."""
    image = view.image(session.image_id)
    is_under_way = image is not None and image.status in _UNDER_WAY
    return {
        "status_of_image": None if image is None else image.status,
        "chunks_of_image": None if image is None or image.is_complete else len(image.have),
        "chunks_missing": image.first_missing(MISSING_NOTED_MAX) if image is not None and is_under_way else (),
        "session_id": session.session_id,
        "status": session.status,
        "hello_digest": session.hello_digest,
        "last_message_at": session.last_message_at,
        "answer": session.answer,
        "answer_image_id": session.answer_image_id,
        "missing_rounds": session.missing_rounds,
        "asked_at": session.asked_at,
        "backlog_asked": session.backlog_asked,
        "images_stored": session.images_stored,
        "offers_expected": session.offers_expected,
        "next_wake_at": session.next_wake_at,
        "pending_count": session.pending_count,
        "pending_list": session.pending_list,
        "captured": session.captured,
        "image_id": session.image_id,
        "messages": session.messages,
        "chunks_received": session.chunks_received,
        "chunk_duplicates": session.chunk_duplicates,
        "error_codes": session.error_codes,
        "telemetry": session.telemetry,
        "ended_at": session.ended_at,
        "payload_id": session.payload_id,
        "protocol_state": session.protocol_state,
        "payload_status": session.payload_status,
        "wake_type": session.wake_type,
        "ack_sent_at": session.ack_sent_at,
        "snap_sent_at": session.snap_sent_at,
        "sleep_sent_at": session.sleep_sent_at,
        "battery_voltage": view.battery_voltage_v,
        "wifi_rssi": view.wifi_rssi_dbm,
    }


def history_row(turn: Turn, event: LogHistory) -> Row:
    """What happened, for the device's history."""
    return {
        "device_id": turn.view.device_id,
        "category": event.category,
        "event_type": event.event_type,
        "severity": event.severity,
        "happened_at": turn.now,
        "description": event.description,
        "data": event.data,
        "session_id": event.session_id,
    }


def conflict_row(copy: Any, now: datetime) -> Row:
    """A record of `conflicting_chunks` for the history of its device."""
    return {
        "device_id": copy["device_id"],
        "category": HistoryCategory.IMAGE,
        "event_type": HistoryEvent.CHUNK_CONFLICTED,
        "severity": HistorySeverity.WARNING,
        "happened_at": now,
        "description": f"{copy['image_name']}: other bytes for chunk {copy['chunk_index']}; the first copy stays",
        "data": {"chunk_index": copy["chunk_index"]},
        "session_id": copy["session_id"],
    }


def ack_row(turn: Turn, reply: Reply, topic: str, payload: bytes) -> Row:
    """A reply in the audit; `payload` is its JSON as it goes out."""
    message, image = reply.message, reply.image
    return {
        "device_id": turn.view.device_id,
        "device_mac": turn.view.mac,
        "image_name": getattr(message, "image_name", None),
        "image_id": image.image_id if image is not None else None,
        "ack_type": reply.ack_type,
        "next_wake_time": message.next_wake if isinstance(message, Done | Sleep) else None,
        "missing_chunks": message.chunk_indexes if isinstance(message, MissingChunks | Retry) else None,
        "topic": topic,
        "payload": msgspec.Raw(payload),
    }
