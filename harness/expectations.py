"""Does an expectation hold? One function for each subject; none of them changes anything.

A `Finding` says whether it holds and what was found, in the words of the failure that it may become.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from harness.bench import Bench
from harness.differences import json_differences, row_differences, row_words, shown_value
from harness.history import Record
from harness.ledger import LedgerEntry, Outcome, totals
from harness.matching import RowsMismatch, cell_matches, json_contains, json_equals, rows_mismatch
from harness.message_words import message_words
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
from harness.sequence import stamp

WANTED_LENGTH_CHARS_MAX = 400
ROWS_NAMED_MAX = 10
_CHANNELS = {"status": "status", "data": "data", "cmd": "cmd", "ack": "ack", "retry": "commands/retry"}

DEVICES_NAMED_MAX: Final = 3
_FINE: Final = (Outcome.STORED, Outcome.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Whether it holds, and what was expected and found."""

    holds: bool
    expected: str
    found: str
    rows: tuple[dict[str, Any], ...] = ()
    hint: str = ""
    columns: tuple[str, ...] = ()
    """Those that the expectation names."""
    t_ms: int | None = None
    """When it was found, where that is not now."""
    device: str = ""
    """The one that it is about, where not the step says so."""

    def at(self, t_ms: int) -> Finding:
        """The same, found at that scenario time."""
        return replace(self, t_ms=t_ms)


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
            return _rows(world, subject, await world.observer.rows(subject))
        case SqlSubject():
            return _sql(subject, await world.observer.select(subject.sql))
        case MessageSubject():
            return _messages(world, subject, since)
        case LogSubject():
            return _logs(world, subject, since)
        case LedgerSubject():
            return _ledger(world, subject, await world.ledger())
        case QueueSubject():
            return _per_device(world, subject.devices, "pending image", subject.pending, lambda dut: len(dut.pending))
        case PhotosSubject():
            return _per_device(world, subject.devices, "photo", subject.count, lambda dut: dut.photos)
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


def _rows(world: World, subject: RowsSubject, rows: list[Row]) -> Finding:
    where = ", ".join(f"{key}={value}" for key, value in _named(world, subject.where).items())
    place = f"{subject.table}{f' where {where}' if where else ''}"
    named = [name for row in subject.are or () for name in row]
    columns = tuple(dict.fromkeys([*named, *(name for name in subject.where if name != "device_id")]))
    told = partial(Finding, rows=tuple(shown(row) for row in rows[:20]), columns=columns)
    if len(rows) > ROWS_MAX:
        return told(holds=False, expected=place, found=f"more than {ROWS_MAX} rows")
    if subject.are is None or (subject.count is not None and len(rows) not in subject.count):
        holds = subject.count is None or len(rows) in subject.count
        return told(holds=holds, expected=f"{_many(subject.count, 'row')} of {place}", found=_many(len(rows), "row"))
    mismatch = rows_mismatch(subject.are, rows, ordered=bool(subject.order_by))
    expected = "\n".join([f"{place}:", *(f"  {row_words(_named(world, row))}" for row in subject.are)])
    if mismatch is None:
        return told(holds=True, expected=expected, found="these rows")
    unknown = f"no column {', '.join(mismatch.unknown_columns)}" if mismatch.unknown_columns else ""
    return told(holds=False, expected=expected, found=_rows_found(world, subject.are, rows, mismatch), hint=unknown)


def _rows_found(world: World, are: Sequence[Mapping[str, Any]], rows: Sequence[Row], mismatch: RowsMismatch) -> str:
    """Where one row stands for one expected row: what differs. Else: the rows, those that look alike once."""
    if not rows:
        return "no rows"
    if len(mismatch.missing) == len(mismatch.extra) == 1:
        wanted, found = are[mismatch.missing[0]], rows[mismatch.extra[0]]
        return "; ".join(row_differences(wanted, found)) or "the rows stand in another order"
    columns = {name: None for row in are for name in row}
    alike = Counter(row_words(_named(world, {name: row.get(name) for name in columns})) for row in rows)
    lines = [line if count == 1 else f"{line} ({count} times)" for line, count in alike.items()]
    if len(lines) > ROWS_NAMED_MAX:
        lines[ROWS_NAMED_MAX:] = [f"and {len(lines) - ROWS_NAMED_MAX} others"]
    return "\n".join([f"{_many(len(rows), 'row')}:", *(f"  {line}" for line in lines)])


def _named(world: World, where: Mapping[str, Any]) -> dict[str, Any]:
    """Devices by the names that the scenario gives them."""
    names = {device.device_id: device.name for device in world.bench.plan.devices}
    found: dict[str, Any] = {}
    for key, value in where.items():
        if key == "device_id":
            ids = value if isinstance(value, list | tuple) else [value]
            shown = [names.get(str(one), one) for one in ids]
            found["device"] = shown if isinstance(value, list | tuple) else shown[0]
        else:
            found[key] = value
    return found


def _many(count: Any, what: str) -> str:
    """`1 row`, `2 rows`, `at least 1 row`."""
    text = str(count)
    return f"{text} {what}" if text == "1" or text.endswith(" 1") else f"{text} {what}s"


def _sql(subject: SqlSubject, rows: list[Row]) -> Finding:
    shown_rows = tuple(shown(row) for row in rows[:20])
    if subject.rows is not None:
        return Finding(
            holds=len(rows) == subject.rows,
            expected=f"{_many(subject.rows, 'row')} from {subject.sql}",
            found=_many(len(rows), "row"),
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
    names = sorted(world.device_names(subject.to) or world.device_names(subject.sender) or {"anybody"})
    way = "to" if subject.to is not None else "from" if subject.sender is not None else "of"
    each = "each of " if subject.each else ""
    place = f"{way} {each}{', '.join(names)}{'' if subject.topic is None else f' on {subject.topic}'}"
    others = [record for record in records if record.kind == "message" and _is_of_device(world, subject, record)]
    numbers = {name: sum(record.who == name for record in found) for name in names} if subject.each else {}
    wrong = [f"{name} {number}" for name, number in numbers.items() if number not in subject.count]
    holds = not wrong if subject.each else len(found) in subject.count
    nearest = "" if holds or found else _nearest(world, subject, others)
    return Finding(
        holds=holds,
        expected=f"{_many(subject.count, 'message')} {place}{_wanted(subject)}",
        found=(f"{', '.join(wrong)}: " if wrong else "")
        + f"{len(found)} such among {_many(len(others), 'message')}{nearest}",
        rows=tuple(_shown_message(record) for record in (found or others)[-8:]),
        columns=("at", "topic", "message"),
    )


def _wanted(subject: MessageSubject) -> str:
    """What the message must say."""
    parts = [] if subject.contains is None else [f"containing {shown_value(subject.contains, WANTED_LENGTH_CHARS_MAX)}"]
    parts += [f"that is {shown_value(subject.equals, WANTED_LENGTH_CHARS_MAX)}"] if subject.has_equals else []
    parts += [] if subject.text is None else [f"with the text {subject.text!r}"]
    parts += [f"without {', '.join(subject.lacks)}"] if subject.lacks else []
    return " " + ", ".join(parts) if parts else ""


def _nearest(world: World, subject: MessageSubject, others: Sequence[Record]) -> str:
    """The message that comes closest, and what is different in it."""
    wanted = _numbered(world, subject.equals if subject.has_equals else subject.contains)
    exact = subject.has_equals
    channel = _CHANNELS.get(subject.topic or "", subject.topic)
    near = [r for r in others if channel is None or channel in (str(r.fields["topic"]), _channel(r))]
    if wanted is None or not near:
        return "" if wanted is None or not others else "; none on that topic"
    told = [(json_differences(wanted, record.fields.get("payload"), exact=exact), record) for record in near]
    parts, record = min(told, key=lambda item: (len(item[0]), sum("is not there" in part for part in item[0])))
    return f"\nnearest, at {stamp(record.t_ms)}: {'; '.join(parts[:4])}"


def _channel(record: Record) -> str:
    return str(record.fields["topic"]).split("/", 2)[-1]


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
        if topic != subject.topic if channel is None else _channel(record) != channel:
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
    return {"at": stamp(record.t_ms), "topic": _channel(record), "message": message_words(record.fields)}


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
        expected=f"{_many(subject.count, 'log line')} with {subject.contains!r}",
        found=f"{len(found)} such among {_many(len(lines), 'line')}",
        rows=tuple({"at": stamp(r.t_ms), "who": r.who, "text": r.fields["text"]} for r in (found or lines)[-8:]),
        columns=("at", "who", "text"),
    )


def _ledger(world: World, subject: LedgerSubject, entries: Sequence[LedgerEntry]) -> Finding:
    names = world.device_names(subject.devices)
    meant = [entry for entry in entries if names is None or entry.device in names]
    sums = totals(meant)
    wrong = {
        column: getattr(sums, column)
        for column, wanted in subject.columns.items()
        if getattr(sums, column) not in wanted
    }
    return Finding(
        holds=not wrong,
        expected="ledger " + ", ".join(f"{column} {wanted}" for column, wanted in subject.columns.items()),
        found=", ".join(f"{column} {number}" for column, number in wrong.items()) or "so",
        hint=_ledger_hint(meant) if wrong else "",
        device=next((entry.device for entry in meant if entry.outcome not in _FINE), ""),
    )


def _ledger_hint(entries: Sequence[LedgerEntry]) -> str:
    """What became of the photos that a bare number hides."""
    ends = {
        "refused": "refused: no sound JPEG when the camera took it, and rightly not stored",
        "pending": "pending: still on the card",
        "lost_by_device": "lost by the device: gone with its card",
        "unexpected": "unexpected: in the database, and no capture explains it",
    }
    found = {name: [entry.device for entry in entries if entry.outcome.value == name] for name in ends}
    return "; ".join(
        f"{len(devices)} {ends[name]} ({', '.join(list(dict.fromkeys(devices))[:DEVICES_NAMED_MAX])})"
        for name, devices in found.items()
        if devices
    )


def _per_device(world: World, devices: Sequence[int], what: str, wanted: Any, number_of: Any) -> Finding:
    numbers = {world.bench.duts[number].planned.name: number_of(world.bench.duts[number]) for number in devices}
    wrong = {name: number for name, number in numbers.items() if number not in wanted}
    found = ", ".join(f"{name} has {number}" for name, number in (wrong or numbers).items())
    about = next(iter(wrong), "")
    return Finding(holds=not wrong, expected=f"{_many(wanted, what)} on each device", found=found, device=about)


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
        expected=f"{exchange.method} {exchange.path}: {exchange.status or 'success'}"
        + ("" if exchange.contains is None else f" containing {json.dumps(exchange.contains)}")
        + ("" if exchange.text is None else f" with the text {exchange.text!r}"),
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
