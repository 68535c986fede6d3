"""HTTP API of devices, the retries of their failed images, and alerts (seed 002). The pages call the same services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator

from server.devices import Alert, Device, DeviceDetail, FailedImage, Retries
from server.store import Place
from server.web.device_lists import Asked, name_of
from server.web.doors import visitor_of
from server.web.pages import After, Limit, Page, name_of_place, place_of
from server.web.problems import problems
from server.web.writes import IdempotencyKey, once_for

if TYPE_CHECKING:
    from server.app import App

NOTES_CHARS_MAX = 2_000


class Resolution(BaseModel):
    """What is said when an alert is resolved."""

    model_config = ConfigDict(extra="forbid")
    notes: str | None = Field(default=None, max_length=NOTES_CHARS_MAX, pattern=r"^[^\x00]*$")

    @field_validator("notes")
    @classmethod
    def _can_be_stored(cls, notes: str | None) -> str | None:
        (notes or "").encode()  # a lone surrogate can't be
        return notes


def device_routes(app: App) -> APIRouter:
    """The list, one device, and the retry of all its failed images."""
    router = APIRouter(prefix="/devices", tags=["devices"])

    @router.get("", responses=problems(401, 403, 422, 503))
    async def list_devices(request: Request, asked: Asked, limit: Limit = 100) -> Page[Device]:
        rows, place = await app.devices.listed(asked, visitor_of(request).company_id, limit)
        return Page(items=rows, next=name_of(place))

    @router.get("/{device_id}", responses=problems(401, 403, 404, 422, 503))
    async def get_device(request: Request, device_id: UUID) -> DeviceDetail:
        return await app.devices.device(device_id, visitor_of(request).company_id)

    @router.get("/{device_id}/failed-images", responses=problems(401, 403, 404, 422, 503))
    async def list_failed_images(request: Request, device_id: UUID) -> list[FailedImage]:
        company_id = visitor_of(request).company_id
        await app.devices.device(device_id, company_id)
        return await app.devices.failed_images(device_id, company_id)

    @router.post("/{device_id}/retry-failed", status_code=202, responses=problems(401, 403, 404, 409, 422, 503))
    async def retry_failed(request: Request, device_id: UUID, idempotency_key: IdempotencyKey = None) -> Retries:
        visitor = visitor_of(request)
        once = await once_for(app, request, idempotency_key, 202, Retries, visitor.name)
        return await app.devices.retry_failed(device_id, visitor.name, visitor.company_id, once)

    return router


def device_image_routes(app: App) -> APIRouter:
    """Images that devices sent."""
    router = APIRouter(prefix="/device-images", tags=["devices"])

    @router.post("/{image_id}/retry", status_code=202, responses=problems(401, 403, 404, 409, 422, 503))
    async def retry_image(request: Request, image_id: UUID, idempotency_key: IdempotencyKey = None) -> Retries:
        visitor = visitor_of(request)
        once = await once_for(app, request, idempotency_key, 202, Retries, visitor.name)
        return await app.devices.retry_image(image_id, visitor.name, visitor.company_id, once)

    return router


def alert_routes(app: App) -> APIRouter:
    """Open alerts, and their end."""
    router = APIRouter(prefix="/alerts", tags=["alerts"])

    @router.get("", responses=problems(401, 403, 422, 503))
    async def list_alerts(
        request: Request,
        limit: Limit = 100,
        after: After = None,
        device_id: Annotated[UUID | None, Query(description="Only this device's.")] = None,
        resolved: Annotated[bool, Query(description="Those that were resolved, instead of the open ones.")] = False,
    ) -> Page[Alert]:
        visitor, place = visitor_of(request), place_of(after)
        rows = await app.devices.alerts(
            visitor.company_id, limit + 1, device_id=device_id, after=place, are_resolved=resolved
        )
        return Page(items=rows[:limit], next=next_alerts(rows, limit))

    @router.post("/{alert_id}/resolve", responses=problems(401, 403, 404, 409, 422, 503))
    async def resolve_alert(
        request: Request, alert_id: UUID, resolution: Resolution, idempotency_key: IdempotencyKey = None
    ) -> UUID:
        visitor, notes = visitor_of(request), resolution.notes
        once = await once_for(app, request, idempotency_key, 200, UUID, visitor.name, notes or "")
        return await app.devices.resolve_alert(alert_id, visitor.name, notes, visitor.company_id, once)

    return router


def next_alerts(rows: list[Alert], limit: int) -> str | None:
    """The name of the next page of alerts, one row more having been asked for."""
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    return name_of_place(Place(last.triggered_at, last.alert_id))
