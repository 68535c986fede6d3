"""Servers of one process share their routes, and nothing else."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx

from server.web import http_app


def _server(is_ready: bool, gate: asyncio.Event) -> Any:
    async def is_alive() -> bool:
        await gate.wait()
        return True

    return SimpleNamespace(
        settings=SimpleNamespace(insecure_local=True),
        parts=SimpleNamespace(clock=object(), offload=None),
        store=SimpleNamespace(is_alive=is_alive),
        mqtt=SimpleNamespace(is_ready=is_ready),
        failure=None,
        accounts=SimpleNamespace(new_token=lambda: "0" * 43),
    )


async def _asked(served: Any) -> Any:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://localhost") as http:
        return (await http.get("/health")).json()["mqtt"]


def test_each_request_is_answered_by_its_own_server() -> None:
    """Both are under way at once, and each waits in its server before it looks at it again."""

    async def body() -> None:
        gate = asyncio.Event()
        servers = [http_app(_server(is_ready, gate)) for is_ready in (True, False, True)]
        asked = [asyncio.create_task(_asked(served)) for served in servers]
        await asyncio.sleep(0)
        gate.set()
        assert await asyncio.gather(*asked) == [True, False, True]

    asyncio.run(body())


def test_what_a_servers_pages_keep_is_its_own() -> None:
    """Figures, streams and small pictures of one server are never shown by another."""
    first, second = (http_app(_server(True, asyncio.Event())) for _ in range(2))
    assert first.api is second.api
    for name in ("fleet", "streams", "thumbnails"):
        assert getattr(first.site, name) is not getattr(second.site, name)
