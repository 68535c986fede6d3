"""Dialects: the field names and habits of the firmware generations, as one table (facts: wire 2, 3).

Nothing else in the project says `if version`: a dialect's row is data that codec, ingest and simulator read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from server.wire.topics import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One firmware generation. Waiting times are what the server grants a device of this generation."""

    name: str
    time_key: str
    chunk_size_key: str
    chunk_count_key: str
    sensors_nested: bool
    first_chunk_id: int
    payload_form: Literal["base64", "byte_list"]
    empty_ack_ok_means: Literal["go_on", "done"]
    sends_pending_list: bool
    backlog_by: Literal["send_image", "send_all_pending"]
    retry_by: Literal["send_image", "retry_topic"]
    family: Family
    sends_sha256: bool = False
    quiet_ms: int = 5_000
    session_silence_ms: int = 90_000


DIALECTS: Final[dict[str, Dialect]] = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            name="v3.5.0",
            time_key="timestamp",
            chunk_size_key="max_chunks_size",
            chunk_count_key="total_chunk_count",
            sensors_nested=True,
            first_chunk_id=0,
            payload_form="base64",
            empty_ack_ok_means="go_on",
            sends_pending_list=True,
            backlog_by="send_image",
            retry_by="send_image",
            family=Family.ESP32CAM,
        ),
        Dialect(
            name="oct-2025",
            time_key="capture_timeStamp",
            chunk_size_key="max_chunks_size",
            chunk_count_key="total_chunk_count",
            sensors_nested=False,
            first_chunk_id=0,
            payload_form="base64",
            empty_ack_ok_means="go_on",
            sends_pending_list=False,
            backlog_by="send_all_pending",
            retry_by="send_image",
            family=Family.ESP32CAM,
        ),
        Dialect(
            name="paper-v4",
            time_key="capture_timestamp",
            chunk_size_key="max_chunk_size",
            chunk_count_key="total_chunks_count",
            sensors_nested=False,
            first_chunk_id=1,
            payload_form="byte_list",
            empty_ack_ok_means="done",
            sends_pending_list=False,
            backlog_by="send_all_pending",
            retry_by="retry_topic",
            family=Family.DEVICE,
        ),
        Dialect(
            name="sha256",
            time_key="timestamp",
            chunk_size_key="max_chunks_size",
            chunk_count_key="total_chunk_count",
            sensors_nested=True,
            first_chunk_id=0,
            payload_form="base64",
            empty_ack_ok_means="go_on",
            sends_pending_list=True,
            backlog_by="send_image",
            retry_by="send_image",
            family=Family.ESP32CAM,
            sends_sha256=True,
        ),
    )
}

_PREFERRED: Final = {Family.ESP32CAM: "oct-2025", Family.DEVICE: "paper-v4"}

SENSOR_KEYS: Final = ("temperature", "humidity", "pressure", "gas_resistance")
TIME_KEYS: Final = tuple(dict.fromkeys(d.time_key for d in DIALECTS.values()))
CHUNK_SIZE_KEYS: Final = tuple(dict.fromkeys(d.chunk_size_key for d in DIALECTS.values()))
CHUNK_COUNT_KEYS: Final = tuple(dict.fromkeys(d.chunk_count_key for d in DIALECTS.values()))


def default_dialect(family: Family) -> Dialect:
    """What a device is taken for until its messages show more."""
    return DIALECTS[_PREFERRED[family]]


def dialect_named(name: str | None, family: Family) -> Dialect:
    """The dialect of a stored name; the family's default for an unknown one, and after an update to another family."""
    found = DIALECTS.get(name or "")
    return found if found is not None and found.family == family else default_dialect(family)


def dialect_of_metadata(fields: dict[str, Any], family: Family) -> Dialect:
    """The dialect whose keys a metadata message uses most; the family's default wins a tie."""
    if "image_sha256" in fields:
        return DIALECTS["sha256"]
    preferred = default_dialect(family)

    def likeness(dialect: Dialect) -> tuple[int, bool]:
        keys = (dialect.time_key, dialect.chunk_size_key, dialect.chunk_count_key)
        has_sensors = "sensor_data" in fields if dialect.sensors_nested else any(key in fields for key in SENSOR_KEYS)
        return sum(key in fields for key in keys) + has_sensors, dialect is preferred

    return max((d for d in DIALECTS.values() if not d.sends_sha256), key=likeness)
