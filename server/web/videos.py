"""HTTP API of malls, camera pins, videos and their jobs (seed 004). Refusals are problem details."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from server.jobs import PROXY_GENERATION, Job
from server.video_media import PROXY_MIME_TYPE
from server.videos import NAME_CHARS_MAX, Mall, Pin, Video
from server.web.pages import After, Limit, Page, page_of, place_of
from server.web.problems import Problem, problems
from server.web.writes import IdempotencyKey, once_for

if TYPE_CHECKING:
    from server.app import App

_RANGE: Final = re.compile(r"bytes=(\d{1,15})?-(\d{1,15})?")
_BYTES: Final[dict[str, Any]] = {
    "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (PROXY_MIME_TYPE, "video/*")},
    "description": "The bytes, or the range of them that was asked for",
}
_CONTENT: Final[dict[int | str, dict[str, Any]]] = {200: _BYTES, 206: _BYTES, **problems(404, 416, 422, 503)}
_TYPES: Final = {
    ".mp4": PROXY_MIME_TYPE,
    ".m4v": PROXY_MIME_TYPE,
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".ts": "video/mp2t",
}
RangeHeader = Annotated[str | None, Header(alias="Range", max_length=60, description="Such as bytes=0-65535.")]


class NewName(BaseModel):
    """What a mall or a pin needs."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=NAME_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f]+$")

    @field_validator("name")
    @classmethod
    def _can_be_stored(cls, name: str) -> str:
        name.encode()  # a lone surrogate can't be
        return name


class NewJob(BaseModel):
    """What is to be done with a video."""

    model_config = ConfigDict(extra="forbid")
    job_type: Literal["proxy_generation"] = PROXY_GENERATION


def mall_routes(app: App) -> APIRouter:
    """Malls and their camera pins."""
    router = APIRouter(tags=["malls"])

    @router.post("/malls", status_code=201, responses=problems(400, 422, 503))
    async def create_mall(request: Request, new: NewName, idempotency_key: IdempotencyKey = None) -> Mall:
        return await app.videos.videos.create_mall(
            new.name, await once_for(app, request, idempotency_key, 201, Mall, new.name)
        )

    @router.get("/malls", responses=problems(422, 503))
    async def list_malls(limit: Limit = 100, after: After = None) -> Page[Mall]:
        return page_of(await app.videos.videos.malls(place_of(after), limit + 1), limit)

    @router.delete("/malls/{mall_id}", status_code=204, responses=problems(404, 422, 503))
    async def delete_mall(mall_id: UUID) -> Response:
        if not await app.videos.videos.delete_mall(mall_id):
            raise Problem(404, f"no mall {mall_id}")
        return Response(status_code=204)

    @router.post("/malls/{mall_id}/pins", status_code=201, responses=problems(400, 404, 422, 503))
    async def create_pin(request: Request, mall_id: UUID, new: NewName, idempotency_key: IdempotencyKey = None) -> Pin:
        once = await once_for(app, request, idempotency_key, 201, Pin, new.name)
        pin = await app.videos.videos.create_pin(mall_id, new.name, once)
        if pin is None:
            raise Problem(404, f"no mall {mall_id}")
        return pin

    @router.get("/malls/{mall_id}/pins", responses=problems(404, 422, 503))
    async def list_pins(mall_id: UUID, limit: Limit = 100, after: After = None) -> Page[Pin]:
        if await app.videos.videos.mall(mall_id) is None:
            raise Problem(404, f"no mall {mall_id}")
        return page_of(await app.videos.videos.pins(mall_id, place_of(after), limit + 1), limit)

    @router.delete("/pins/{pin_id}", status_code=204, responses=problems(404, 422, 503))
    async def delete_pin(pin_id: UUID) -> Response:
        if not await app.videos.videos.delete_pin(pin_id):
            raise Problem(404, f"no pin {pin_id}")
        return Response(status_code=204)

    return router


def video_routes(app: App) -> APIRouter:
    """Videos: their rows and bytes."""
    router = APIRouter(prefix="/videos", tags=["videos"])

    async def found(video_id: UUID) -> Video:
        video = await app.videos.videos.video(video_id)
        if video is None:
            raise Problem(404, f"no video {video_id}")
        return video

    @router.get("", responses=problems(422, 503))
    async def list_videos(
        mall_id: Annotated[UUID | None, Query(description="Only those of this mall.")] = None,
        pin_id: Annotated[UUID | None, Query(description="Only those of this camera pin.")] = None,
        limit: Limit = 100,
        after: After = None,
    ) -> Page[Video]:
        return page_of(await app.videos.videos.videos(mall_id, pin_id, place_of(after), limit + 1), limit)

    @router.get("/{video_id}", responses=problems(404, 422, 503))
    async def get_video(video_id: UUID) -> Video:
        return await found(video_id)

    @router.get("/{video_id}/content", response_class=Response, responses=_CONTENT)
    async def get_content(video_id: UUID, range_header: RangeHeader = None) -> Response:
        video = await found(video_id)
        suffix = "." + video.filename.rpartition(".")[2].lower()
        return await _served(app, video.original_path, _TYPES.get(suffix, "application/octet-stream"), range_header)

    @router.get("/{video_id}/proxy", response_class=Response, responses=_CONTENT)
    async def get_proxy(video_id: UUID, range_header: RangeHeader = None) -> Response:
        return await _served(app, (await found(video_id)).proxy_path, PROXY_MIME_TYPE, range_header)

    @router.delete("/{video_id}", status_code=204, responses=problems(404, 422, 503))
    async def delete_video(video_id: UUID) -> Response:
        if not await app.videos.videos.delete_video(video_id):
            raise Problem(404, f"no video {video_id}")
        return Response(status_code=204)

    return router


def job_routes(app: App) -> APIRouter:
    """Background jobs: what they have come to, new ones, cancelling."""
    router = APIRouter(tags=["jobs"])

    @router.get("/videos/{video_id}/jobs", responses=problems(404, 422, 503))
    async def list_jobs(video_id: UUID) -> list[Job]:
        if await app.videos.videos.video(video_id) is None:
            raise Problem(404, f"no video {video_id}")
        return await app.videos.jobs.jobs_of(video_id)

    @router.post("/videos/{video_id}/jobs", status_code=201, responses=problems(400, 404, 409, 422, 503))
    async def queue_job(video_id: UUID, new: NewJob) -> Job:
        job = await app.videos.jobs.queue_again(video_id, new.job_type)
        if job is None:
            raise Problem(404, f"no video {video_id} is stored")
        app.videos.watch.wake()
        return job

    @router.get("/jobs/{job_id}", responses=problems(404, 422, 503))
    async def get_job(job_id: UUID) -> Job:
        return _there(await app.videos.jobs.job(job_id), job_id)

    @router.post("/jobs/{job_id}/cancel", responses=problems(404, 409, 422, 503))
    async def cancel_job(job_id: UUID) -> Job:
        return _there(await app.videos.jobs.cancel(job_id), job_id)

    return router


def _there(job: Job | None, job_id: UUID) -> Job:
    if job is None:
        raise Problem(404, f"no job {job_id}")
    return job


async def _served(app: App, key: str | None, media_type: str, range_header: str | None) -> Response:
    """The object, or one range of it; what can not be had is said before the first byte."""
    try:
        if key is None:
            raise FileNotFoundError
        size = await app.objects.size_bytes(key)
        asked = _asked(range_header, size)
        start, length = asked or (0, size)
        blocks = app.videos.videos.blocks(key, start, length)
        first = await anext(blocks, b"")
    except FileNotFoundError:
        raise Problem(404, "these bytes are not stored (not yet, or no more)") from None

    async def rest() -> AsyncIterator[bytes]:
        yield first
        async for block in blocks:
            yield block

    headers = {"Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff"}
    headers["Content-Length"] = str(length)
    if asked is not None:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    return StreamingResponse(rest(), 200 if asked is None else 206, headers, media_type)


def _asked(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """(first byte, how many), or None for all; raises Problem 416. What is no single range is ignored (RFC 9110)."""
    match = _RANGE.fullmatch(header or "")
    if match is None or match[1] is match[2] is None:
        return None
    if match[1] is None:
        start, end = max(0, size_bytes - int(match[2])), size_bytes - 1
    else:
        start, end = int(match[1]), min(size_bytes - 1, int(match[2] or size_bytes - 1))
    if start > end:
        raise Problem(416, f"the range {header} lies outside of {size_bytes} bytes")
    return start, end - start + 1
