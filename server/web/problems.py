"""Refusals as problem details (RFC 9457): one shape for every error of the HTTP API."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from server.devices import NotFound, NotNow
from server.hashing import HashFormatError
from server.objects import StoreFailed
from server.projects import UploadRefused
from server.store import DATABASE_ERRORS
from server.web.rendering import page_response

MEDIA_TYPE: Final = "application/problem+json"

NO_JSON: Final = "the body is no JSON in UTF-8, or nested too deep"
_BODY_UNREADABLE: Final = "There was an error parsing the body"
"""FastAPI's words for a body whose bytes its JSON parser stumbles over."""

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}


class Problem(Exception):
    """A refusal with its status; the detail says what was wrong and what is right."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def problem_response(status: int, detail: str, headers: dict[str, str] | None = None, **more: object) -> JSONResponse:
    """The answer of a refusal; `more` are members of its own (RFC 9457, 3.2)."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail} | more
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer: everything outside of the HTTP API that asks for HTML."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def refusal(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """A refusal as a page for people, as problem details for programs."""
    if not wants_page(request):
        return problem_response(status, detail, headers)
    answer = page_response(request, "refused.html", status, detail=detail)
    answer.headers.update(headers or {})
    return answer


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: which refusals it may give."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": SCHEMA}}}
        for status in statuses
    }


def _invalid(request: Request, error: dict[str, Any]) -> str:
    """What of a request does not fit, where, and what was found there."""
    place = [str(part) for part in error["loc"]]
    if error["type"] == "json_invalid":
        return f"the body is no JSON: {error.get('ctx', {}).get('error', 'it breaks off')} at character {place[-1]}"
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if place == ["body"] and "json" not in kind:
        return f"send the body as content-type: application/json, not {kind[:40] or 'without one'}"
    return f"{'.'.join(place)}: {error['msg']}"


def add_problems(api: FastAPI) -> None:
    """Every error that a route may meet becomes a problem; a bug stays a bug."""

    @api.exception_handler(Problem)
    async def refused(request: Request, error: Problem) -> Response:
        return refusal(request, error.status, error.detail)

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return refusal(request, 422, _invalid(request, error.errors()[0])[:500])

    @api.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        detail = NO_JSON if error.detail == _BODY_UNREADABLE else str(error.detail)
        return refusal(request, error.status_code, detail, dict(error.headers or {}))

    async def unprocessable(request: Request, error: Exception) -> Response:
        return refusal(request, 422, str(error))

    async def unavailable(request: Request, error: Exception) -> Response:
        is_store = isinstance(error, StoreFailed)
        if is_store or request.method == "GET":
            outcome = "nothing was changed, try again"
        else:  # the answer to a COMMIT may be what was lost
            outcome = "whether it was done is not known; send it again with the same Idempotency-Key"
        part = "object store" if is_store else "database"
        return refusal(request, 503, f"the {part} failed: {type(error).__name__}; {outcome}")

    @api.exception_handler(NotFound)
    async def missing(request: Request, error: NotFound) -> Response:
        return refusal(request, 404, str(error))

    @api.exception_handler(NotNow)
    async def conflicting(request: Request, error: NotNow) -> Response:
        return refusal(request, 409, str(error))

    for kind in (UploadRefused, HashFormatError):
        api.add_exception_handler(kind, unprocessable)
    for failure in (StoreFailed, *DATABASE_ERRORS):
        api.add_exception_handler(failure, unavailable)
