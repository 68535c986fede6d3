"""Pages of originals (projects and their images) and of videos. What changes something goes over the HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from server.web.doors import visitor_of
from server.web.pages import After, page_of, place_of
from server.web.problems import Problem
from server.web.rendering import page_response
from server.wire.states import ImageStyle, Role

if TYPE_CHECKING:
    from server.app import App

ROWS: Final = 50
CHOICES_MAX: Final = 200
"""Malls, and pins of a mall, that the form offers."""


def media_pages(app: App) -> APIRouter:
    """Lists by keyset, one project, one video."""
    router = APIRouter(include_in_schema=False)

    @router.get("/projects")
    async def projects(request: Request, after: After = None) -> Response:
        page = page_of(await app.projects.projects(place_of(after), ROWS + 1), ROWS)
        is_of_all = visitor_of(request).company_id is None
        return page_response(
            request,
            "projects.html",
            now=app.parts.clock.now(),
            rows=page.items,
            stats=await app.originals.stats() if is_of_all else None,
            may_act=visitor_of(request).may(Role.OPERATOR),
            **_paging("/projects", after, page.next),
        )

    @router.get("/projects/{project_id}")
    async def project(request: Request, project_id: UUID, after: After = None) -> Response:
        found = await app.projects.project(project_id)
        if found is None:
            raise Problem(404, f"no project {project_id}")
        page = page_of(await app.projects.images(project_id, place_of(after), ROWS + 1), ROWS)
        return page_response(
            request,
            "project.html",
            now=app.parts.clock.now(),
            project=found,
            rows=page.items,
            styles=[style.value for style in ImageStyle],
            may_act=visitor_of(request).may(Role.OPERATOR),
            **_paging(f"/projects/{project_id}", after, page.next),
        )

    @router.get("/videos")
    async def videos(request: Request, after: After = None) -> Response:
        service = app.videos.videos
        page = page_of(await service.videos(None, None, place_of(after), ROWS + 1), ROWS)
        malls = await service.malls(None, CHOICES_MAX)
        pins = [(mall, await service.pins(mall.id, None, CHOICES_MAX)) for mall in malls]
        return page_response(
            request,
            "videos.html",
            now=app.parts.clock.now(),
            rows=page.items,
            pins=pins,
            may_act=visitor_of(request).may(Role.OPERATOR),
            **_paging("/videos", after, page.next),
        )

    @router.get("/videos/{video_id}")
    async def video(request: Request, video_id: UUID) -> Response:
        found = await app.videos.videos.video(video_id)
        if found is None:
            raise Problem(404, f"no video {video_id}")
        jobs = await app.videos.jobs.jobs_of(video_id)
        return page_response(
            request,
            "video.html",
            now=app.parts.clock.now(),
            video=found,
            jobs=jobs,
            is_under_way=any(job.status in ("pending", "running") for job in jobs),
            may_act=visitor_of(request).may(Role.OPERATOR),
        )

    return router


def _paging(path: str, after: str | None, following: str | None) -> dict[str, Any]:
    return {
        "first": None if after is None else path,
        "following": None if following is None else f"{path}?" + urlencode({"after": following}),
    }
