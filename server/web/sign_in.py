"""Signing in and out, and the files that pages need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from server.accounts import SESSION_MAX, TooManyAttempts
from server.web.doors import SESSION_COOKIE, cookie
from server.web.problems import Problem
from server.web.rendering import STATIC, page_response, static_file
from server.web.rights import Right, entry_of

if TYPE_CHECKING:
    from server.app import App

START: Final = "/devices"
"""Where one arrives after the sign-in, and at `/`."""

_TEXT_CHARS_MAX: Final = 1_024


def sign_in_routes(app: App) -> APIRouter:
    """The way in for browsers."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def begin() -> Response:
        return RedirectResponse(START, 303)

    @router.get("/sign-in")
    async def show(request: Request, next: Annotated[str, Query(max_length=_TEXT_CHARS_MAX)] = START) -> Response:
        if request.state.visitor is not None:
            return RedirectResponse(_page(next), 303)
        return page_response(request, "sign_in.html", next=_page(next), problem=None, name="")

    @router.post("/sign-in")
    async def sign_in(
        request: Request,
        name: Annotated[str, Form(max_length=_TEXT_CHARS_MAX)] = "",
        password: Annotated[str, Form(max_length=_TEXT_CHARS_MAX)] = "",
        next: Annotated[str, Form(max_length=_TEXT_CHARS_MAX)] = START,
    ) -> Response:
        address = request.client.host if request.client else "unknown"
        try:
            token = await app.accounts.sign_in(name, password, address)
        except TooManyAttempts as error:
            problem = str(error).capitalize() + "."
            answer = page_response(request, "sign_in.html", 429, next=_page(next), problem=problem, name=name)
            answer.headers["Retry-After"] = str(error.retry_after_s)
            return answer
        if token is None:
            problem = "No user has this name and password."
            return page_response(request, "sign_in.html", 401, next=_page(next), problem=problem, name=name)
        await _end_session(request)
        redirect = RedirectResponse(_page(next), 303)
        lifetime_s = int(SESSION_MAX.total_seconds())
        redirect.headers.append("Set-Cookie", cookie(request, SESSION_COOKIE, token, max_age_s=lifetime_s))
        return redirect

    @router.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        await _end_session(request)
        redirect = RedirectResponse("/sign-in", 303)
        redirect.headers.append("Set-Cookie", cookie(request, SESSION_COOKIE, "", max_age_s=0))
        return redirect

    async def _end_session(request: Request) -> None:
        old = request.cookies.get(SESSION_COOKIE)
        if old:
            await app.accounts.sign_out(old)

    @router.get("/static/{name}")
    async def static(name: str) -> Response:
        data = static_file(name)
        if data is None:
            raise Problem(404, "there is nothing at this address")
        return Response(data, media_type=STATIC[name], headers={"Cache-Control": "no-cache"})

    return router


def _page(address: str) -> str:
    """An address of this server that is a page for those who sign in, else the start."""
    path = address.partition("?")[0]
    entry = entry_of("GET", path)
    if entry is None or entry.right is Right.EVERYBODY or path.startswith("/api/") or path.endswith("/events"):
        return START
    return address if address.isascii() and address.isprintable() and "\\" not in address else START
