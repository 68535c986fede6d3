"""HTTP API of what was written down of devices: images and their bytes, wakes, commands, acks, history, duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from server.journals import (
    Ack,
    BatteryStep,
    Command,
    Day,
    DeviceImage,
    Duplicate,
    HistoryEvent,
    Journal,
    Quarantined,
    WakeSession,
)
from server.pictures import PictureRefused
from server.web.current import site
from server.web.doors import visitor_of
from server.web.pages import Limit, Page
from server.web.problems import Problem, problems
from server.web.writes import IdempotencyKey, once_for

if TYPE_CHECKING:
    from server.app import App

Following = Annotated[str | None, Query(max_length=400, description="`next` of the page before.")]
_JPEG: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}, "description": "The bytes"},
    **problems(401, 403, 404, 422, 503),
}
_LISTS: Final = problems(401, 403, 404, 422, 503)


class Override(BaseModel):
    """Whether a device takes a photo at its next wake, whatever its schedule says."""

    model_config = ConfigDict(extra="forbid")
    is_wanted: bool


class FleetFigures(BaseModel):
    """Images by day (UTC) and batteries by tenths of a volt."""

    days: list[Day]
    batteries: list[BatteryStep]


async def page_of_journal(
    app: App, request: Request, journal: Journal, limit: int, after: str | None, device_id: UUID | None = None
) -> tuple[list[Any], str | None]:
    """A page of a list and the name of the next; raises NotFound for a device, Problem for a wrong `after`."""
    company_id = visitor_of(request).company_id
    if device_id is not None:
        await app.devices.device(device_id, company_id)
    try:
        return await app.journals.listed(journal, company_id, limit, device_id=device_id, after=after)
    except ValueError as error:
        raise Problem(422, f"query.after: {error}") from None


def journal_routes(app: App) -> APIRouter:
    """Lists, the newest first, of one device and of all; and the override."""
    router = APIRouter(tags=["devices"])

    async def page(
        request: Request, journal: Journal, limit: int, after: str | None, device_id: UUID | None = None
    ) -> Page[Any]:
        rows, following = await page_of_journal(app, request, journal, limit, after, device_id)
        return Page(items=rows, next=following)

    @router.get("/devices/{device_id}/images", responses=_LISTS)
    async def list_device_images(
        request: Request, device_id: UUID, limit: Limit = 100, after: Following = None
    ) -> Page[DeviceImage]:
        return await page(request, Journal.IMAGES, limit, after, device_id)

    @router.get("/devices/{device_id}/wake-sessions", responses=_LISTS)
    async def list_wake_sessions(
        request: Request, device_id: UUID, limit: Limit = 100, after: Following = None
    ) -> Page[WakeSession]:
        return await page(request, Journal.WAKE_SESSIONS, limit, after, device_id)

    @router.get("/devices/{device_id}/commands", responses=_LISTS)
    async def list_commands(
        request: Request, device_id: UUID, limit: Limit = 100, after: Following = None
    ) -> Page[Command]:
        return await page(request, Journal.COMMANDS, limit, after, device_id)

    @router.get("/devices/{device_id}/acks", responses=_LISTS)
    async def list_acks(request: Request, device_id: UUID, limit: Limit = 100, after: Following = None) -> Page[Ack]:
        return await page(request, Journal.ACKS, limit, after, device_id)

    @router.get("/devices/{device_id}/history", responses=_LISTS)
    async def list_history(
        request: Request, device_id: UUID, limit: Limit = 100, after: Following = None
    ) -> Page[HistoryEvent]:
        return await page(request, Journal.HISTORY, limit, after, device_id)

    @router.get("/duplicates", responses=problems(401, 403, 422, 503))
    async def list_duplicates(request: Request, limit: Limit = 100, after: Following = None) -> Page[Duplicate]:
        return await page(request, Journal.DUPLICATES, limit, after)

    @router.get("/quarantine", responses=problems(401, 403, 422, 503))
    async def list_quarantine(request: Request, limit: Limit = 100, after: Following = None) -> Page[Quarantined]:
        return await page(request, Journal.QUARANTINE, limit, after)

    @router.put("/devices/{device_id}/override", responses=problems(400, 401, 403, 404, 422, 503))
    async def set_override(
        request: Request, device_id: UUID, override: Override, idempotency_key: IdempotencyKey = None
    ) -> UUID:
        visitor = visitor_of(request)
        once = await once_for(app, request, idempotency_key, 200, UUID, visitor.name, str(override.is_wanted))
        return await app.journals.set_override(device_id, override.is_wanted, visitor.name, visitor.company_id, once)

    @router.get("/fleet", responses=problems(401, 403, 503))
    async def get_fleet(request: Request) -> FleetFigures:
        days, batteries = await site().fleet.figures(visitor_of(request).company_id)
        return FleetFigures(days=days, batteries=batteries)

    return router


def device_image_bytes(app: App) -> APIRouter:
    """The bytes of a complete image, as the device took it or small."""
    router = APIRouter(prefix="/device-images", tags=["devices"])

    @router.get("/{image_id}/content", response_class=Response, responses=_JPEG)
    async def get_device_image_content(request: Request, image_id: UUID) -> Response:
        _, data = await app.journals.image_bytes(image_id, visitor_of(request).company_id)
        return _jpeg(data)

    @router.get("/{image_id}/thumbnail", response_class=Response, responses=_JPEG)
    async def get_device_image_thumbnail(request: Request, image_id: UUID) -> Response:
        _, data = await app.journals.image_bytes(image_id, visitor_of(request).company_id)
        try:
            return _jpeg(await site().thumbnails.of(image_id, data))
        except PictureRefused as error:
            raise Problem(404, f"image {image_id} has no thumbnail: {error}") from None

    return router


def _jpeg(data: bytes) -> Response:
    """A whole image never changes under its id; whoever signs out leaves none in a shared cache."""
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})
