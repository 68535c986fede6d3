"""Expectations of a plan. Pure."""

from __future__ import annotations

import json
from typing import Any, Literal

from harness.plan_devices import Fleet
from harness.plan_steps import (
    Expect,
    HttpExchange,
    LedgerSubject,
    LogSubject,
    MessageSubject,
    PhotosSubject,
    Place,
    QueueSubject,
    Range,
    RowsSubject,
    SleepingSubject,
    SqlSubject,
    Subject,
)
from harness.scenario_expect import Expectation, HttpRequest, MessageExpectation, RowsExpectation
from harness.scenario_types import CountRange


def planned_expectation(expect: Expectation, fleet: Fleet, place: Place, note: str | None) -> Expect:
    """One expectation with its devices and windows resolved."""
    mode, window_ms = _mode(expect)
    return Expect(
        place=place,
        note=note,
        mode=mode,
        window_ms=window_ms,
        since_start=expect.since == "start" or (mode in ("always", "never") and window_ms is None),
        subject=_subject(expect, fleet),
    )


def planned_range(count: CountRange | None) -> Range | None:
    """A count, or None."""
    return None if count is None else Range(least=count.min, most=count.max)


def planned_http(request: HttpRequest, fleet: Fleet) -> HttpExchange:
    """A request with its body as JSON text."""
    has_body = "json_body" in request.model_fields_set
    body = (
        json.dumps(fleet.filled(request.json_body), sort_keys=True, ensure_ascii=False).encode() if has_body else None
    )
    return HttpExchange(
        method=request.method,
        path=fleet.filled(request.path),
        headers=fleet.filled(dict(request.headers)),
        body=body,
        which=request.which,
        status=request.status,
        contains=fleet.filled(request.contains),
        text=fleet.filled(request.text),
        keep=dict(request.keep),
    )


def _mode(expect: Expectation) -> tuple[Literal["now", "eventually", "always", "never"], int | None]:
    if expect.eventually_ms is not None:
        return "eventually", expect.eventually_ms
    if expect.always is not None:
        return "always", None if expect.always == "scenario" else expect.always
    if expect.never is not None:
        return "never", None if expect.never == "scenario" else expect.never
    return "now", None


def _subject(expect: Expectation, fleet: Fleet) -> Subject:
    if expect.sql is not None:
        return SqlSubject(
            sql=fleet.filled(expect.sql),
            rows=expect.rows if isinstance(expect.rows, int) else None,
            equals=fleet.filled(expect.equals),
        )
    if isinstance(expect.rows, RowsExpectation):
        return _rows(expect.rows, fleet)
    if expect.message is not None:
        return _message(expect.message, fleet)
    if expect.http is not None:
        return planned_http(expect.http, fleet)
    return _of_devices(expect, fleet)


def _of_devices(expect: Expectation, fleet: Fleet) -> Subject:
    if expect.log is not None:
        return LogSubject(
            contains=fleet.filled(expect.log.contains),
            devices=fleet.numbers_or_none(expect.log.device),
            count=planned_range(expect.log.count) or Range(least=1, most=None),
        )
    if expect.queue is not None:
        return QueueSubject(devices=fleet.numbers(expect.queue.who), pending=_range(expect.queue.pending))
    if expect.photos is not None:
        return PhotosSubject(devices=fleet.numbers(expect.photos.who), count=_range(expect.photos.count))
    if expect.sleeping is not None:
        return SleepingSubject(devices=fleet.numbers(expect.sleeping))
    ledger = expect.ledger
    assert ledger is not None, "the model allows no expectation without a subject"
    names = ("captured", "stored", "lost", "lost_by_device", "doubled", "damaged", "recovered")
    columns = {name: _range(count) for name in names if (count := getattr(ledger, name)) is not None}
    return LedgerSubject(devices=fleet.numbers_or_all(ledger.who), columns=columns)


def _rows(rows: RowsExpectation, fleet: Fleet) -> RowsSubject:
    return RowsSubject(
        table=rows.table,
        where=fleet.row(rows.where),
        are=None if rows.are is None else tuple(fleet.row(row) for row in rows.are),
        count=planned_range(rows.count),
        order_by=tuple(rows.order_by or ()),
    )


def _message(message: MessageExpectation, fleet: Fleet) -> MessageSubject:
    return MessageSubject(
        to=fleet.numbers_or_none(message.to),
        sender=fleet.numbers_or_none(message.from_who),
        topic=fleet.filled(message.topic),
        contains=fleet.filled(message.contains),
        lacks=tuple(message.lacks or ()),
        has_equals="equals" in message.model_fields_set,
        equals=fleet.filled(message.equals),
        text=fleet.filled(message.text),
        count=planned_range(message.count) or Range(least=1, most=None),
        each=message.each,
    )


def _range(count: CountRange) -> Range:
    return Range(least=count.min, most=count.max)


def is_watch(step: Any) -> bool:
    """Whether a step watches the whole scenario, wherever it stands."""
    return isinstance(step, Expect) and step.mode in ("always", "never") and step.window_ms is None
