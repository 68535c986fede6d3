"""How fast one server takes videos in: parts over its HTTP API, then put together, hashed, probed and stored."""

from __future__ import annotations

import json
import statistics
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from harness.bench.originals_storm import StandingClock, settings_in_place
from harness.bench.postgres_cluster import SERVER, Cluster
from harness.bench.virtual.asgi import exchange_with
from harness.plan_steps import HttpExchange
from harness.sample_video import sample_video
from server.app import App, Parts, new_inline_offload, new_seeded_ids, open_pool

PART_SIZE_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class VideoRate:
    """Medians over the rounds, in MB (1,000,000 bytes) a second."""

    parts_mb_per_s: float
    complete_mb_per_s: float
    whole_mb_per_s: float


def video_of_size(number: int, size_bytes: int) -> bytes:
    """A video with a box behind it that players skip, so that it has that size and bytes of its own."""
    video = sample_video(number)
    box = max(16, size_bytes - len(video))
    return video + struct.pack(">I4sQ", box, b"free", number) + bytes(box - 16)


async def measured(
    cluster: Cluster, database: str, objects_url: str, size_bytes: int, rounds: int, stopwatch: Callable[[], float]
) -> VideoRate:
    """Uploads one video after another, each other bytes; raises AssertionError where one is refused."""
    pool = await open_pool(cluster.dsn(database, SERVER), size=2)
    try:
        app = _app(pool, objects_url)
        mall = await _exchange(app, "POST", "/api/v1/malls", {"name": "rate"})
        pin = await _exchange(app, "POST", f"/api/v1/malls/{mall['id']}/pins", {"name": "rate"})
        times = [await _round(app, pin["id"], video_of_size(n, size_bytes), stopwatch) for n in range(rounds)]
    finally:
        pool.terminate()
    mb = size_bytes / 1e6
    return VideoRate(
        parts_mb_per_s=mb / statistics.median(parts for parts, _ in times),
        complete_mb_per_s=mb / statistics.median(complete for _, complete in times),
        whole_mb_per_s=mb / statistics.median(parts + complete for parts, complete in times),
    )


async def _round(app: App, pin_id: str, data: bytes, stopwatch: Callable[[], float]) -> tuple[float, float]:
    """Seconds of the parts, seconds of completing."""
    said = {"pin_id": pin_id, "filename": "rate.mp4", "size_bytes": len(data), "part_size_bytes": PART_SIZE_BYTES}
    start = stopwatch()
    upload = await _exchange(app, "POST", "/api/v1/videos/uploads", said)
    for part in upload["parts"]:
        offset = part["offset_bytes"]
        await _exchange(app, "PUT", part["url"], data[offset : offset + part["size_bytes"]])
    sent = stopwatch()
    await _exchange(app, "POST", f"/api/v1/videos/{upload['video_id']}/upload/complete", None)
    return sent - start, stopwatch() - sent


def _app(pool: Any, objects_url: str) -> App:
    parts = Parts(
        clock=StandingClock(),
        ids=new_seeded_ids("rate"),
        pool=pool,
        offload=new_inline_offload(),
        log=lambda level, line, *, device: None,
    )
    return App(settings_in_place(objects_url), parts)


async def _exchange(app: App, method: str, path: str, said: bytes | dict[str, Any] | None) -> Any:
    is_part = isinstance(said, bytes)
    exchange = HttpExchange(
        method=method,
        path=path,
        headers={"content-type": "application/octet-stream"} if is_part else {},
        body=said if isinstance(said, bytes) or said is None else json.dumps(said).encode(),
        which=0,
        status=None,
        contains=None,
        text=None,
    )
    answer = await exchange_with(app.asgi(), exchange)
    assert answer.status < 400, answer.body
    return json.loads(answer.body)
