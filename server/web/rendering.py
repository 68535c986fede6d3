"""The door to Jinja2: pages out of `templates/`, everything escaped; and the files of `static/`."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

STATIC: Final = {
    "style.css": "text/css",
    "live.js": "text/javascript",
    "upload.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_STEPS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("server.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["moment"] = moment
    return environment


def render(template: str, **values: Any) -> str:
    """A template as text."""
    return _environment().get_template(template).render(**values)


def page_response(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A whole page; it knows its visitor (None: a stranger) and the token of its forms."""
    state = request.scope.get("state", {})
    visitor = state.get("visitor")
    token = state.get("form_token", "") if visitor is None else visitor.csrf_token
    title = f"{status} {HTTPStatus(status).phrase}"
    text = render(template, visitor=visitor, csrf_token=token, status_title=title, path=request.url.path, **values)
    return HTMLResponse(text, status)


@cache
def static_file(name: str) -> bytes | None:
    """The bytes of a file of STATIC; None for any other name."""
    if name not in STATIC:
        return None
    return resources.files("server.web").joinpath("static", name).read_bytes()


def moment(value: datetime | None, now: datetime) -> Markup:
    """A `<time>` that says how long ago or how soon; its tooltip is the moment itself, UTC."""
    if value is None:
        return Markup('<span class="none">never</span>')
    exact = f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(value.isoformat(), exact, distance(value, now))


def distance(value: datetime, now: datetime) -> str:
    """`3 h ago`, `in 5 min`, `just now`."""
    seconds = (value - now).total_seconds()
    for unit, length in _STEPS:
        if abs(seconds) >= length:
            count = int(abs(seconds) // length)
            return f"in {count} {unit}" if seconds > 0 else f"{count} {unit} ago"
    return "just now"
