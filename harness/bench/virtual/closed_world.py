"""What has no place in virtual time: everything that would go on in real time without being counted."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn


def refuse(what: str) -> NoReturn:
    """What would go on in real time, uncounted, is an error of the caller."""
    raise NotImplementedError(
        f"{what} is not possible on the virtual loop: it would go on in real time; use the processes bench"
    )


class ClosedWorldLoop(asyncio.SelectorEventLoop):
    """A loop that starts no subprocess and watches no file descriptor of others."""

    async def start_tls(self, *_args: Any, **_options: Any) -> NoReturn:
        """Refused as a connection error, so that `sslmode=prefer` goes on without TLS."""
        raise ConnectionError("TLS can not be metered on the virtual loop: use sslmode=disable")

    async def subprocess_exec(self, *_args: Any, **_options: Any) -> NoReturn:
        refuse("an asyncio subprocess")

    async def subprocess_shell(self, *_args: Any, **_options: Any) -> NoReturn:
        refuse("an asyncio subprocess")

    async def create_datagram_endpoint(self, *_args: Any, **_options: Any) -> NoReturn:
        refuse("a datagram socket")

    async def create_unix_server(self, *_args: Any, **_options: Any) -> NoReturn:
        refuse("a real listening socket")

    async def connect_read_pipe(self, *_args: Any, **_options: Any) -> NoReturn:
        refuse("a pipe")

    async def connect_write_pipe(self, *_args: Any, **_options: Any) -> NoReturn:
        refuse("a pipe")

    def add_reader(self, *_args: Any, **_options: Any) -> NoReturn:  # type: ignore[override]
        refuse("watching a real file descriptor")

    def add_writer(self, *_args: Any, **_options: Any) -> NoReturn:  # type: ignore[override]
        refuse("watching a real file descriptor")
