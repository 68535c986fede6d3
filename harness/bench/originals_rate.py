"""How many originals a second one server takes in, shares and lets go: over its HTTP API, in one process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from harness.bench.originals_storm import BOUNDARY, StandingClock, multipart, photo, settings_in_place
from harness.bench.postgres_cluster import SERVER, Cluster
from harness.bench.virtual.asgi import exchange_with
from harness.plan_steps import HttpExchange
from server.app import App, Parts, new_inline_offload, new_seeded_ids, open_pool

CONCURRENCY: Final = 8
POOL_SIZE: Final = 8


@dataclass(frozen=True, slots=True)
class Rate:
    """One kind of work: how many, and in how many seconds."""

    what: str
    count: int
    seconds: float

    @property
    def per_second(self) -> float:
        """How many a second."""
        return self.count / self.seconds


async def measured(
    cluster: Cluster, database: str, objects_url: str, count: int, stopwatch: Callable[[], float]
) -> list[Rate]:
    """New originals, references to one that is there, and deletions, `count` of each, CONCURRENCY at a time."""
    pool = await open_pool(cluster.dsn(database, SERVER), size=POOL_SIZE)
    try:
        app = _app(pool, objects_url)
        _, project = await _exchange(app, "POST", "/api/v1/projects", json.dumps({"name": "rate"}).encode())
        path = f"/api/v1/projects/{project['id']}/images"
        images: list[str] = []

        async def upload(number: int) -> None:
            status, answer = await _exchange(app, "POST", path, multipart(photo(number), ("original",)))
            assert status == 201, answer
            images.append(answer[0]["id"])

        async def delete(number: int) -> None:
            status, answer = await _exchange(app, "DELETE", f"/api/v1/images/{images[number]}", None)
            assert status == 204, answer

        return [
            await _timed("new originals", [upload(number) for number in range(count)], stopwatch),
            await _timed("references to one original", [upload(0) for _ in range(count)], stopwatch),
            await _timed("deletions, half with their original", [delete(n) for n in range(2 * count)], stopwatch),
        ]
    finally:
        pool.terminate()


async def _timed(what: str, work: Sequence[Coroutine[Any, Any, None]], stopwatch: Callable[[], float]) -> Rate:
    places = asyncio.Semaphore(CONCURRENCY)

    async def one(task: Coroutine[Any, Any, None]) -> None:
        async with places:
            await task

    start = stopwatch()
    await asyncio.gather(*(one(task) for task in work))
    return Rate(what, len(work), stopwatch() - start)


def _app(pool: asyncpg.Pool[Any], objects_url: str) -> App:
    parts = Parts(
        clock=StandingClock(),
        ids=new_seeded_ids("rate"),
        pool=pool,
        offload=new_inline_offload(),
        log=lambda level, line, *, device: None,
    )
    return App(settings_in_place(objects_url), parts)


async def _exchange(app: App, method: str, path: str, body: bytes | None) -> tuple[int, Any]:
    is_form = body is not None and body.startswith(b"--")
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"} if is_form else {}
    exchange = HttpExchange(
        method=method, path=path, headers=headers, body=body, which=0, status=None, contains=None, text=None
    )
    answer = await exchange_with(app.asgi(), exchange)
    return answer.status, json.loads(answer.body) if answer.body else None
