"""HTTP API of projects, images and originals (seed 003). Refusals are problem details."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from server.hashing import HASH_PATTERN
from server.originals import Original, OriginalStats
from server.projects import PROJECT_NAME_CHARS_MAX, Image, Project
from server.web.pages import After, Limit, Page, page_of, place_of
from server.web.problems import Problem, problems
from server.web.uploads import REQUEST_BODY, said_of, upload_of
from server.web.writes import IdempotencyKey, once_for

if TYPE_CHECKING:
    from server.app import App

_PICTURES: Final[dict[str, Any]] = {
    "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/jpeg", "image/png")}
    | {"image/webp": {"schema": {"type": "string", "format": "binary"}}, "application/octet-stream": {}},
    "description": "The bytes",
}


class NewProject(BaseModel):
    """What a project needs."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=PROJECT_NAME_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f]+$")

    @field_validator("name")
    @classmethod
    def _can_be_stored(cls, name: str) -> str:
        name.encode()  # a lone surrogate can't be
        return name


def project_routes(app: App) -> APIRouter:
    """Projects and the uploads to them."""
    router = APIRouter(prefix="/projects", tags=["projects"])

    @router.post("", status_code=201, responses=problems(400, 422, 503))
    async def create_project(request: Request, new: NewProject, idempotency_key: IdempotencyKey = None) -> Project:
        once = await once_for(app, request, idempotency_key, 201, Project, new.name)
        return await app.projects.create_project(new.name, once)

    @router.get("", responses=problems(422, 503))
    async def list_projects(limit: Limit = 100, after: After = None) -> Page[Project]:
        return page_of(await app.projects.projects(place_of(after), limit + 1), limit)

    @router.get("/{project_id}", responses=problems(404, 422, 503))
    async def get_project(project_id: UUID) -> Project:
        project = await app.projects.project(project_id)
        if project is None:
            raise Problem(404, f"no project {project_id}")
        return project

    @router.delete("/{project_id}", status_code=204, responses=problems(404, 422, 503))
    async def delete_project(request: Request, project_id: UUID, idempotency_key: IdempotencyKey = None) -> Response:
        if not await app.projects.delete_project(project_id, await once_for(app, request, idempotency_key, 204)):
            raise Problem(404, f"no project {project_id}")
        return Response(status_code=204)

    @router.post(
        "/{project_id}/images",
        status_code=201,
        responses=problems(400, 404, 413, 415, 422, 503),
        openapi_extra={"requestBody": REQUEST_BODY},
    )
    async def upload_image(request: Request, project_id: UUID, idempotency_key: IdempotencyKey = None) -> list[Image]:
        upload = await upload_of(request)
        once = await once_for(app, request, idempotency_key, 201, list[Image], *said_of(upload))
        images = await app.projects.upload(project_id, upload, once)
        if images is None:
            raise Problem(404, f"no project {project_id}")
        app.metrics.uploads.labels("stored").inc()
        return images

    @router.get("/{project_id}/images", responses=problems(404, 422, 503))
    async def list_images(project_id: UUID, limit: Limit = 100, after: After = None) -> Page[Image]:
        if await app.projects.project(project_id) is None:
            raise Problem(404, f"no project {project_id}")
        return page_of(await app.projects.images(project_id, place_of(after), limit + 1), limit)

    return router


def image_routes(app: App) -> APIRouter:
    """Single images."""
    router = APIRouter(prefix="/images", tags=["images"])

    async def served(image_id: UUID, *, as_uploaded: bool) -> Response:
        try:
            content = await app.projects.content(image_id, as_uploaded=as_uploaded)
        except FileNotFoundError:
            raise Problem(404, f"the bytes of image {image_id} are gone") from None
        if content is None:
            raise Problem(404, f"no image {image_id}, or it is deleted")
        data, mime_type = content
        return Response(data, media_type=mime_type, headers={"X-Content-Type-Options": "nosniff"})

    @router.get("/{image_id}", responses=problems(404, 422, 503))
    async def get_image(image_id: UUID) -> Image:
        image = await app.projects.image(image_id)
        if image is None:
            raise Problem(404, f"no image {image_id}, or it is deleted")
        return image

    @router.get("/{image_id}/content", response_class=Response, responses={200: _PICTURES, **problems(404, 422, 503)})
    async def get_content(image_id: UUID) -> Response:
        return await served(image_id, as_uploaded=False)

    @router.get("/{image_id}/original", response_class=Response, responses={200: _PICTURES, **problems(404, 422, 503)})
    async def get_original_content(image_id: UUID) -> Response:
        return await served(image_id, as_uploaded=True)

    @router.delete("/{image_id}", status_code=204, responses=problems(404, 422, 503))
    async def delete_image(request: Request, image_id: UUID, idempotency_key: IdempotencyKey = None) -> Response:
        if not await app.projects.delete_image(image_id, await once_for(app, request, idempotency_key, 204)):
            raise Problem(404, f"no image {image_id}, or it is deleted already")
        return Response(status_code=204)

    return router


def original_routes(app: App) -> APIRouter:
    """Originals: by id, by hash, and their statistics."""
    router = APIRouter(prefix="/originals", tags=["originals"])

    @router.get("/stats", responses=problems(503))
    async def get_stats() -> OriginalStats:
        return await app.originals.stats()

    @router.get("/by-hash/{content_hash}", responses=problems(404, 422, 503))
    async def get_by_hash(content_hash: Annotated[str, Path(pattern=HASH_PATTERN)]) -> Original:
        return _there(await app.originals.by_hash(content_hash), content_hash)

    @router.get("/{original_id}", responses=problems(404, 422, 503))
    async def get_by_id(original_id: UUID) -> Original:
        return _there(await app.originals.by_id(original_id), original_id)

    return router


def _there(original: Original | None, name: Any) -> Original:
    if original is None:
        raise Problem(404, f"no original {name}")
    return original
