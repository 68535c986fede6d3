"""The server that a request is for.

Routes are made once for a process and answer for every server in it: to make them takes a third of a CPU second, and a
bench starts servers by the hundred.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, cast

from server.web.charts import Fleet
from server.web.live import Streams
from server.web.thumbnails import Thumbnails

if TYPE_CHECKING:
    from server.app import App


class Site:
    """One server, and what its pages keep from one request to the next."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.fleet = Fleet(app)
        self.streams = Streams()
        self.thumbnails = Thumbnails(app.parts.offload)


_SITE: Final[ContextVar[Site]] = ContextVar("site")


class _Current:
    """Stands for the server that the request at hand is for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_SITE.get().app, name)


CURRENT: Final = cast("App", _Current())
"""What routes are made with; a LookupError outside of a request."""


def site() -> Site:
    """The server that the request at hand is for, with what its pages keep."""
    return _SITE.get()


class Served:
    """The ASGI application of one server: the routes of all, told which server they speak for."""

    def __init__(self, app: App, api: Any) -> None:
        self.api = api
        self.site: Final = Site(app)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        token = _SITE.set(self.site)
        try:
            await self.api(scope, receive, send)
        finally:
            _SITE.reset(token)
