"""Rows that change while somebody looks: server-sent events, one for each row of the page that is no longer so.

Real time and real connections: the embedded bench does not come here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from server.accounts import Visitor
from server.devices import Device
from server.store import DATABASE_ERRORS
from server.web.doors import SESSION_COOKIE, visitor_of
from server.web.problems import Problem
from server.web.rendering import render
from server.wire.states import SignInKind

if TYPE_CHECKING:
    from server.app import App

LOOK_EVERY: Final = timedelta(seconds=2)
STREAMS_MAX: Final = 200
"""Pages that one server keeps up to date at a time."""
PING_EVERY_S: Final = 15


class Streams:
    """How many pages are being kept up to date."""

    def __init__(self) -> None:
        self.count = 0

    def response(self, app: App, request: Request, rows: list[str]) -> Response:
        """The stream for rows named `<device id>.<version>`, as the page has them; raises Problem."""
        try:
            versions = {UUID(name): version for name, _, version in (row.partition(".") for row in rows)}
        except ValueError:
            raise Problem(422, "query.row: <device id>.<version>, as the page has it") from None
        return self._stream(_changes(app, request, versions))

    def of_alerts(self, app: App, request: Request, newest: str) -> Response:
        """The stream that says when the newest open alert is another than that one; raises Problem."""
        return self._stream(_new_alerts(app, request, newest))

    def _stream(self, events: AsyncIterator[ServerSentEvent]) -> Response:
        if self.count >= STREAMS_MAX:
            raise Problem(503, f"{STREAMS_MAX} pages are kept up to date already; this one stays as it was loaded")
        return EventSourceResponse(self._counted(events), ping=PING_EVERY_S)

    async def _counted(self, events: AsyncIterator[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
        self.count += 1
        try:
            async for event in events:
                yield event
        finally:
            self.count -= 1


async def _changes(app: App, request: Request, versions: dict[UUID, str]) -> AsyncIterator[ServerSentEvent]:
    """Ends with the visitor's session; a database that is away is asked again."""
    clock, visitor = app.parts.clock, visitor_of(request)
    while await _may_still_look(app, request, visitor):
        now = clock.now()
        for device in await _looked(app, versions, visitor):
            if versions[device.device_id] == device.version:
                continue
            versions[device.device_id] = device.version
            change = {"id": str(device.device_id), "pending": device.pending, "failed": device.failed}
            row = render("device_row.html", device=device, now=now)
            yield ServerSentEvent(json.dumps(change | {"row": row}), event="device")
        await clock.sleep_until(now + LOOK_EVERY)


async def _new_alerts(app: App, request: Request, newest: str) -> AsyncIterator[ServerSentEvent]:
    """One event for each time that the newest open alert is another; none for the last one's end."""
    clock, visitor = app.parts.clock, visitor_of(request)
    while await _may_still_look(app, request, visitor):
        now = clock.now()
        with contextlib.suppress(*DATABASE_ERRORS):
            alerts = await app.devices.alerts(visitor.company_id, 1)
            if alerts and str(alerts[0].alert_id) != newest:
                newest = str(alerts[0].alert_id)
                yield ServerSentEvent(json.dumps({"id": newest}), event="alert")
        await clock.sleep_until(now + LOOK_EVERY)


async def _may_still_look(app: App, request: Request, visitor: Visitor) -> bool:
    if visitor.kind is not SignInKind.BROWSER:
        return True
    try:
        return await app.accounts.visitor(request.cookies[SESSION_COOKIE], SignInKind.BROWSER) == visitor
    except DATABASE_ERRORS:
        return True


async def _looked(app: App, versions: dict[UUID, str], visitor: Visitor) -> list[Device]:
    try:
        return await app.devices.some(list(versions), visitor.company_id)
    except DATABASE_ERRORS:
        return []
