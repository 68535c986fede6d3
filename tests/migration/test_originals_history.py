"""0014_create_original_images_table: up, down, back-fill; counts that follow rows deleted from under them."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from server.migrations import apply, describe
from tests.migration.support import NOW, Connection, Database, add, add_device, add_image, run_alembic

pytestmark = pytest.mark.postgres

REVISIONS = ["0013_create_projects_and_images", "0014_create_original_images_table"]
HASHES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(4)]


def key_of(content_hash: str) -> str:
    return f"originals/{content_hash[:2]}/{content_hash}"


async def _stored(connection: Connection, device_id: UUID, name: str, content_hash: str, **columns: Any) -> UUID:
    values = {"sha256": content_hash, "object_key": key_of(content_hash), "image_size": 10, "status": "complete"}
    return await add_image(connection, device_id, name, **(values | columns))


async def _upload(connection: Connection, project_id: UUID, url: str, **columns: Any) -> UUID:
    values = {"file_name": "a.jpg", "original_url": url, "file_size": 10, "mime_type": "image/jpeg"} | columns
    return await add(connection, "images", "id", project_id=project_id, **values)


async def _counts(connection: Connection) -> dict[str, int]:
    rows = await connection.fetch(
        "SELECT content_hash, reference_count, fn_count_original_references(id) AS real FROM original_images"
    )
    assert all(row["reference_count"] == row["real"] for row in rows), rows
    return {row["content_hash"]: row["reference_count"] for row in rows}


async def test_every_step_down_undoes_its_step_up(empty: Database) -> None:
    await apply.upgrade(empty.dsn())
    pages = [describe.to_markdown(await describe.read(empty.dsn()))]
    for revision in REVISIONS:
        await apply.upgrade(empty.dsn(), revision, history="originals")
        assert await apply.current(empty.dsn(), history="originals") == revision
        pages.append(describe.to_markdown(await describe.read(empty.dsn())))
    await apply.downgrade(empty.dsn(), REVISIONS[0], history="originals")
    assert describe.to_markdown(await describe.read(empty.dsn())) == pages[1]
    await apply.downgrade(empty.dsn(), history="originals")
    assert describe.to_markdown(await describe.read(empty.dsn())) == pages[0]
    await apply.upgrade(empty.dsn(), history="originals")
    assert describe.to_markdown(await describe.read(empty.dsn())) == pages[-1]


async def test_images_that_are_there_get_their_originals_and_keep_their_addresses_on_the_way_down(
    empty: Database,
) -> None:
    await apply.upgrade(empty.dsn())
    await apply.upgrade(empty.dsn(), REVISIONS[0], history="originals")
    async with empty.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        await _stored(owner, device_id, "image_1.jpg", HASHES[0])
        await _stored(owner, device_id, "image_2.jpg", HASHES[0])
        await _stored(owner, device_id, "image_3.jpg", HASHES[1])
        await add_image(owner, device_id, "image_4.jpg")
        project_id = await add(owner, "projects", "id", name="yard")
        await _upload(owner, project_id, key_of(HASHES[0]))
        await _upload(owner, project_id, key_of(HASHES[2]))
        await _upload(owner, project_id, key_of(HASHES[3]), deleted_at=NOW)
        await _upload(owner, project_id, "uploads/of-old.jpg")
        before = await owner.fetch("SELECT id, original_url, updated_at FROM images ORDER BY id")
        times = await owner.fetch("SELECT image_id, updated_at FROM device_images ORDER BY 1")
    await apply.upgrade(empty.dsn(), history="originals")
    async with empty.connect() as owner:
        assert await _counts(owner) == {HASHES[0]: 3, HASHES[1]: 1, HASHES[2]: 1}
        assert await owner.fetchval("SELECT count(*) FROM images WHERE original_image_id IS NULL") == 2
        assert times == await owner.fetch("SELECT image_id, updated_at FROM device_images ORDER BY 1")
        assert await owner.fetchval("CALL back_fill_originals()") == 0, "a second time has nothing to do"
    await apply.downgrade(empty.dsn(), REVISIONS[0], history="originals")
    async with empty.connect() as owner:
        after = await owner.fetch("SELECT id, original_url, updated_at FROM images ORDER BY id")
        assert [row[:2] for row in map(tuple, after)] == [row[:2] for row in map(tuple, before)]
        assert await owner.fetchval("SELECT count(*) FROM device_images WHERE object_key IS NOT NULL") == 3
    await apply.upgrade(empty.dsn(), history="originals")
    async with empty.connect() as owner:
        assert await _counts(owner) == {HASHES[0]: 3, HASHES[1]: 1, HASHES[2]: 1}


async def test_rows_deleted_by_anybody_release_their_references(migrated: Database) -> None:
    async with migrated.connect() as owner:
        devices = [await add_device(owner, mac) for mac in ("AAAAAAAAAAAA", "BBBBBBBBBBBB")]
        for device_id in devices:
            await _stored(owner, device_id, "image_1.jpg", HASHES[0])
            await _stored(owner, device_id, "image_2.jpg", HASHES[1])
        company_id = await add(owner, "companies", "company_id", company_name="Acorn")
        project_id = await add(owner, "projects", "id", name="yard", company_id=company_id)
        await _upload(owner, project_id, key_of(HASHES[0]))
        await _upload(owner, project_id, key_of(HASHES[0]))
        assert await owner.fetchval("CALL back_fill_originals()") == 6
        assert await _counts(owner) == {HASHES[0]: 4, HASHES[1]: 2}
        await owner.execute("DELETE FROM device_images WHERE device_id = $1 AND image_name = 'image_2.jpg'", devices[0])
        assert await _counts(owner) == {HASHES[0]: 4, HASHES[1]: 1}
        await owner.execute("DELETE FROM devices")
        assert await _counts(owner) == {HASHES[0]: 2, HASHES[1]: 0}
        await owner.execute("DELETE FROM companies")
        assert await _counts(owner) == {HASHES[0]: 0, HASHES[1]: 0}


async def test_an_original_with_references_can_not_be_deleted(migrated: Database) -> None:
    async with migrated.connect() as owner:
        await _stored(owner, await add_device(owner), "image_1.jpg", HASHES[0])
        await owner.fetchval("CALL back_fill_originals()")
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await owner.execute("DELETE FROM original_images")


async def test_a_count_that_can_not_be_lowered_does_not_stop_the_deletion(migrated: Database) -> None:
    warnings: list[str] = []
    async with migrated.connect() as owner:
        await _stored(owner, await add_device(owner), "image_1.jpg", HASHES[0])
        await owner.fetchval("CALL back_fill_originals()")
        await owner.execute("ALTER TABLE original_images ADD CONSTRAINT broken CHECK (reference_count > 0)")
        owner.add_log_listener(lambda _, message: warnings.append(message.message))
        await owner.execute("DELETE FROM devices")
        await asyncio.sleep(0)
        assert await owner.fetchval("SELECT count(*) FROM device_images") == 0
        assert warnings[0].startswith("failed to decrement original reference")


def test_plain_alembic_knows_the_history(empty: Database) -> None:
    alembic = partial(run_alembic, empty.dsn())
    refused = alembic("-n", "originals", "upgrade", "head")
    assert refused.returncode != 0
    assert "the originals need the newest schema of the cameras" in refused.stderr
    assert alembic("upgrade", "head").returncode == 0
    assert alembic("-n", "originals", "upgrade", "head").returncode == 0
    assert alembic("-n", "originals", "current").stdout.split()[0] == REVISIONS[-1]
    assert alembic("-n", "originals", "downgrade", "base").returncode == 0
