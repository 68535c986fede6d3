"""Does an expectation hold? One function for each subject; none of them changes anything.

A `Finding` says whether it holds and what was found, in the words of the failure that it may become.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.bench import Bench
from harness.history import Record
from harness.ledger import LedgerEntry, totals
from harness.matching import cell_matches, json_contains, json_equals, rows_mismatch
from harness.observe import ROWS_MAX, Observer, Row, shown
from harness.plan_steps import (
    HttpExchange,
    LedgerSubject,
    LogSubject,
    MessageSubject,
    PhotosSubject,
    QueueSubject,
    RowsSubject,
    SleepingSubject,
    SqlSubject,
    Subject,
)

_CHANNELS = {"status": "status", "data": "data", "cmd": "cmd", "ack": "ack", "retry": "commands/retry"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Whether it holds, and what was expected and found."""

    holds: bool
    expected: str
    found: str
    rows: tuple[dict[str, Any], ...] = ()
    hint: str = ""


@dataclass(slots=True)
class World:
    """Where expectations look: a bench, its observer, and the ledger on demand."""

    bench: Bench
    observer: Observer
    ledger: Any = field(default=None)

    def device_names(self, numbers: Sequence[int] | None) -> set[str] | None:
        """Names of planned devices; None for everybody."""
        return None if numbers is None else {self.bench.plan.devices[number].name for number in numbers}


async def evaluate(world: World, subject: Subject, since: int) -> Finding:
    """Whether the subject holds now; messages and log lines count from the history's record `since` on."""
    match subject:
        case RowsSubject():
            return _rows(subject, await world.observer.rows(subject))
        case SqlSubject():
            return _sql(subject, await world.observer.select(subject.sql))
        case MessageSubject():
            return _messages(world, subject, since)
        case LogSubject():
            return _logs(world, subject, since)
        case LedgerSubject():
            return _ledger(world, subject, await world.ledger())
        case QueueSubject():
            return _per_device(world, subject.devices, "pending images", subject.pending, lambda dut: len(dut.pending))
        case PhotosSubject():
            return _per_device(world, subject.devices, "photos", subject.count, lambda dut: dut.photos)
        case SleepingSubject():
            awake = [
                world.bench.duts[number].planned.name
                for number in subject.devices
                if not world.bench.duts[number].is_asleep
            ]
            return Finding(holds=not awake, expected="asleep", found=f"awake: {', '.join(awake) or 'nobody'}")
        case HttpExchange():
            return await http_finding(world.bench, subject)


def is_from_database(subject: Subject) -> bool:
    """Whether looking needs the database, and so a moment between two transactions."""
    return isinstance(subject, RowsSubject | SqlSubject | LedgerSubject)


def _rows(subject: RowsSubject, rows: list[Row]) -> Finding:
    where = ", ".join(f"{key}={value}" for key, value in subject.where.items())
    place = f"{subject.table}{f' where {where}' if where else ''}"
    shown_rows = tuple(shown(row) for row in rows[:20])
    if len(rows) > ROWS_MAX:
        return Finding(holds=False, expected=place, found=f"more than {ROWS_MAX} rows", rows=shown_rows)
    if subject.count is not None and len(rows) not in subject.count:
        return Finding(
            holds=False, expected=f"{subject.count} rows of {place}", found=f"{len(rows)} rows", rows=shown_rows
        )
    if subject.are is None:
        return Finding(
            holds=True, expected=f"{subject.count} rows of {place}", found=f"{len(rows)} rows", rows=shown_rows
        )
    mismatch = rows_mismatch(subject.are, rows, ordered=bool(subject.order_by))
    expected = f"{place}: {json.dumps(list(subject.are), default=str)}"
    if mismatch is None:
        return Finding(holds=True, expected=expected, found="these rows", rows=shown_rows)
    unknown = f"no column {', '.join(mismatch.unknown_columns)}" if mismatch.unknown_columns else ""
    columns = {name for row in subject.are for name in row} | {"image_name", "status"}
    found = [{key: value for key, value in row.items() if key in columns} for row in shown_rows]
    return Finding(
        holds=False,
        expected=expected,
        found=json.dumps(found, default=str) if found else "no rows",
        rows=shown_rows,
        hint=unknown,
    )


def _sql(subject: SqlSubject, rows: list[Row]) -> Finding:
    shown_rows = tuple(shown(row) for row in rows[:20])
    if subject.rows is not None:
        return Finding(
            holds=len(rows) == subject.rows,
            expected=f"{subject.rows} rows from {subject.sql}",
            found=f"{len(rows)} rows",
            rows=shown_rows,
        )
    values = [list(row.values()) for row in rows]
    found: Any = values
    if not isinstance(subject.equals, list):
        found = values[0][0] if len(values) == 1 and len(values[0]) == 1 else values
    elif not any(isinstance(item, list) for item in subject.equals):
        found = [row[0] if len(row) == 1 else row for row in values]
    holds = cell_matches(subject.equals, found)
    return Finding(
        holds=holds,
        expected=f"{json.dumps(subject.equals, default=str)} from {subject.sql}",
        found=json.dumps(found, default=str),
        rows=shown_rows,
    )


def _messages(world: World, subject: MessageSubject, since: int) -> Finding:
    records = world.bench.history.records[0 if since < 0 else since :]
    found = [record for record in records if record.kind == "message" and _is_message(world, subject, record)]
    wanted = {"contains": subject.contains, "equals": subject.equals if subject.has_equals else None}
    described = json.dumps({key: value for key, value in wanted.items() if value is not None}, default=str)
    names = sorted(world.device_names(subject.to) or world.device_names(subject.sender) or {"anybody"})
    way = "to" if subject.to is not None else "from" if subject.sender is not None else "of"
    others = [record for record in records if record.kind == "message" and _is_of_device(world, subject, record)]
    return Finding(
        holds=len(found) in subject.count,
        expected=f"{subject.count} messages {way} {', '.join(names)} on {subject.topic or 'any topic'} {described}",
        found=f"{len(found)} of them among {len(others)} messages",
        rows=tuple(_shown_message(record) for record in (found or others)[-8:]),
    )


def _is_of_device(world: World, subject: MessageSubject, record: Record) -> bool:
    receivers, senders = world.device_names(subject.to), world.device_names(subject.sender)
    if receivers is not None and (record.fields["direction"] != "down" or record.who not in receivers):
        return False
    return senders is None or (record.fields["direction"] == "up" and record.who in senders)


def _is_message(world: World, subject: MessageSubject, record: Record) -> bool:
    if not _is_of_device(world, subject, record):
        return False
    topic, payload = str(record.fields["topic"]), record.fields.get("payload")
    if subject.topic is not None:
        channel = _CHANNELS.get(subject.topic)
        if topic != subject.topic if channel is None else topic.split("/", 2)[-1] != channel:
            return False
    if subject.contains is not None and not json_contains(_numbered(world, subject.contains), payload):
        return False
    if subject.has_equals and not json_equals(_numbered(world, subject.equals), payload):
        return False
    if subject.text is not None and not any(subject.text in text for text in _texts(record)):
        return False
    return not any(isinstance(payload, Mapping) and key in payload for key in subject.lacks)


def _texts(record: Record) -> tuple[str, ...]:
    """The payload as text; JSON with and without spaces, since nobody remembers which sender writes which."""
    if "text" in record.fields:
        return (str(record.fields["text"]),)
    payload = record.fields.get("payload")
    compact = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return compact, json.dumps(payload, ensure_ascii=False)


def _numbered(world: World, value: Any) -> Any:
    """Ids in a history have natural names; expected ones get them too."""
    return world.bench.history.numbering.applied(value)


def _shown_message(record: Record) -> dict[str, Any]:
    return {"t_ms": record.t_ms, "topic": record.fields["topic"], "payload": json.dumps(record.fields.get("payload"))}


def _logs(world: World, subject: LogSubject, since: int) -> Finding:
    names = world.device_names(subject.devices)
    lines = [
        record
        for record in world.bench.history.records[0 if since < 0 else since :]
        if record.kind == "log" and (names is None or record.who in names)
    ]
    found = [record for record in lines if subject.contains in str(record.fields["text"])]
    return Finding(
        holds=len(found) in subject.count,
        expected=f"{subject.count} log lines with {subject.contains!r}",
        found=f"{len(found)} of them among {len(lines)} lines",
        rows=tuple({"t_ms": r.t_ms, "who": r.who, "text": r.fields["text"]} for r in (found or lines)[-8:]),
    )


def _ledger(world: World, subject: LedgerSubject, entries: Sequence[LedgerEntry]) -> Finding:
    names = world.device_names(subject.devices)
    sums = totals(entry for entry in entries if names is None or entry.device in names)
    wrong = {
        column: getattr(sums, column)
        for column, wanted in subject.columns.items()
        if getattr(sums, column) not in wanted
    }
    return Finding(
        holds=not wrong,
        expected="ledger " + ", ".join(f"{column} {wanted}" for column, wanted in subject.columns.items()),
        found=", ".join(f"{column} {number}" for column, number in wrong.items()) or "so",
    )


def _per_device(world: World, devices: Sequence[int], what: str, wanted: Any, number_of: Any) -> Finding:
    numbers = {world.bench.duts[number].planned.name: number_of(world.bench.duts[number]) for number in devices}
    wrong = {name: number for name, number in numbers.items() if number not in wanted}
    return Finding(holds=not wrong, expected=f"{wanted} {what}", found=str(wrong or numbers))


async def http_finding(bench: Bench, exchange: HttpExchange) -> Finding:
    """Make the exchange and compare the answer; what is to be kept of it is put into `bench.kept`."""
    answer = await bench.http(_filled(exchange, bench.kept))
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = None
    is_status = answer.status < 400 if exchange.status is None else answer.status == exchange.status
    is_body = exchange.contains is None or json_contains(exchange.contains, body)
    is_text = exchange.text is None or exchange.text.encode() in answer.body
    for name, place in exchange.keep.items():
        value = _at(body, place)
        if value is None:
            return Finding(
                holds=False, expected=f"{place} in the answer", found=answer.body[:400].decode("utf-8", "replace")
            )
        bench.kept[name] = str(value)
    return Finding(
        holds=is_status and is_body and is_text,
        expected=f"{exchange.method} {exchange.path}: {exchange.status or 'success'} {json.dumps(exchange.contains)}",
        found=f"{answer.status} {answer.body[:400].decode('utf-8', 'replace')}",
    )


def _filled(exchange: HttpExchange, kept: Mapping[str, str]) -> HttpExchange:
    """With what earlier answers gave; a name that nothing was kept under stays as it is written."""
    path, body = exchange.path, exchange.body
    for name, value in kept.items():
        path = path.replace(f"${{kept.{name}}}", value)
        body = None if body is None else body.replace(f"${{kept.{name}}}".encode(), value.encode())
    return replace(exchange, path=path, body=body)


def _at(body: Any, place: str) -> Any:
    """The value at `0.id` of a JSON value, None where there is none."""
    for word in place.split("."):
        if isinstance(body, list) and word.isdecimal() and int(word) < len(body):
            body = body[int(word)]
        elif isinstance(body, dict):
            body = body.get(word)
        else:
            return None
    return body
