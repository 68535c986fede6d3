"""Effects to SQL: how a turn's decisions are written, in the transaction that read its view (design 9.2).

Events are written in the order in which they were asked for; records that changed several times in a batch (device,
image, session) are written once, at the end, in the order of keys that everybody keeps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from server.effects import (
    AlertFailing,
    CaptureCommandsEnded,
    CommandDelivered,
    CommandEnded,
    CommandsFulfilled,
    CompareChunk,
    CreateImage,
    DropStaged,
    Effect,
    LinkImage,
    LogDuplicate,
    LogHistory,
    OpenSession,
    PayloadsComplete,
    RecordTelemetry,
    RegisterDevice,
    Reply,
    SaveDevice,
    SaveImage,
    SaveSession,
    SetChunksAside,
    SetSchedule,
    StageChunk,
    StoreChunk,
)
from server.queries import load
from server.records import Row, ack_row, conflict_row, device_row, history_row, image_row, session_row
from server.session import Turn
from server.store import BatchOutdated, Connection
from server.view import DeviceView, ImageView, SessionView
from server.wire.codec import encode_reply
from server.wire.topics import topic_of

WRITE = load("write.sql")

COPIES_ASIDE_MAX: Final = 3
"""Whole but damaged copies of one image that are kept; as many as the server asks for by itself."""

Statement = tuple[str, Sequence[object]]
"""A statement's name and its arguments."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A reply ready to be sent after COMMIT; `ack_id` is its row in device_ack_log, `commands` are those it carries."""

    topic: str
    payload: bytes
    ack_id: int | None
    mac: str
    ack_type: str = ""
    commands: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class _Answer:
    """A reply and its row in device_ack_log, not yet written."""

    outgoing: Outgoing
    row: Row


@dataclass(slots=True)
class _Late:
    """What is written once at the end."""

    devices: dict[UUID, DeviceView] = field(default_factory=dict)
    images: dict[UUID, ImageView] = field(default_factory=dict)
    sessions: dict[UUID, tuple[SessionView, DeviceView]] = field(default_factory=dict)
    stored: list[StoreChunk] = field(default_factory=list)
    compared: list[CompareChunk] = field(default_factory=list)
    history: list[Row] = field(default_factory=list)


async def write(connection: Connection, turns: Sequence[Turn]) -> list[Outgoing]:
    """Write every effect of the turns; returns the replies in the order in which they were decided."""
    late = _Late()
    await _write_in_order(connection, [_rows_first(turn) for turn in turns])
    await _write_in_order(connection, [_staged(turn) for turn in turns])
    for turn in turns:
        for effect in turn.effects:
            _collect(late, turn, effect)
    await _write_late(connection, late, turns)
    await _write_in_order(connection, [_events(turn) for turn in turns])
    return await _write_journal(connection, late.history, [answer for turn in turns for answer in _answers(turn)])


async def _write_in_order(connection: Connection, asked: Sequence[Sequence[Statement]]) -> None:
    """The statements of each turn in their order; what stands first in several turns goes out together, so that a
    batch of many devices waits for few answers."""
    waiting = [deque(statements) for statements in asked if statements]
    while waiting:
        heads: dict[str, list[Sequence[object]]] = {}
        for statements in waiting:
            name, arguments = statements.popleft()
            heads.setdefault(name, []).append(arguments)
        for name, rows in heads.items():
            await _execute(connection, name, rows)
        waiting = [statements for statements in waiting if statements]


async def _execute(connection: Connection, name: str, rows: Sequence[Sequence[object]]) -> None:
    if name == "register_device":
        for row in rows:
            if await connection.execute(WRITE[name], *row) == "INSERT 0 0":
                raise BatchOutdated(f"{row[1]} has a row by now")
    elif len(rows) == 1:
        await connection.execute(WRITE[name], *rows[0])
    else:
        await connection.executemany(WRITE[name], rows)


def _rows_first(turn: Turn) -> list[Statement]:
    """Rows that others point at: device, session and payload, image."""
    view = turn.view
    opens = any(isinstance(effect, OpenSession) for effect in turn.effects)
    asked: list[Statement] = []
    for effect in turn.effects:
        match effect:
            case RegisterDevice(device_id=device_id):
                asked.append(("register_device", (device_id, view.mac, view.dialect.name, view.family, turn.now)))
            case OpenSession(session=session):
                asked.append(("open_session", _opened(turn, session)))
            case SaveSession(session=session) if opens and not session.is_open:
                # one open session a device: the old one is closed before the next row comes
                asked.append(("save", _saved(turn.now, sessions=[session_row(session, view)])))
            case CreateImage(image=image):
                asked.append(("create_image", _created(turn, image)))
            case LinkImage(image=image):  # the session's wake payload carries this image now
                telemetry = image.metadata | {
                    "image_size": image.image_size_bytes,
                    "total_chunks": image.total_chunks,
                }
                named = (view.device_id, image.captured_at, image.image_name, telemetry, image.image_id)
                asked.append(("link_image", named))
            case SetChunksAside(image_id=image_id, attempt=attempt, reason=reason):
                asked.append(("set_chunks_aside", (image_id, attempt, reason, COPIES_ASIDE_MAX)))
            case _:
                pass
    return asked


def _opened(turn: Turn, session: SessionView) -> Sequence[object]:
    view = turn.view
    return (
        session.session_id,
        view.device_id,
        view.mac,
        session.wake_at,
        session.next_wake_at,
        view.family,
        session.payload_id,
        session.wake_type,
    )


def _created(turn: Turn, image: ImageView) -> Sequence[object]:
    return (
        image.image_id,
        turn.view.device_id,
        image.image_name,
        image.wire_image_name,
        image.captured_at,
        image.captured_at_source,
        turn.now,
        image.image_size_bytes,
        image.chunk_size_bytes,
        image.total_chunks,
        image.session_id,
        image.dialect,
        image.metadata,
        image.error_code,
    )


def _staged(turn: Turn) -> list[Statement]:
    staged = [effect for effect in turn.effects if isinstance(effect, StageChunk)]
    if not staged:
        return []
    names = [chunk.wire_image_name for chunk in staged]
    indexes, pieces = [chunk.index for chunk in staged], [chunk.data for chunk in staged]
    return [("stage_chunks", (turn.view.device_id, names, indexes, pieces, turn.now))]


def _collect(late: _Late, turn: Turn, effect: Effect) -> None:
    match effect:
        case SaveDevice(device=device) if device.device_id is not None:
            late.devices[device.device_id] = device
        case SaveImage(image=image) | CreateImage(image=image):
            late.images[image.image_id] = image
        case SaveSession(session=session):
            late.sessions[session.session_id] = (session, turn.view)
        case StoreChunk():
            late.stored.append(effect)
        case CompareChunk():
            late.compared.append(effect)
        case LogHistory():
            late.history.append(history_row(turn, effect))
        case _:
            pass


async def _write_late(connection: Connection, late: _Late, turns: Sequence[Turn]) -> None:
    now = turns[0].now
    if late.devices or late.images or late.stored or late.sessions:
        row = _saved(
            now,
            devices=[device_row(late.devices[device_id]) for device_id in sorted(late.devices)],
            images=[image_row(late.images[image_id]) for image_id in sorted(late.images)],
            stored=late.stored,
            sessions=[session_row(*late.sessions[session_id]) for session_id in sorted(late.sessions)],
        )
        await _execute(connection, "save", [row])
    if late.compared:
        rows = await connection.fetch(WRITE["conflicting_chunks"], *_columns(late.compared))
        late.history += [conflict_row(row, now) for row in rows]


def _saved(
    now: datetime,
    *,
    devices: Sequence[Row] = (),
    images: Sequence[Row] = (),
    stored: Sequence[StoreChunk] = (),
    sessions: Sequence[Row] = (),
) -> Sequence[object]:
    return (devices, images, *_columns(stored), sessions, now)


def _columns(chunks: Sequence[StoreChunk | CompareChunk]) -> tuple[list[UUID], list[int], list[bytes]]:
    return (
        [chunk.image_id for chunk in chunks],
        [chunk.index for chunk in chunks],
        [chunk.data for chunk in chunks],
    )


def _events(turn: Turn) -> list[Statement]:
    """What is written one by one, after the records."""
    return [statement for effect in turn.effects if (statement := _event(turn, effect)) is not None]


def _event(turn: Turn, effect: Effect) -> Statement | None:
    device_id = turn.view.device_id
    match effect:
        case DropStaged(wire_image_name=name):
            return "drop_staged", (device_id, name)
        case LogDuplicate(image=image, session=session, kind=kind):
            data = {"kind": kind, "total_chunks": image.total_chunks}
            named = (image.image_id, image.image_name, image.captured_at)
            return "log_duplicate", (device_id, *named, data, session.session_id)
        case RecordTelemetry():
            return "record_telemetry", _recorded(turn, effect)
        case CommandDelivered(command=command):
            return "command_sent", (command.command_id, command.image_id)
        case CommandEnded(command=command, status=status, reason=reason):
            return "command_ended", (command.command_id, status, reason, turn.now)
        case SetSchedule(cron=cron):
            return "set_schedule", (device_id, cron)
        case AlertFailing(image_id=image_id):
            return "alert_failing", (image_id,)
        case CaptureCommandsEnded(session=session):
            return "capture_commands_ended", (device_id, session.wake_at, session.captured, turn.now)
        case CommandsFulfilled(image_id=image_id):
            return "commands_fulfilled", (image_id, turn.now)
        case PayloadsComplete(image_id=image_id):
            current = turn.view.session
            own = current.payload_id if current is not None and current.is_open else None
            return "payloads_complete", (image_id, own)
        case _:
            return None


def _recorded(turn: Turn, effect: RecordTelemetry) -> Sequence[object]:
    telemetry = effect.telemetry
    return (
        effect.payload_id,
        turn.view.device_id,
        telemetry.captured_at or turn.now,
        turn.now,
        telemetry.sensors.temperature,
        telemetry.sensors.humidity,
        telemetry.sensors.pressure,
        telemetry.sensors.gas_resistance,
        telemetry.battery_voltage_v,
        telemetry.wifi_rssi_dbm,
        effect.data,
    )


def _answers(turn: Turn) -> list[_Answer]:
    """The replies, each with the commands that it carries."""
    answers: list[_Answer] = []
    carried: list[UUID] = []
    for effect in turn.effects:
        if isinstance(effect, CommandDelivered):
            carried.append(effect.command.command_id)
        elif isinstance(effect, Reply):
            answers.append(_answer(turn, effect, tuple(carried)))
            carried.clear()
    return answers


def _answer(turn: Turn, reply: Reply, commands: tuple[UUID, ...]) -> _Answer:
    """The reply's bytes, and its row in device_ack_log (written as sent; `ack_not_sent` takes that back)."""
    view = turn.view
    channel, payload = encode_reply(reply.message, view.mac, view.dialect)
    topic = topic_of(view.family, view.mac, channel)
    row = ack_row(turn, reply, topic, payload)
    return _Answer(Outgoing(topic, payload, None, view.mac, reply.ack_type, commands), row)


async def _write_journal(connection: Connection, history: Sequence[Row], answers: Sequence[_Answer]) -> list[Outgoing]:
    """What happened and what is answered, in the order of both; the answers know their rows then."""
    if not history and not answers:
        return []
    rows = await connection.fetch(WRITE["journal"], history, [answer.row for answer in answers])
    return [replace(answer.outgoing, ack_id=row["ack_id"]) for answer, row in zip(answers, rows, strict=True)]
