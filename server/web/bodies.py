"""How much of a request's body a server takes in: counted as it comes, for routes that would keep it all in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from starlette.exceptions import HTTPException

from server.wire import limits

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

BODY_BYTES_MAX: Final = 2 * limits.PAYLOAD_SIZE_BYTES_MAX
"""A device message, with what JSON puts around it; nothing else that is read whole is larger."""

COUNTED_ELSEWHERE: Final = (
    ("POST", "/api/v1/projects/{project_id}/images"),
    ("PUT", "/api/v1/videos/{video_id}/upload/parts/{part_number}"),
)
"""Routes that read their body piece by piece and have limits of their own."""


def refused_size(announced: str | None) -> str | None:
    """What is wrong with a Content-Length, None where nothing is: a body that is too large is not even begun."""
    if announced is None or not announced.isdecimal() or int(announced[:15]) <= BODY_BYTES_MAX:
        return None
    return f"the body has {announced[:15]} bytes; at most {BODY_BYTES_MAX} are taken"


def bounded(receive: Receive) -> Receive:
    """Gives the body on, and ends with 413 where more comes than a server takes, announced or not."""
    size_bytes = 0

    async def counted() -> MutableMapping[str, Any]:
        nonlocal size_bytes
        event = await receive()
        size_bytes += len(event.get("body", b""))
        if size_bytes > BODY_BYTES_MAX:
            raise HTTPException(413, f"the body has more than {BODY_BYTES_MAX} bytes")
        return event

    return counted
