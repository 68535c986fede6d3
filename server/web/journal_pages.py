"""Pages of what was written down: of one device, duplicates, quarantine, charts of the fleet; and the override."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from server.journals import Journal
from server.web.charts import lines, stacked_bars
from server.web.current import site
from server.web.doors import visitor_of
from server.web.journals import Following, page_of_journal
from server.web.problems import Problem
from server.web.rendering import page_response

if TYPE_CHECKING:
    from server.app import App

ROWS: Final = 50
OF_DEVICE: Final = {
    "images": (Journal.IMAGES, "Images"),
    "wakes": (Journal.WAKE_SESSIONS, "Wake sessions"),
    "commands": (Journal.COMMANDS, "Commands"),
    "acks": (Journal.ACKS, "Acknowledgements"),
    "history": (Journal.HISTORY, "History"),
}
"""Lists of one device, by the last word of their address."""


def journal_pages(app: App) -> APIRouter:
    """Lists by keyset, the newest first."""
    router = APIRouter(include_in_schema=False)

    async def shown(
        request: Request, journal: Journal, title: str, after: str | None, device_id: UUID | None = None
    ) -> Response:
        rows, following = await page_of_journal(app, request, journal, ROWS, after, device_id)
        device = None
        if device_id is not None:
            device = await app.devices.device(device_id, visitor_of(request).company_id)
        path = request.url.path
        return page_response(
            request,
            "journal.html",
            now=app.parts.clock.now(),
            journal=journal.value,
            heading=title,
            rows=rows,
            device=device,
            first=None if after is None else path,
            following=None if following is None else f"{path}?" + urlencode({"after": following}),
        )

    @router.get("/devices/{device_id}/{journal}")
    async def of_device(request: Request, device_id: UUID, journal: str, after: Following = None) -> Response:
        if journal not in OF_DEVICE:
            raise Problem(404, "there is nothing at this address")
        kind, title = OF_DEVICE[journal]
        return await shown(request, kind, title, after, device_id)

    @router.post("/devices/{device_id}/override")
    async def override(request: Request, device_id: UUID, wanted: Annotated[bool, Form()] = False) -> Response:
        visitor = visitor_of(request)
        await app.journals.set_override(device_id, wanted, visitor.name, visitor.company_id)
        return RedirectResponse(f"/devices/{device_id}?override={'asked' if wanted else 'withdrawn'}", 303)

    @router.get("/duplicates")
    async def duplicates(request: Request, after: Following = None) -> Response:
        return await shown(request, Journal.DUPLICATES, "Duplicates", after)

    @router.get("/quarantine")
    async def quarantine(request: Request, after: Following = None) -> Response:
        return await shown(request, Journal.QUARANTINE, "Quarantined messages", after)

    @router.get("/fleet")
    async def fleet(request: Request) -> Response:
        days, batteries = await site().fleet.figures(visitor_of(request).company_id)
        dates = [f"{each.day:%d %b}" for each in days]
        outcomes = {
            "complete": [float(each.complete) for each in days],
            "under way": [float(each.under_way) for each in days],
            "failed": [float(each.failed) for each in days],
        }
        latencies = {"half of them within": [each.median_s for each in days], "95 %": [each.p95_s for each in days]}
        volts = [f"{step.volts:.1f}" for step in batteries]
        charts = [
            stacked_bars("Images a day by outcome", dates, outcomes),
            stacked_bars("Retries a day", dates, {"retries": [float(each.retries) for each in days]}),
            lines("From capture to completion", dates, latencies, " s"),
            stacked_bars("Batteries, by volts", volts, {"devices": [float(step.devices) for step in batteries]}),
        ]
        return page_response(request, "fleet.html", charts=charts)

    return router
