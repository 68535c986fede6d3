"""HTTP API of projects, images and originals (seed 003). Refusals are problem details."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from server.hashing import HASH_PATTERN
from server.originals import Original
from server.projects import PROJECT_NAME_CHARS_MAX, ImageRow
from server.web.problems import Problem, problems
from server.web.uploads import REQUEST_BODY, upload_of
from server.wire.states import ImageStyle

if TYPE_CHECKING:
    from server.app import App

_LIMIT_MAX = 1_000
_OFFSET_MAX = 1_000_000
_PICTURES = {
    "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/jpeg", "image/png")}
    | {"image/webp": {"schema": {"type": "string", "format": "binary"}}, "application/octet-stream": {}},
    "description": "The bytes",
}

Limit = Annotated[int, Query(ge=1, le=_LIMIT_MAX)]
Offset = Annotated[int, Query(ge=0, le=_OFFSET_MAX)]


class NewProject(BaseModel):
    """What a project needs."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=PROJECT_NAME_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f]+$")

    @field_validator("name")
    @classmethod
    def _can_be_stored(cls, name: str) -> str:
        name.encode()  # a lone surrogate can't be
        return name


class ProjectAnswer(BaseModel):
    """A project."""

    id: UUID
    name: str
    created_at: datetime


class ImageAnswer(BaseModel):
    """An image of a project, in one style. Without an original it keeps bytes of its own."""

    id: UUID
    project_id: UUID
    file_name: str
    style: ImageStyle
    file_size_bytes: int | None
    mime_type: str | None
    width: int | None
    height: int | None
    created_at: datetime
    original_image_id: UUID | None
    content_hash: str | None


class OriginalAnswer(BaseModel):
    """Bytes that are stored once, and how many images refer to them."""

    id: UUID
    content_hash: str
    file_size_bytes: int
    mime_type: str
    width: int | None
    height: int | None
    reference_count: int
    created_at: datetime
    updated_at: datetime


class StatsAnswer(BaseModel):
    """Counts and sizes (bytes) of all originals; `dedup_rate` is the share of references that needed no bytes."""

    total_count: int
    total_size: int
    orphaned_count: int
    orphaned_size: int
    avg_references: float
    total_references: int
    saved_size: int
    dedup_rate: float


def project_routes(app: App) -> APIRouter:
    """Projects and the uploads to them."""
    router = APIRouter(prefix="/projects", tags=["projects"])

    @router.post("", status_code=201, responses=problems(400, 422, 503))
    async def create_project(new: NewProject) -> ProjectAnswer:
        return ProjectAnswer.model_validate(asdict(await app.projects.create_project(new.name)))

    @router.get("", responses=problems(422, 503))
    async def list_projects(limit: Limit = 100, offset: Offset = 0) -> list[ProjectAnswer]:
        return [ProjectAnswer.model_validate(asdict(found)) for found in await app.projects.projects(limit, offset)]

    @router.get("/{project_id}", responses=problems(404, 422, 503))
    async def get_project(project_id: UUID) -> ProjectAnswer:
        project = await app.projects.project(project_id)
        if project is None:
            raise Problem(404, f"no project {project_id}")
        return ProjectAnswer.model_validate(asdict(project))

    @router.delete("/{project_id}", status_code=204, responses=problems(404, 422, 503))
    async def delete_project(project_id: UUID) -> Response:
        if not await app.projects.delete_project(project_id):
            raise Problem(404, f"no project {project_id}")
        return Response(status_code=204)

    @router.post(
        "/{project_id}/images",
        status_code=201,
        responses=problems(400, 404, 413, 415, 422, 503),
        openapi_extra={"requestBody": REQUEST_BODY},
    )
    async def upload_image(project_id: UUID, request: Request) -> list[ImageAnswer]:
        upload = await upload_of(request)
        rows = await app.projects.upload(project_id, upload)
        if rows is None:
            raise Problem(404, f"no project {project_id}")
        app.metrics.uploads.labels("stored").inc()
        return [_image(row) for row in rows]

    @router.get("/{project_id}/images", responses=problems(404, 422, 503))
    async def list_images(project_id: UUID, limit: Limit = 100, offset: Offset = 0) -> list[ImageAnswer]:
        if await app.projects.project(project_id) is None:
            raise Problem(404, f"no project {project_id}")
        return [_image(row) for row in await app.projects.images(project_id, limit, offset)]

    return router


def image_routes(app: App) -> APIRouter:
    """Single images."""
    router = APIRouter(prefix="/images", tags=["images"])

    async def found(image_id: UUID) -> ImageRow:
        image = await app.projects.image(image_id)
        if image is None:
            raise Problem(404, f"no image {image_id}, or it is deleted")
        return image

    async def served(image_id: UUID, *, as_uploaded: bool) -> Response:
        image = await found(image_id)
        try:
            data, mime_type = await app.projects.content(image, as_uploaded=as_uploaded)
        except FileNotFoundError:
            raise Problem(404, f"the bytes of image {image_id} are gone") from None
        return Response(data, media_type=mime_type, headers={"X-Content-Type-Options": "nosniff"})

    @router.get("/{image_id}", responses=problems(404, 422, 503))
    async def get_image(image_id: UUID) -> ImageAnswer:
        return _image(await found(image_id))

    @router.get("/{image_id}/content", response_class=Response, responses={200: _PICTURES, **problems(404, 422, 503)})
    async def get_content(image_id: UUID) -> Response:
        return await served(image_id, as_uploaded=False)

    @router.get("/{image_id}/original", response_class=Response, responses={200: _PICTURES, **problems(404, 422, 503)})
    async def get_original_content(image_id: UUID) -> Response:
        return await served(image_id, as_uploaded=True)

    @router.delete("/{image_id}", status_code=204, responses=problems(404, 422, 503))
    async def delete_image(image_id: UUID) -> Response:
        if not await app.projects.delete_image(image_id):
            raise Problem(404, f"no image {image_id}, or it is deleted already")
        return Response(status_code=204)

    return router


def original_routes(app: App) -> APIRouter:
    """Originals: by id, by hash, and their statistics."""
    router = APIRouter(prefix="/originals", tags=["originals"])

    @router.get("/stats", responses=problems(503))
    async def get_stats() -> StatsAnswer:
        stats = await app.originals.stats()
        return StatsAnswer(**asdict(stats), dedup_rate=stats.dedup_rate)

    @router.get("/by-hash/{content_hash}", responses=problems(404, 422, 503))
    async def get_by_hash(content_hash: Annotated[str, Path(pattern=HASH_PATTERN)]) -> OriginalAnswer:
        return _original(await app.originals.by_hash(content_hash), content_hash)

    @router.get("/{original_id}", responses=problems(404, 422, 503))
    async def get_by_id(original_id: UUID) -> OriginalAnswer:
        return _original(await app.originals.by_id(original_id), original_id)

    return router


def _image(row: ImageRow) -> ImageAnswer:
    return ImageAnswer.model_validate(asdict(row))


def _original(original: Original | None, name: Any) -> OriginalAnswer:
    if original is None:
        raise Problem(404, f"no original {name}")
    return OriginalAnswer.model_validate(asdict(original))
