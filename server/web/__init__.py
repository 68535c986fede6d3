"""The HTTP side of a server: health, Prometheus metrics, and device messages over HTTP (seed 001's HTTP mode).

`POST /functions/v1/mqtt_device_handler` takes `{"topic": ..., "payload": {...}}`, handles it as if it had come over
MQTT, and returns the replies in its body; they are audited, and no MQTT client is involved (design 6.13).
"""

from __future__ import annotations

import contextlib
import hmac
import json
from functools import cache
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from server.clock import SteppedClock
from server.store import DATABASE_ERRORS
from server.web.current import CURRENT, Served
from server.web.dashboard import alert_pages, device_pages
from server.web.described import DEVICE_MESSAGE, DEVICE_MESSAGE_BODY, HEALTH, METRICS, MONITOR, DescribedApi
from server.web.devices import alert_routes, device_image_routes, device_routes
from server.web.doors import Doors
from server.web.journal_pages import journal_pages
from server.web.journals import device_image_bytes, journal_routes
from server.web.media_pages import media_pages
from server.web.problems import add_problems
from server.web.projects import image_routes, original_routes, project_routes
from server.web.run_pages import run_pages, run_routes
from server.web.sign_in import sign_in_routes
from server.web.test_clock import add_test_clock
from server.web.video_uploads import add_conflicts, upload_routes
from server.web.videos import job_routes, mall_routes, video_routes
from server.web.writes import add_replays
from server.wire import limits
from server.wire.errors import RemoteProtocolError
from server.wire.topics import parse_uplink

if TYPE_CHECKING:
    from server.app import App

API_PREFIX: Final = "/api/v1"
"""Before every route of the versioned API; health, metrics and the functions of seed 001 stand beside it."""


def http_app(app: App) -> Served:
    """The ASGI application of one server."""
    return Served(app, _api(isinstance(app.parts.clock, SteppedClock)))


@cache
def _api(has_test_clock: bool) -> FastAPI:
    """The routes of every server in this process."""
    app = CURRENT
    api = DescribedApi(
        title="wakestorm reference server",
        description="Device messages over HTTP; projects, images and their originals; malls, videos and their jobs.",
        version="1",
        docs_url=None,
        redoc_url=None,
    )
    add_problems(api)
    add_replays(api)
    add_conflicts(api)
    _include(api, app)

    @api.get("/health", responses=HEALTH)
    async def health() -> JSONResponse:
        parts = {
            "database": await app.store.is_alive(),
            "mqtt": app.mqtt.is_ready,
            "tasks": app.failure is None,
        }
        is_well = all(parts.values())
        return JSONResponse({"status": "ok" if is_well else "failing", **parts}, 200 if is_well else 503)

    @api.get("/metrics", response_class=Response, responses=METRICS)
    async def metrics() -> Response:
        with contextlib.suppress(*DATABASE_ERRORS):  # a database that is away is one more thing to be seen here
            app.metrics.show_originals(await app.originals.stats())
        return Response(app.metrics.text(), media_type="text/plain; version=0.0.4")

    @api.post(
        "/functions/v1/mqtt_device_handler",
        responses=DEVICE_MESSAGE,
        openapi_extra={"requestBody": DEVICE_MESSAGE_BODY},
    )
    async def device_message(request: Request) -> JSONResponse:
        topic, payload = _device_message(await request.body())
        if topic is None:
            return _problem(400, payload.decode())
        try:
            replies = await app.intake.handle(topic, payload)
        except ConnectionError as error:
            return _problem(503, str(error))
        answers = [{"topic": reply.topic, "payload": json.loads(reply.payload)} for reply in replies]
        return JSONResponse({"success": True, "replies": answers})

    @api.post("/functions/v1/monitor_image_timeouts", responses=MONITOR)
    async def monitor(request: Request) -> JSONResponse:
        if not _may_monitor(request.headers.get("authorization", ""), app.settings.monitor_token):
            return _problem(401, "a bearer token is needed; the server's --monitor-token sets it")
        try:
            tick = await app.monitor.tick()
        except DATABASE_ERRORS as error:
            return _problem(503, f"the database failed: {type(error).__name__}")
        return JSONResponse(tick.report(app.parts.clock.now()))

    api.add_middleware(Doors, server=app)
    if has_test_clock:
        add_test_clock(api, app)
    return api


def _include(api: FastAPI, app: App) -> None:
    """The versioned API, the sign-in and the pages."""
    versioned = APIRouter(prefix=API_PREFIX)
    for routes in (
        device_routes,
        device_image_routes,
        device_image_bytes,
        journal_routes,
        alert_routes,
        run_routes,
        project_routes,
        image_routes,
        original_routes,
        mall_routes,
        video_routes,
        job_routes,
    ):
        versioned.include_router(routes(app))
    versioned.include_router(upload_routes(app, API_PREFIX))
    api.include_router(versioned)
    api.include_router(sign_in_routes(app))
    api.include_router(device_pages(app))
    for pages in (alert_pages, journal_pages, run_pages, media_pages):
        api.include_router(pages(app))


def _device_message(body: bytes) -> tuple[str | None, bytes]:
    """(topic, payload), or (None, what is wrong)."""
    if len(body) > limits.PAYLOAD_SIZE_BYTES_MAX:
        return None, b"the body is too large"
    try:
        fields = json.loads(body)
        topic, payload = fields["topic"], fields["payload"]
        parse_uplink(topic)
        data = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, RemoteProtocolError) as error:
        return None, f'expected {{"topic": ..., "payload": {{...}}}}: {type(error).__name__}: {error}'.encode()
    return topic, data


def _may_monitor(header: str, token: str | None) -> bool:
    """Whether the Authorization header bears the token; takes as long for a wrong one as for the right one."""
    scheme, _, given = header.partition(" ")
    is_the_token = hmac.compare_digest(given.strip().encode(), (token or "").encode())
    return bool(token) and scheme.lower() == "bearer" and is_the_token


def _problem(status: int, detail: str) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"success": False, "error": detail}, status, headers)
