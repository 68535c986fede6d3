"""Runs of the harness: pages, files and HTTP API. For users of every company: a run knows none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from server.runs import FILES, Run, RunDetail
from server.web.pages import Limit, Page
from server.web.problems import Problem, problems
from server.web.rendering import page_response

if TYPE_CHECKING:
    from server.app import App

ROWS: Final = 50
After = Annotated[str | None, Query(max_length=100, description="`next` of the page before.")]

REPORT_POLICY: Final = (
    "sandbox allow-scripts allow-popups; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; frame-ancestors 'none'"
)
"""A report is a page of its own with a script in it: it runs in an origin of its own, without cookies and network."""

_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {kind.partition(";")[0]: {} for kind in FILES.values()}, "description": "The file"},
    **problems(401, 403, 404, 422),
}


def run_routes(app: App) -> APIRouter:
    """The HTTP API."""
    router = APIRouter(prefix="/runs", tags=["runs"])

    @router.get("", responses=problems(401, 403, 422))
    async def list_runs(limit: Limit = 100, after: After = None) -> Page[Run]:
        rows, following = await app.runs.listed(limit, after)
        return Page(items=rows, next=following)

    @router.get("/{run_name}", responses=problems(401, 403, 404, 422))
    async def get_run(run_name: str) -> RunDetail:
        return await _found(app, run_name)

    @router.get("/{run_name}/{file_name}", response_class=Response, responses=_FILE)
    async def get_run_file(run_name: str, file_name: str) -> Response:
        return await _file(app, run_name, file_name)

    return router


def run_pages(app: App) -> APIRouter:
    """The list, a run, and its files."""
    router = APIRouter(include_in_schema=False)

    @router.get("/runs")
    async def runs(request: Request, after: After = None) -> Response:
        rows, following = await app.runs.listed(ROWS, after)
        return page_response(
            request,
            "runs.html",
            runs=rows,
            first=None if after is None else "/runs",
            following=None if following is None else "/runs?" + urlencode({"after": following}),
        )

    @router.get("/runs/{run_name}")
    async def run(request: Request, run_name: str) -> Response:
        return page_response(request, "run.html", run=await _found(app, run_name))

    @router.get("/runs/{run_name}/{file_name}")
    async def run_file(run_name: str, file_name: str) -> Response:
        return await _file(app, run_name, file_name)

    return router


async def _found(app: App, run_name: str) -> RunDetail:
    run = await app.runs.run(run_name)
    if run is None:
        raise Problem(404, "no such run")
    return run


async def _file(app: App, run_name: str, file_name: str) -> Response:
    data = await app.runs.file(run_name, file_name)
    if data is None:
        raise Problem(404, "no such file of a run")
    return Response(data, media_type=FILES[file_name], headers={"Content-Security-Policy": REPORT_POLICY})
