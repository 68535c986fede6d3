"""What stands before every route: who asks, whether they may, whether a person meant it; and the headers of answers.

Nothing of a request's body is read before its sender may call the route. Who changes something with a cookie proves by
a token that a page of this server asked for it; a bearer token in a header proves that by being there.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, quote, urlsplit
from uuid import UUID

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from server.accounts import Visitor
from server.store import DATABASE_ERRORS, WHOSE, Whose
from server.web.bodies import COUNTED_ELSEWHERE, bounded, refused_size
from server.web.problems import refusal, wants_page
from server.web.rights import Entry, Right, entry_of, methods_of
from server.web.visible import is_visible
from server.wire.states import Role, SignInKind

if TYPE_CHECKING:
    from server.app import App

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Inner = Callable[[Scope, Receive, Send], Awaitable[None]]

SESSION_COOKIE: Final = "wakestorm_session"
FORM_COOKIE: Final = "wakestorm_form"
"""Proves forms of those who have no session: on the page of sign-in, and everywhere under --insecure-local."""
CSRF_FIELD: Final = "csrf_token"
CSRF_HEADER: Final = "x-csrf-token"
FORM_BYTES_MAX: Final = 64 * 1024
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
FORM_TYPE: Final = "application/x-www-form-urlencoded"

SECURITY_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer that does not say otherwise itself."""

_SAFE: Final = ("GET", "HEAD")


class Refused(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


class Doors:
    """An ASGI app around the routes. Puts the visitor into `request.state.visitor`."""

    def __init__(self, app: Inner, server: App) -> None:
        self._inner = app
        self._app = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self._inner(scope, receive, send)
            return
        request = Request(scope)
        cookies: list[str] = []
        answer = _with_headers(send, cookies)
        try:
            entry = self._entry(request)
            visitor = await self._visitor(request, entry, cookies)
            self._check_right(entry, visitor)
            receive = await self._meant(request, _counted(request, entry, receive), entry, visitor)
        except Refused as refusal:
            await _refusal(request, refusal)(scope, receive, answer)
            return
        except DATABASE_ERRORS as error:
            detail = f"the database failed: {type(error).__name__}; nothing was changed, try again"
            await _refusal(request, Refused(503, detail))(scope, receive, answer)
            return
        state = scope.setdefault("state", {})
        state["visitor"] = visitor
        if visitor is not None and visitor.kind is not None:
            state["owner"] = visitor.name  # whose idempotency keys the request may meet
        await self._as_visitor(scope, receive, answer, entry, visitor)

    async def _as_visitor(
        self, scope: Scope, receive: Receive, answer: Send, entry: Entry, visitor: Visitor | None
    ) -> None:
        """The route itself. What one company's user reads, the database's own rule guards; before a write it says which
        of the rows that the path names are there for that company."""
        request, company_id = Request(scope), None if visitor is None else visitor.company_id
        if company_id is None:
            await self._inner(scope, receive, answer)
            return
        token = WHOSE.set(Whose(company_id))
        try:
            if request.method not in _SAFE:
                refused = await self._missing(entry, request.url.path)
                if refused is not None:
                    await _refusal(request, refused)(scope, receive, answer)
                    return
                WHOSE.set(Whose(company_id, is_guarded=False))
            await self._inner(scope, receive, answer)
        finally:
            WHOSE.reset(token)

    async def _missing(self, entry: Entry, path: str) -> Refused | None:
        """Where a path names what this visitor's company does not have; None: all is there, or is no id at all."""
        match = entry.pattern.fullmatch(path)
        for name, text in ({} if match is None else match.groupdict()).items():
            try:
                with contextlib.suppress(ValueError):  # the route says what is wrong with it
                    if not await is_visible(self._app, entry.template, name, UUID(text)):
                        return Refused(404, f"no {name.removesuffix('_id').replace('_', ' ')} {text}")
            except DATABASE_ERRORS as error:
                detail = f"the database failed: {type(error).__name__}; nothing was changed, try again"
                return Refused(503, detail)
        return None

    def _entry(self, request: Request) -> Entry:
        if self._app.settings.insecure_local:
            _check_host(request)
        entry = entry_of(request.method, request.url.path)
        if entry is not None:
            return entry
        methods = methods_of(request.url.path)
        if methods:
            raise Refused(405, f"{request.method} is not for this address", {"Allow": ", ".join(methods)})
        raise Refused(404, "there is nothing at this address")

    async def _visitor(self, request: Request, entry: Entry, cookies: list[str]) -> Visitor | None:
        """Who asks; None: a stranger. Those without a session get a cookie for forms with the first page."""
        if entry.right in (Right.OWN_TOKEN, Right.BENCH):
            return None
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            visitor = await self._app.accounts.visitor(bearer.strip(), SignInKind.TOKEN)
            if visitor is None:
                raise Refused(401, "this bearer token is not known, or no longer good", {"WWW-Authenticate": "Bearer"})
            return visitor
        session = request.cookies.get(SESSION_COOKIE)
        visitor = None if session is None else await self._app.accounts.visitor(session, SignInKind.BROWSER)
        if visitor is not None:
            return visitor
        token = request.cookies.get(FORM_COOKIE, "")
        if request.method in _SAFE and len(token) < 32:
            token = self._app.accounts.new_token()
            cookies.append(cookie(request, FORM_COOKIE, token, same_site="Strict"))
        request.scope.setdefault("state", {})["form_token"] = token
        return Visitor("local", Role.ADMIN, None, token) if self._app.settings.insecure_local else None

    def _check_right(self, entry: Entry, visitor: Visitor | None) -> None:
        role = entry.right.role
        if role is None:
            return
        if visitor is None:
            raise Refused(401, "sign in first, or send a bearer token", {"WWW-Authenticate": "Bearer"})
        if not visitor.may(role):
            raise Refused(403, f"this needs the role {role}; {visitor.name} is {visitor.role}")
        if entry.scope is not None and not visitor.has_scope(entry.scope):
            scopes = ", ".join(sorted(visitor.scopes or ()))
            said = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{entry.scope}"'}
            raise Refused(403, f"this needs the scope {entry.scope}; this token has {scopes}", said)
        if visitor.company_id is not None and not entry.is_by_company:
            raise Refused(403, "this is for users of every company")

    async def _meant(self, request: Request, receive: Receive, entry: Entry, visitor: Visitor | None) -> Receive:
        """Refuses what a page from elsewhere made a browser send; returns the body, where it had to be read."""
        if request.method in _SAFE or entry.right in (Right.OWN_TOKEN, Right.BENCH):
            return receive
        if visitor is not None and visitor.kind is SignInKind.TOKEN:
            return receive
        _check_origin(request)
        is_form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM_TYPE
        if self._app.settings.insecure_local and not is_form and entry.template.startswith(("/api/", "/functions/")):
            return receive  # no browser sends this unasked from elsewhere without an Origin, which was looked at
        wanted = request.state.form_token if visitor is None else visitor.csrf_token
        given = request.headers.get(CSRF_HEADER)
        if given is None and is_form:
            body, receive = await _read(receive, 415 if entry.template.startswith("/api/") else 413)
            given = parse_qs(body.decode("utf-8", "replace")).get(CSRF_FIELD, [""])[0]
        if not wanted or not hmac.compare_digest((given or "").encode(), wanted.encode()):
            raise Refused(403, "the form is too old, or did not come from this server: load its page again")
        return receive


def _counted(request: Request, entry: Entry, receive: Receive) -> Receive:
    """The body within its limit. Raises Refused where its sender says that it is larger."""
    if (request.method, entry.template) in COUNTED_ELSEWHERE:
        return receive
    wrong = refused_size(request.headers.get("content-length"))
    if wrong is not None:
        raise Refused(413, wrong)
    return bounded(receive)


def visitor_of(request: Request) -> Visitor:
    """Who asks, in a route whose right is a role."""
    visitor: Visitor = request.state.visitor
    return visitor


def cookie(request: Request, name: str, value: str, *, same_site: str = "Lax", max_age_s: int | None = None) -> str:
    """A Set-Cookie header that scripts can't read; for TLS only where the request came so."""
    parts = [f"{name}={value}", "Path=/", "HttpOnly", f"SameSite={same_site}"]
    if max_age_s is not None:
        parts.append(f"Max-Age={max_age_s}")
    if request.url.scheme == "https":
        parts.append("Secure")
    return "; ".join(parts)


def _check_host(request: Request) -> None:
    """Under --insecure-local a name that leads here from elsewhere (DNS rebinding) is refused."""
    host = request.headers.get("host")
    if host is not None and urlsplit(f"//{host}").hostname not in LOCAL_NAMES:
        raise Refused(421, "--insecure-local answers to localhost, 127.0.0.1 and [::1] only")


def _check_origin(request: Request) -> None:
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Refused(403, "this request was made by a page of another origin")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused(403, "this request was made by a page of another origin")


async def _read(receive: Receive, status_of_more: int) -> tuple[bytes, Receive]:
    """The body of a form, and what gives it once more. Raises Refused, with that status where more comes than fits."""
    body = bytearray()
    is_whole = False
    while not is_whole:
        event = await receive()
        if event["type"] != "http.request":
            raise Refused(400, "the form was cut off")
        body += event.get("body", b"")
        if len(body) > FORM_BYTES_MAX:
            detail = f"a body of the type {FORM_TYPE} has at most {FORM_BYTES_MAX} bytes"
            if status_of_more == 415:
                detail += "; files go as multipart/form-data, all else as application/json"
            raise Refused(status_of_more, detail)
        is_whole = not event.get("more_body", False)
    events: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def again() -> MutableMapping[str, Any]:
        return events.pop() if events else await receive()

    return bytes(body), again


def _with_headers(send: Send, cookies: list[str]) -> Send:
    async def sent(event: MutableMapping[str, Any]) -> None:
        if event["type"] == "http.response.start":
            headers = MutableHeaders(raw=event.setdefault("headers", []))
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            for line in cookies:
                headers.append("set-cookie", line)
            event["headers"] = headers.raw
        await send(event)

    return sent


def _refusal(request: Request, refused: Refused) -> Response:
    """Strangers who want a page are led to the sign-in; everybody else is told."""
    if refused.status == 401 and request.method in _SAFE and wants_page(request):
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(path, safe='')}", 303)
    return refusal(request, refused.status, refused.detail, refused.headers)
