"""Damaged copies are kept for a person to look at, and can not fill a disk: so many of an image, for so long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.bench.postgres import SERVER, run_blocking
from server.store import MONITOR, Store, open_pool
from server.upkeep import COPIES_ASIDE_KEPT_FOR
from server.writing import COPIES_ASIDE_MAX, WRITE
from tests.conftest import Database
from tests.migration import support

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
KEPT = "SELECT DISTINCT attempt FROM device_image_chunks_aside WHERE image_id = $1 ORDER BY attempt"


async def _damaged_copies(database: Database, count: int, **image: Any) -> Any:
    """An image of which that many copies came, all of them damaged; returns its id."""
    async with (
        support.Database(database.cluster, database.name).connect(now=NOW) as owner,
        await open_pool(database.dsn(SERVER), size=2) as pool,
    ):
        device_id = await support.add_device(owner)
        image_id = await support.add_image(owner, device_id, **image)
        for attempt in range(count):
            await support.add_chunks(owner, image_id, 0, 1)
            async with Store(pool).transaction(NOW) as connection:
                await connection.execute(
                    WRITE["set_chunks_aside"], image_id, attempt, "no JPEG end marker", COPIES_ASIDE_MAX
                )
    return image_id


async def _kept(database: Database, image_id: Any, later: timedelta) -> list[int]:
    """Attempts that are there after the daily sweep of that moment."""
    async with (
        await open_pool(database.dsn(SERVER), size=2) as pool,
        Store(pool).transaction(NOW + later) as connection,
    ):
        await connection.execute(MONITOR["forget_copies_aside"], COPIES_ASIDE_KEPT_FOR)
        return [row["attempt"] for row in await connection.fetch(KEPT, image_id)]


def test_the_newest_copies_of_an_image_are_kept(migrated_database: Database) -> None:
    async def body() -> None:
        image_id = await _damaged_copies(migrated_database, 5)
        assert await _kept(migrated_database, image_id, timedelta()) == [2, 3, 4]

    run_blocking(body())


@pytest.mark.parametrize(
    ("retry_count", "later", "kept"),
    [
        pytest.param(3, COPIES_ASIDE_KEPT_FOR, [0, 1], id="given up, on the last day"),
        pytest.param(3, COPIES_ASIDE_KEPT_FOR + timedelta(seconds=1), [], id="given up, after it"),
        pytest.param(2, 2 * COPIES_ASIDE_KEPT_FOR, [0, 1], id="still asked for"),
    ],
)
def test_copies_of_images_that_are_over_go_in_the_end(
    migrated_database: Database, retry_count: int, later: timedelta, kept: list[int]
) -> None:
    async def body() -> None:
        image_id = await _damaged_copies(migrated_database, 2, status="failed", retry_count=retry_count)
        assert await _kept(migrated_database, image_id, later) == kept

    run_blocking(body())
