"""`wakestorm originals stats`, `clean-up` and `back-fill`: what is done on database and store without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from server.clock import SystemClock
from server.database import reached
from server.ids import random_ids
from server.log import stream_log
from server.objects import ObjectStore, StoreFailed
from server.offload import PoolOffload
from server.originals import Originals
from server.projects import Projects
from server.serving import EXIT_USAGE, ServeError, words_of
from server.store import Store, open_pool


def originals_stats(url: str) -> dict[str, Any]:
    """TotalCount, TotalSize, OrphanedCount, OrphanedSize, AvgReferences and what they mean. Raises ServeError."""

    async def work() -> dict[str, Any]:
        async with _originals(url, ":memory:") as (originals, _):
            stats = await originals.stats()
            return asdict(stats) | {"dedup_rate": round(stats.dedup_rate, 4)}

    return reached(url, work())


def cleaned_up(url: str, objects: str, older_than_s: float, limit: int) -> dict[str, int]:
    """What the monitor does for originals, at once: how many of each. Raises ServeError."""

    async def work() -> dict[str, int]:
        async with _originals(url, objects) as (originals, _):
            older_than = timedelta(seconds=older_than_s)
            return {
                "mended": await originals.mend_counts(limit),
                "deleted": await originals.clean_up_orphaned_originals(older_than, limit),
                "swept": await originals.sweep(older_than),
            }

    return reached(url, work())


def back_filled(url: str, objects: str) -> tuple[int, int]:
    """(images that have an original now, images whose bytes could not be read). Raises ServeError."""

    async def work() -> tuple[int, int]:
        async with _originals(url, objects) as (_, projects):
            return await projects.back_fill()

    return reached(url, work())


@asynccontextmanager
async def _originals(url: str, objects_url: str) -> AsyncIterator[tuple[Originals, Projects]]:
    offload = PoolOffload()
    try:
        try:
            objects = ObjectStore(objects_url, offload)
        except Exception as error:  # whatever the object store thinks of its URL
            raise ServeError(f"objects {objects_url}: {words_of(error)}", EXIT_USAGE) from error
        async with await open_pool(url, size=2, timeout=10) as pool:
            originals = Originals(
                store=Store(pool),
                objects=objects,
                clock=SystemClock(),
                ids=random_ids(),
                log=stream_log(as_json=False),
            )
            yield originals, Projects(originals, offload, random_ids())
    except StoreFailed as error:
        raise ServeError(f"objects {objects_url}: {error}") from error
    finally:
        offload.close()
