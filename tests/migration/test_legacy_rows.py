"""Rows of a deployment of 2025 on their way through every revision, and back."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from server.migrations import apply
from tests.migration.support import NOW, Connection, Database, add, add_chunks, add_device

pytestmark = pytest.mark.postgres

HOUR = timedelta(hours=1)


async def _legacy_image(connection: Connection, device_id: UUID, name: str, **columns: object) -> UUID:
    values: dict[str, object] = {"captured_at": NOW, "status": "receiving", "total_chunks": 4} | columns
    return await add(connection, "device_images", "image_id", device_id=device_id, image_name=name, **values)


async def _names(connection: Connection) -> list[tuple[UUID, str]]:
    rows = await connection.fetch("SELECT image_id, image_name FROM device_images ORDER BY image_id")
    return [(row["image_id"], row["image_name"]) for row in rows]


async def test_both_errors_of_seed_000_and_their_cure(empty: Database) -> None:
    await apply.upgrade(empty.dsn(), "legacy_base")
    async with empty.connect() as owner:
        device_id = await add_device(owner)
        for _ in range(3):
            await _legacy_image(owner, device_id, "image_10567.jpg")
        constraint = "ADD CONSTRAINT device_images_device_id_image_name_key UNIQUE (device_id, image_name)"
        with pytest.raises(asyncpg.UniqueViolationError):
            await owner.execute(f"ALTER TABLE device_images {constraint}")
        async with owner.transaction():
            await owner.execute(
                "CREATE FUNCTION fn_wake_ingestion_handler(uuid, timestamptz, text, jsonb, uuid DEFAULT NULL) "
                "RETURNS void LANGUAGE sql AS 'SELECT 1'"
            )
            with pytest.raises(asyncpg.AmbiguousFunctionError):
                async with owner.transaction():
                    await owner.execute("COMMENT ON FUNCTION fn_wake_ingestion_handler IS 'x'")
            await owner.execute("DROP FUNCTION fn_wake_ingestion_handler(uuid, timestamptz, text, jsonb, uuid)")
    await apply.upgrade(empty.dsn())
    async with empty.connect() as owner:
        assert await owner.fetchval("SELECT count(*) FROM device_images") == 1
        assert await owner.fetchval("SELECT count(*) FROM device_images_duplicates_backup") == 2
        assert await owner.fetchval("SELECT pronargs FROM pg_proc WHERE proname = 'fn_wake_ingestion_handler'") == 5


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"status": "complete", "received_chunks": 1}, {"status": "receiving", "received_chunks": 4}),
        ({"status": "receiving", "received_chunks": 0}, {"status": "pending", "received_chunks": 2}),
        ({"status": "pending"}, {"status": "failed", "received_chunks": 4}),
        ({"received_chunks": 3, "total_chunks": 4}, {"received_chunks": 5, "total_chunks": 10}),
        ({"updated_at": NOW}, {"updated_at": NOW - HOUR, "captured_at": NOW + HOUR}),
        ({"updated_at": NOW, "captured_at": NOW}, {"updated_at": NOW, "captured_at": NOW - HOUR}),
    ],
)
async def test_the_best_version_stays(empty: Database, better: dict[str, object], worse: dict[str, object]) -> None:
    await apply.upgrade(empty.dsn(), "legacy_base")
    async with empty.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        removed = await _legacy_image(owner, device_id, "image_1.jpg", **worse)
        kept = await _legacy_image(owner, device_id, "image_1.jpg", **better)
        await add(owner, "device_wake_payloads", "payload_id", device_id=device_id, captured_at=NOW,
                  device_image_id=removed)  # fmt: skip
    await apply.upgrade(empty.dsn(), "APPLY_IMAGE_RESUME_MIGRATION")
    async with empty.connect() as owner:
        assert await owner.fetchval("SELECT image_id FROM device_images") == kept
        backup = await owner.fetchrow("SELECT image_id, kept_image_id FROM device_images_duplicates_backup")
        assert backup is not None and tuple(backup) == (removed, kept)
        assert await owner.fetchval("SELECT device_image_id FROM device_wake_payloads") == kept
        assert await owner.fetchval("CALL clean_up_duplicate_images()") == 0


async def test_removed_duplicates_return_on_the_way_down(empty: Database) -> None:
    await apply.upgrade(empty.dsn(), "legacy_base")
    async with empty.connect() as owner:
        device_id = await add_device(owner)
        for number in range(5):
            await _legacy_image(owner, device_id, "image_1.jpg", received_chunks=number)
        before = await _names(owner)
    await apply.upgrade(empty.dsn())
    await apply.downgrade(empty.dsn(), "legacy_base")
    async with empty.connect() as owner:
        assert await _names(owner) == before


async def test_sessions_are_carried_over_and_history_points_at_them(empty: Database) -> None:
    await apply.upgrade(empty.dsn(), "20251108200001_session_and_timeout_fix")
    async with empty.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        old = await add(
            owner, "device_sessions", "session_id", device_id=device_id, session_start_time=NOW,
            session_end_time=NOW + HOUR, status="completed", chunks_sent=4, chunks_total=4,
        )  # fmt: skip
        newer = await add(owner, "device_wake_sessions", "session_id", device_id=device_id)
        await owner.execute(
            "INSERT INTO device_history (device_id, event_category, event_type, session_id) "
            "VALUES ($1, 'Wake', 'legacy_word', $2)", device_id, old,
        )  # fmt: skip
    await apply.upgrade(empty.dsn())
    async with empty.connect() as owner:
        session = await owner.fetchrow("SELECT * FROM device_wake_sessions WHERE session_id = $1", old)
        target = await owner.fetchval(
            "SELECT confrelid::regclass::text FROM pg_constraint WHERE conname = 'device_history_session_id_fkey'"
        )
        assert session is not None
        assert (session["session_duration_ms"], session["status"], session["wake_timestamp"]) == (
            3_600_000, "completed", NOW,
        )  # fmt: skip
        assert target == "device_wake_sessions"
        assert await owner.fetchval("SELECT session_id FROM device_history") == old
        assert await owner.fetchval("SELECT to_regclass('device_sessions')") is None
        assert await owner.fetchval("SELECT count(*) FROM device_sessions_backup") == 1
    await apply.downgrade(empty.dsn(), "20251108200001_session_and_timeout_fix")
    async with empty.connect() as owner:
        assert [row[0] for row in await owner.fetch("SELECT session_id FROM device_sessions")] == [old]
        assert [row[0] for row in await owner.fetch("SELECT session_id FROM device_wake_sessions")] == [newer]


async def test_sessions_without_chunks_or_with_an_absurd_end_are_carried_over(empty: Database) -> None:
    await apply.upgrade(empty.dsn(), "20251108200001_session_and_timeout_fix")
    async with empty.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        bare = await add(owner, "device_sessions", "session_id", device_id=device_id, status="completed")
        late = await add(
            owner, "device_sessions", "session_id", device_id=device_id, session_start_time=NOW,
            session_end_time=NOW + 24 * 60 * HOUR, status="timeout", chunks_sent=1, chunks_total=4,
        )  # fmt: skip
    await apply.upgrade(empty.dsn())
    async with empty.connect() as owner:
        rows = await owner.fetch("SELECT session_id, session_duration_ms, transmission_complete, status "
                                 "FROM device_wake_sessions")  # fmt: skip
    assert {row[0]: tuple(row)[1:] for row in rows} == {
        bare: (None, False, "completed"), late: (None, False, "timeout"),
    }  # fmt: skip


async def test_history_that_points_nowhere_says_so(empty: Database) -> None:
    await apply.upgrade(empty.dsn(), "20251108200001_session_and_timeout_fix")
    lost = UUID(int=7)
    async with empty.connect() as owner:
        device_id = await add_device(owner)
        await owner.execute("DROP TABLE device_sessions CASCADE")
        await owner.execute(
            "INSERT INTO device_history (device_id, event_category, event_type, session_id) "
            "VALUES ($1, 'wake', 'wake_session_started', $2)", device_id, lost,
        )  # fmt: skip
    await apply.upgrade(empty.dsn())
    async with empty.connect() as owner:
        row = await owner.fetchrow("SELECT session_id, event_data FROM device_history")
    assert row is not None and row["session_id"] is None
    assert json.loads(row["event_data"]) == {"lost_session_id": str(lost)}


async def test_chunks_find_their_image_and_the_count_follows_what_is_there(empty: Database) -> None:
    await apply.upgrade(empty.dsn(), "legacy_base")
    async with empty.connect() as owner:
        device_id = await add_device(owner)
        half = await _legacy_image(owner, device_id, "image_1.jpg", received_chunks=2)
        gone = await _legacy_image(owner, device_id, "image_2.jpg", received_chunks=3)
        for name, index in (("image_1.jpg", 0), ("image_1.jpg", 2), ("image_9.jpg", 1)):
            await owner.execute(
                "INSERT INTO device_image_chunks (device_mac, image_name, chunk_index, data) "
                "VALUES ('AABBCCDDEEFF', $1, $2, 'x')", name, index,
            )  # fmt: skip
    await apply.upgrade(empty.dsn())
    async with empty.connect() as owner:
        counts = {row["image_id"]: row["received_chunks"] for row in await owner.fetch("SELECT * FROM device_images")}
        assert counts == {half: 2, gone: 0}
        assert await owner.fetchval("SELECT fn_missing_chunks($1)", half) == [1, 3]
        staged = await owner.fetchrow("SELECT wire_image_name, chunk_index FROM device_image_chunks_staged")
        assert staged is not None and tuple(staged) == ("image_9.jpg", 1)
    await apply.downgrade(empty.dsn(), "legacy_base")
    async with empty.connect() as owner:
        rows = await owner.fetch("SELECT image_name, chunk_index FROM device_image_chunks ORDER BY 1, 2")
    assert [tuple(row) for row in rows] == [("image_1.jpg", 0), ("image_1.jpg", 2), ("image_9.jpg", 1)]


async def test_of_several_open_sessions_the_newest_stays_open(empty: Database) -> None:
    await apply.upgrade(empty.dsn(), "20251108210000_remove_duplicate_device_sessions")
    async with empty.connect() as owner:
        device_id = await add_device(owner)
        for number in range(3):
            await add(owner, "device_wake_sessions", "session_id", device_id=device_id,
                      wake_timestamp=NOW + number * HOUR)  # fmt: skip
    await apply.upgrade(empty.dsn())
    async with empty.connect() as owner:
        rows = await owner.fetch("SELECT status FROM device_wake_sessions ORDER BY wake_timestamp")
    assert [row["status"] for row in rows] == ["timeout", "timeout", "in_progress"]


async def test_rows_of_today_survive_the_way_down_and_up(empty: Database) -> None:
    await apply.upgrade(empty.dsn())
    async with empty.connect(now=NOW) as owner:
        device_id = await add_device(owner, next_wake_at=NOW, wake_schedule_cron="0 */3 * * *")
        for day in range(2):
            row = await owner.fetchrow(
                "SELECT * FROM fn_wake_ingestion_handler($1, $2, 'image_1.jpg', '{\"total_chunks\": 4}')",
                device_id, NOW + day * 24 * HOUR,
            )  # fmt: skip
        assert row is not None
        await add_chunks(owner, row["image_id"], 0, 3)
        await owner.execute("UPDATE device_wake_payloads SET protocol_state = 'ack_pending_sent'")
        await owner.execute("UPDATE device_images SET retry_count = 1 WHERE status = 'pending'")
        assert len(await owner.fetch("SELECT * FROM timeout_stale_images()")) == 1
        before = await owner.fetch("SELECT image_id, image_name, status FROM device_images ORDER BY image_name")
        chunks = await owner.fetch("SELECT * FROM device_image_chunks ORDER BY chunk_index")
    await apply.downgrade(empty.dsn(), "legacy_base")
    await apply.upgrade(empty.dsn())
    async with empty.connect() as owner:
        assert await owner.fetch("SELECT image_id, image_name, status FROM device_images ORDER BY image_name") == before
        assert await owner.fetch("SELECT * FROM device_image_chunks ORDER BY chunk_index") == chunks
        assert await owner.fetchval("SELECT count(*) FROM device_commands WHERE command_type = 'retry_image'") == 1
