"""kill -9 between every two statements of a migration, of the cameras and of the originals; and in the middle of one.

Each time on a copy of the seed's legacy database: nothing may be lost where the migration died, and started again it
ends as if it had never been disturbed. By night before every statement, else before some.
"""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

import server.database
from harness.bench.postgres import Cluster
from server.migrations import apply
from tests.migration.support import NOW, Database, add, add_device, add_image
from tests.migration.test_seed_000 import DUPLICATES

pytestmark = pytest.mark.postgres

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["server.migrations.apply", "alembic.command", "sqlalchemy.dialects.postgresql.asyncpg"])

SHORT = (9, 150)
STATEMENTS_MIN = 200
ROWS_IN_ALL = 80
ORIGINALS = "0014_create_original_images_table"
PHOTOS = 60


def _migrate(dsn: str, kill_before: int) -> None:
    """In a process of its own, which kills itself before that statement, counted over all histories."""
    count = 0

    def before_statement(_: str) -> None:
        nonlocal count
        count += 1
        if count == kill_before:
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(apply.move_all(dsn, listener=apply.Listener(before_statement=before_statement)))


def _was_killed(dsn: str, kill_before: int) -> bool:
    process = SPAWN.Process(target=_migrate, args=(dsn, kill_before))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


async def _copied(cluster: Cluster, template: str, name: str) -> Database:
    await cluster.drop_database(name)
    await cluster.create_database(name, template)
    return Database(cluster, name)


async def _legacy(database: Database) -> None:
    await apply.upgrade(database.dsn(), "legacy_base")
    async with database.connect() as owner:
        await owner.execute(DUPLICATES)


async def _assert_nothing_is_lost(database: Database, number: int) -> None:
    async with database.connect() as owner:
        total = await owner.fetchval("SELECT count(*) FROM device_images")
        if await owner.fetchval("SELECT to_regclass('device_images_duplicates_backup')") is not None:
            total += await owner.fetchval("SELECT count(*) FROM device_images_duplicates_backup")
        assert total == ROWS_IN_ALL, f"killed before statement {number}"


async def _assert_comes_through(database: Database, number: int) -> None:
    await apply.move_all(database.dsn())
    answers = await asyncio.to_thread(server.database.verified, database.dsn())
    assert [value for _, value, _ in answers[:4]] == [0, 1, 5, 65], f"killed before statement {number}"
    assert all(holds for _, _, holds in answers), f"killed before statement {number}: {answers}"
    async with database.connect() as owner:
        assert await owner.fetchval("SELECT bool_and(indisvalid) FROM pg_index"), f"killed before statement {number}"
    for history in apply.HISTORIES:
        assert await apply.current(database.dsn(), history=history) == apply.head_of(history)


async def _killed_at(empty: Database, numbers: Iterator[int]) -> int:
    """Returns how many statements there are, or the last number."""
    await _legacy(empty)
    number = 0
    for number in numbers:
        copy = await _copied(empty.cluster, empty.name, f"{empty.name}_killed")
        try:
            if not await asyncio.to_thread(_was_killed, copy.dsn(), number):
                return number - 1
            await _assert_nothing_is_lost(copy, number)
            await _assert_comes_through(copy, number)
        finally:
            await empty.cluster.drop_database(copy.name)
    return number


async def test_kill_9_between_statements(empty: Database) -> None:
    assert await _killed_at(empty, iter(SHORT)) == SHORT[-1], "there were fewer statements"


@pytest.mark.night
async def test_kill_9_between_every_two_statements(empty: Database) -> None:
    assert await _killed_at(empty, iter(range(1, 1_000))) >= STATEMENTS_MIN


async def _photos(database: Database) -> None:
    """Complete photos from before originals, every third with the bytes of another one, and an upload of each kind."""
    await apply.upgrade(database.dsn())
    await apply.upgrade(database.dsn(), "0013_create_projects_and_images", history="originals")
    async with database.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        project_id = await add(owner, "projects", "id", name="yard")
        for number in range(PHOTOS):
            sha256 = hashlib.sha256(str(number // 3).encode()).hexdigest()
            key = f"originals/{sha256[:2]}/{sha256}"
            stored = {"sha256": sha256, "object_key": key, "image_size": 10, "status": "complete"}
            stored["metadata"] = '"' + "x" * 1_500 + '"'  # so that they take more than a page
            await add_image(owner, device_id, f"image_{number}.jpg", **stored)
            if number % 5 == 0:
                await add(owner, "images", "id", project_id=project_id, file_name="a", original_url=key, file_size=10)


async def _assert_counted(database: Database, killed: Any) -> None:
    async with database.connect() as owner:
        counts = await owner.fetch(
            "SELECT reference_count, fn_count_original_references(id) AS rows_there FROM original_images"
        )
    assert all(row["reference_count"] == row["rows_there"] for row in counts), killed
    assert (len(counts), sum(row["reference_count"] for row in counts)) == (PHOTOS // 3, PHOTOS + PHOTOS // 5), killed


async def _originals_killed_at(empty: Database, numbers: Iterator[int]) -> int:
    await _photos(empty)
    number = 0
    for number in numbers:
        copy = await _copied(empty.cluster, empty.name, f"{empty.name}_killed")
        try:
            is_killed = await asyncio.to_thread(_was_killed, copy.dsn(), number)
            await apply.move_all(copy.dsn())
            await _assert_counted(copy, number)
        finally:
            await empty.cluster.drop_database(copy.name)
        if not is_killed:
            break
    return number


async def test_kill_9_between_statements_of_the_originals(empty: Database) -> None:
    assert await _originals_killed_at(empty, iter((14,))) == 14


@pytest.mark.night
async def test_kill_9_between_every_two_statements_of_the_originals(empty: Database) -> None:
    assert await _originals_killed_at(empty, iter(range(1, 1_000))) > 20


async def test_a_back_fill_whose_backend_is_killed_after_every_batch_goes_on(empty: Database) -> None:
    await _photos(empty)
    await apply.upgrade(empty.dsn(), history="originals")
    async with empty.connect() as owner:
        await owner.execute(
            "UPDATE device_images SET original_image_id = NULL; UPDATE images SET original_image_id = NULL;"
            "DELETE FROM original_images"
        )
        attempts = 0
        while not await _filled_until_killed(empty):
            attempts += 1
            wrong = "SELECT count(*) FROM original_images WHERE reference_count <> fn_count_original_references(id)"
            assert await owner.fetchval(wrong) == 0, "each batch is whole"
    assert attempts > 0
    await _assert_counted(empty, attempts)


async def _filled_until_killed(database: Database) -> bool:
    """Whether a back-fill came to its end; its backend is killed once a batch with rows is done."""
    async with database.connect() as other, database.connect() as filling:
        before = await other.fetchval("SELECT count(*) FROM original_images")
        pid = filling.get_server_pid()
        filled = asyncio.create_task(filling.execute("CALL back_fill_originals(p_pages_per_batch => 1)"))
        while not filled.done():
            if await other.fetchval("SELECT count(*) FROM original_images") > before:
                await other.execute("SELECT pg_terminate_backend($1)", pid)
                break
        await asyncio.gather(filled, return_exceptions=True)
        return filled.exception() is None
