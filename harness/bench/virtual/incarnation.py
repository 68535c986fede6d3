"""Who a piece of running code belongs to: one incarnation of one process, on one host.

Every task, timer and connection keeps the context it was made in, so a crash can find all of them by tag.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

current_incarnation: Final[ContextVar[str | None]] = ContextVar("current_incarnation", default=None)
"""Tag of the incarnation that is running, for example `server#2`; None is the bench itself."""

current_host: Final[ContextVar[str]] = ContextVar("current_host", default="bench")
"""Name of the simulated machine that connections are opened from."""


@contextmanager
def running_as(incarnation: str | None, host: str) -> Iterator[None]:
    """What is started inside belongs to this incarnation on this host; tags are never used twice."""
    incarnation_token = current_incarnation.set(incarnation)
    host_token = current_host.set(host)
    try:
        yield
    finally:
        current_host.reset(host_token)
        current_incarnation.reset(incarnation_token)
