"""Routes of a server under `--test-clock`: a bench steps its clock, and asks whether it has anything left to do."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from server.clock import SteppedClock

if TYPE_CHECKING:
    from server.app import App

MARK = "[TestClock] mark"
"""Begins the log line that `GET /test-clock?mark=7` leaves: whoever has read it has read all lines before it."""

_TURNS_AFTER_STEP = 20
"""Turns of the loop in which what a step made due begins; then it shows as not idle."""


def add_test_clock(api: FastAPI, app: App) -> None:
    """`POST /test-clock {"advance_ms": n}` or `{"advance_to": moment}`, and `GET /test-clock`."""

    @api.post("/test-clock", include_in_schema=False)
    async def advance(request: Request) -> JSONResponse:
        try:
            clock = _clock(app)
            clock.advance(_step(json.loads(await request.body()), clock))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            return JSONResponse({"error": f'expected {{"advance_ms": n}} or {{"advance_to": moment}}: {error}'}, 400)
        for _ in range(_TURNS_AFTER_STEP):
            await asyncio.sleep(0)
        return JSONResponse(_state(app))

    @api.get("/test-clock", include_in_schema=False)
    async def state(mark: int | None = None) -> JSONResponse:
        if mark is not None:
            app.parts.log("debug", f"{MARK} {mark}", device=None)
        return JSONResponse(_state(app))


def _step(body: dict[str, Any], clock: SteppedClock) -> timedelta:
    """How far; a moment that is past already is no step."""
    if "advance_to" in body:
        return max(timedelta(), datetime.fromisoformat(body["advance_to"]) - clock.now())
    return timedelta(milliseconds=int(body["advance_ms"]))


def _clock(app: App) -> SteppedClock:
    assert isinstance(app.parts.clock, SteppedClock)
    return app.parts.clock


def _state(app: App) -> dict[str, Any]:
    clock = _clock(app)
    next_due = clock.next_due
    return {
        "now": clock.now().isoformat(),
        "next_due": None if next_due is None else next_due.isoformat(),
        "is_ready": app.mqtt.is_ready,
        "is_idle": app.intake.is_idle and not app.monitor.is_busy,
        "in_flight": app.mqtt.in_flight,
        "outgoing": app.mqtt.outgoing,
        "fences": {} if app.fences is None else app.fences.seen,
    }
