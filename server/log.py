"""Structured log lines of one app, through structlog; a bench passes a function of its own."""

from __future__ import annotations

import os
import sys
from typing import Any, Protocol

import structlog


class Log(Protocol):
    """One line: level, text, and the device it is about."""

    def __call__(self, level: str, line: str, *, device: str | None) -> None:
        """Write it."""
        ...


def stream_log(stream: Any = None, *, as_json: bool = True) -> Log:
    """Lines to a stream (standard error by default), as JSON or for people."""
    stream = stream or sys.stderr
    colors = stream.isatty() and "NO_COLOR" not in os.environ
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=colors)
    logger = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
    )

    def write(level: str, line: str, *, device: str | None) -> None:
        fields = {} if device is None else {"device": device}
        getattr(logger, level)(line, **fields)

    return write
