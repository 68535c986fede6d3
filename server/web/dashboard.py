"""The pages: devices, one device, alerts. They show and do what the HTTP API does, by the same services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from server.devices import DeviceQuery, Only, Sort
from server.web.current import site
from server.web.device_lists import Asked, name_of
from server.web.devices import NOTES_CHARS_MAX, next_alerts
from server.web.doors import visitor_of
from server.web.journal_pages import OF_DEVICE
from server.web.pages import After, place_of
from server.web.problems import Problem
from server.web.rendering import page_response
from server.wire.states import Role

if TYPE_CHECKING:
    from server.app import App

ROWS: Final = 50
"""Rows of a page of a list."""

RECENT: Final = 12
"""Rows of each list that a device's page begins with."""

COLUMNS: Final = (
    (Sort.NAME, "Name"),
    (Sort.MAC, "MAC"),
    (None, "Status"),
    (None, "Images"),
    (Sort.BATTERY, "Battery"),
    (Sort.LAST_SEEN, "Last seen"),
    (Sort.NEXT_WAKE, "Next wake"),
)

Done = Annotated[int | None, Query(ge=0, le=100_000)]


def device_pages(app: App) -> APIRouter:
    """The list of devices, one device, and the forms that retry its failed images."""
    router = APIRouter(include_in_schema=False)

    @router.get("/devices")
    async def devices(request: Request, asked: Asked) -> Response:
        rows, place = await app.devices.listed(asked, visitor_of(request).company_id, ROWS)
        following = None if place is None else _address(asked, after=name_of(place))
        return page_response(
            request,
            "devices.html",
            now=app.parts.clock.now(),
            rows=rows,
            asked=asked,
            columns=[(title, _sorted_by(asked, sort), _direction(asked, sort)) for sort, title in COLUMNS],
            only_choices=list(Only),
            first=None if asked.after is None else _address(asked),
            following=following,
            live=_live_address([(row.device_id, row.version) for row in rows]),
        )

    @router.get("/devices/events")
    async def events(request: Request, row: Annotated[list[str] | None, Query(max_length=ROWS)] = None) -> Response:
        return site().streams.response(app, request, row or [])

    @router.get("/devices/{device_id}")
    async def device(
        request: Request,
        device_id: UUID,
        queued: Done = None,
        override: Annotated[Literal["asked", "withdrawn"] | None, Query()] = None,
    ) -> Response:
        visitor = visitor_of(request)
        found = await app.devices.device(device_id, visitor.company_id)
        lists = {
            name: (await app.journals.listed(kind, visitor.company_id, RECENT, device_id=device_id))[0]
            for name, (kind, _) in OF_DEVICE.items()
        }
        return page_response(
            request,
            "device.html",
            now=app.parts.clock.now(),
            device=found,
            failed=await app.devices.failed_images(device_id, visitor.company_id),
            alerts=await app.devices.alerts(visitor.company_id, ROWS, device_id=device_id),
            may_act=visitor.may(Role.OPERATOR),
            queued=queued,
            override=override,
            lists=lists,
            headings=OF_DEVICE,
            live=_live_address([(device_id, found.version)]),
        )

    @router.post("/devices/{device_id}/retry-failed")
    async def retry_failed(request: Request, device_id: UUID) -> Response:
        visitor = visitor_of(request)
        queued = await app.devices.retry_failed(device_id, visitor.name, visitor.company_id)
        return RedirectResponse(f"/devices/{device_id}?queued={len(queued.image_ids)}", 303)

    @router.post("/devices/{device_id}/images/{image_id}/retry")
    async def retry_image(request: Request, device_id: UUID, image_id: UUID) -> Response:
        visitor = visitor_of(request)
        queued = await app.devices.retry_image(image_id, visitor.name, visitor.company_id)
        return RedirectResponse(f"/devices/{device_id}?queued={len(queued.image_ids)}", 303)

    return router


def alert_pages(app: App) -> APIRouter:
    """Open alerts, and the form that resolves one."""
    router = APIRouter(include_in_schema=False)

    @router.get("/alerts")
    async def alerts(
        request: Request,
        after: After = None,
        resolved: Done = None,
        show: Annotated[Literal["open", "resolved"], Query()] = "open",
    ) -> Response:
        visitor = visitor_of(request)
        are_resolved = show == "resolved"
        rows = await app.devices.alerts(visitor.company_id, ROWS + 1, after=place_of(after), are_resolved=are_resolved)
        following = next_alerts(rows, ROWS)
        here = "/alerts?show=resolved" if are_resolved else "/alerts"
        newest = rows[0].alert_id if rows else ""
        return page_response(
            request,
            "alerts.html",
            now=app.parts.clock.now(),
            alerts=rows[:ROWS],
            may_act=visitor.may(Role.OPERATOR),
            first=None if after is None else here,
            following=None if following is None else "/alerts?" + urlencode({"show": show, "after": following}),
            resolved=resolved,
            are_resolved=are_resolved,
            live=None if are_resolved or after is not None else f"/alerts/events?newest={newest}",
        )

    @router.get("/alerts/events")
    async def events(request: Request, newest: Annotated[str, Query(max_length=36)] = "") -> Response:
        return site().streams.of_alerts(app, request, newest)

    @router.post("/alerts/{alert_id}/resolve")
    async def resolve(
        request: Request, alert_id: UUID, notes: Annotated[str, Form(max_length=NOTES_CHARS_MAX)] = ""
    ) -> Response:
        if "\0" in notes:
            raise Problem(422, "notes: text without NUL characters")
        visitor = visitor_of(request)
        await app.devices.resolve_alert(alert_id, visitor.name, notes.strip() or None, visitor.company_id)
        return RedirectResponse("/alerts?resolved=1", 303)

    return router


def _address(asked: DeviceQuery, **changes: object) -> str:
    """The list's own address, with these parts of its query string changed."""
    values = {
        "search": asked.search,
        "sort": asked.sort.value,
        "descending": "true" if asked.is_descending else "",
        "only": "" if asked.only is Only.ALL else asked.only.value,
    } | changes
    return "/devices?" + urlencode({name: value for name, value in values.items() if value})


def _sorted_by(asked: DeviceQuery, sort: Sort | None) -> str | None:
    """The address of the list in that order; the other way round where it is in that order."""
    if sort is None:
        return None
    is_turned = asked.sort is sort and not asked.is_descending
    return _address(asked, sort=sort.value, descending="true" if is_turned else "")


def _direction(asked: DeviceQuery, sort: Sort | None) -> str | None:
    """As `aria-sort` has it."""
    if sort is None or asked.sort is not sort:
        return None
    return "descending" if asked.is_descending else "ascending"


def _live_address(rows: list[tuple[UUID, str]]) -> str:
    return "/devices/events?" + urlencode([("row", f"{device_id}.{version}") for device_id, version in rows])
