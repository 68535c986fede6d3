"""Seed 000 on its own data: both errors of the document, their cure, the numbers, and the way back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import yaml

import server.database
from harness.bench.migration_benchmark import measure
from harness.bench.postgres import Cluster
from server.migrations import apply
from server.migrations.script import MigrationStuck
from tests.migration.support import Connection, Database
from tests.migration.test_history import SEED_000_LINES

pytestmark = pytest.mark.postgres

DUPLICATES = Path(server.database.__file__).with_name("demo_duplicates.sql").read_text(encoding="utf-8")
RESUME = "APPLY_IMAGE_RESUME_MIGRATION"
CONSTRAINT = (
    "ALTER TABLE device_images ADD CONSTRAINT device_images_device_id_image_name_key UNIQUE (device_id, image_name)"
)
FIVE_PARAMETERS = """
    CREATE OR REPLACE FUNCTION fn_wake_ingestion_handler(
        p_device_id UUID, p_captured_at TIMESTAMPTZ, p_image_name TEXT, p_telemetry_data JSONB,
        p_existing_image_id UUID DEFAULT NULL
    ) RETURNS void LANGUAGE sql AS 'SELECT 1'
"""
COMPLETE_OF_005 = UUID("cefbdf87-34d7-435b-9bf4-fd9f4b6c02c7")
ROWS = {
    "device_images": "image_id",
    "device_wake_payloads": "payload_id",
    "device_wake_sessions": "session_id",
    "device_sessions": "session_id",
    "device_ack_log": "ack_id",
}
"""Tables that the data fills, with their keys."""


class Cut(BaseException):
    """The migration's process is gone."""


async def _legacy(database: Database) -> None:
    await apply.upgrade(database.dsn(), "legacy_base")
    async with database.connect() as owner:
        await owner.execute(DUPLICATES)


async def _dump(connection: Connection, *tables: str) -> dict[str, list[asyncpg.Record]]:
    return {table: await connection.fetch(f"SELECT * FROM {table} ORDER BY {ROWS[table]}") for table in tables or ROWS}


async def test_the_data_is_the_documents(empty: Database) -> None:
    await _legacy(empty)
    async with empty.connect() as owner:
        groups = await owner.fetch(
            "SELECT right(d.device_code, 3) AS code, i.image_name, count(*) AS copies FROM device_images i "
            "JOIN devices d USING (device_id) GROUP BY d.device_code, i.device_id, i.image_name "
            "HAVING count(*) > 1 ORDER BY 1, 2"
        )
    found = {(row["code"], row["image_name"]): row["copies"] for row in groups}
    assert found == (
        {("002", f"image_{number}.jpg"): 2 for number in (4756, 49, 50, 51, 53)}
        | {("005", "image_1.jpg"): 41, ("015", "image_10567.jpg"): 3}
        | {("008", f"image_{number}.jpg"): 4 for number in range(101, 107)}
    )
    assert (len(found), sum(found.values())) == (13, 78)


async def test_without_the_clean_up_the_constraint_is_refused(empty: Database) -> None:
    await _legacy(empty)
    async with empty.connect() as owner:
        with pytest.raises(asyncpg.UniqueViolationError) as refused:
            await owner.execute(CONSTRAINT)
        assert refused.value.sqlstate == "23505"
        assert refused.value.message == 'could not create unique index "device_images_device_id_image_name_key"'
        assert refused.value.detail == (
            "Key (device_id, image_name)=(57b7f85e-354f-4a51-a8f8-5aecff515768, image_10567.jpg) is duplicated."
        )


@pytest.mark.parametrize(
    "statement",
    [
        "COMMENT ON FUNCTION fn_wake_ingestion_handler IS 'named without arguments'",
        "DROP FUNCTION fn_wake_ingestion_handler",
        "SELECT fn_wake_ingestion_handler(gen_random_uuid(), now(), 'image_1.jpg', '{}'::jsonb)",
    ],
)
async def test_two_handlers_are_ambiguous_until_the_old_one_is_dropped(empty: Database, statement: str) -> None:
    await apply.upgrade(empty.dsn(), "legacy_base")
    async with empty.connect() as owner:
        await owner.execute(FIVE_PARAMETERS)
        with pytest.raises(asyncpg.AmbiguousFunctionError, match="is not unique") as refused:
            await owner.execute(statement)
        assert refused.value.sqlstate == "42725"
        await owner.execute("DROP FUNCTION IF EXISTS fn_wake_ingestion_handler(UUID, TIMESTAMPTZ, TEXT, JSONB)")
        await owner.execute(statement)


async def test_a_handler_that_was_made_or_dropped_by_hand_does_not_stop_the_migration(empty: Database) -> None:
    await _legacy(empty)
    async with empty.connect() as owner:
        await owner.execute(FIVE_PARAMETERS)  # returns something else than the migration's
        await owner.execute("DROP FUNCTION fn_wake_ingestion_handler(uuid, timestamptz, text, jsonb)")
    await apply.upgrade(empty.dsn(), RESUME)
    async with empty.connect() as owner:
        row = await owner.fetchrow(
            "SELECT count(*), max(pronargs) FROM pg_proc WHERE proname = 'fn_wake_ingestion_handler'"
        )
    assert row is not None and tuple(row) == (1, 5)


async def test_78_become_13_and_65_are_kept_aside(empty: Database) -> None:
    await _legacy(empty)
    lines: list[str] = []
    async with empty.connect() as owner:
        before = await _dump(owner)
    await apply.upgrade(empty.dsn(), RESUME, lines.append)
    async with empty.connect() as owner:
        after = await _dump(owner)
        backup = await owner.fetch("SELECT * FROM device_images_duplicates_backup ORDER BY backup_id")
        kept = await owner.fetch(
            "SELECT i.image_id, i.image_name, i.status, i.received_chunks, i.captured_at FROM device_images i "
            "WHERE EXISTS (SELECT FROM device_images_duplicates_backup b WHERE b.kept_image_id = i.image_id)"
        )
    assert len(backup) == 65 and len(kept) == 13 and len(after["device_images"]) == 15
    assert lines[0] == "65 inferior duplicates moved to device_images_duplicates_backup"
    expected = [line.replace("database: 0", "database: 10") for line in SEED_000_LINES]
    assert lines[1:] == expected
    by_name = {row["image_name"]: row for row in kept}
    assert by_name["image_1.jpg"]["image_id"] == COMPLETE_OF_005
    assert by_name["image_1.jpg"]["received_chunks"] == 63
    for name in ("image_4756.jpg", "image_49.jpg", "image_50.jpg", "image_51.jpg", "image_53.jpg"):
        rows = [row for row in before["device_images"] if row["image_name"] == name]
        assert by_name[name]["captured_at"] == max(row["captured_at"] for row in rows)
    for number in range(101, 107):
        assert by_name[f"image_{number}.jpg"]["received_chunks"] == (70 if number <= 103 else 69)
    _nothing_is_lost(before, after, backup)


def _nothing_is_lost(
    before: dict[str, list[asyncpg.Record]], after: dict[str, list[asyncpg.Record]], backup: list[asyncpg.Record]
) -> None:
    columns = list(before["device_images"][0].keys())
    found = [tuple(row[column] for column in columns) for row in (*after["device_images"], *backup)]
    assert sorted(map(repr, found)) == sorted(repr(tuple(row)) for row in before["device_images"])
    kept_of = {row["image_id"]: row["kept_image_id"] for row in backup}
    for table, rows in before.items():
        if table != "device_images":
            pointing = "device_image_id" if table == "device_wake_payloads" else "image_id"
            for row, now in zip(rows, after[table], strict=True):
                wanted = dict(row) | {pointing: kept_of.get(row[pointing], row[pointing])}
                assert dict(now) == wanted, table


async def test_the_verification_queries_pass(empty: Database) -> None:
    await _legacy(empty)
    await apply.upgrade(empty.dsn())
    answers = await asyncio.to_thread(server.database.verified, empty.dsn())
    assert [(value, holds) for _, value, holds in answers[:4]] == [(0, True), (1, True), (5, True), (65, True)]


async def test_the_way_back_brings_every_row_back(empty: Database) -> None:
    await _legacy(empty)
    async with empty.connect() as owner:
        before = await _dump(owner)
    await apply.upgrade(empty.dsn(), RESUME)
    await apply.downgrade(empty.dsn(), "legacy_base")
    async with empty.connect() as owner:
        assert await _dump(owner) == before
        assert await owner.fetchval("SELECT to_regclass('device_images_duplicates_backup')") is None
        with pytest.raises(asyncpg.UniqueViolationError):
            await owner.execute(CONSTRAINT)
    await apply.upgrade(empty.dsn())
    async with empty.connect() as owner:
        assert await owner.fetchval("SELECT count(*) FROM device_images_duplicates_backup") == 65


async def test_again_and_again_changes_nothing(empty: Database) -> None:
    await _legacy(empty)
    await apply.upgrade(empty.dsn(), RESUME)
    async with empty.connect() as owner:
        before = await _dump(owner)
        assert await owner.fetchval("CALL clean_up_duplicate_images()") == 0
        await owner.execute("UPDATE alembic_version SET version_num = 'legacy_base'")
        await owner.execute("DROP TABLE duplicate_images_log")
        await owner.execute("DROP FUNCTION fn_check_image_resumable, fn_log_duplicate_image")
        await owner.execute("ALTER TABLE device_images DROP CONSTRAINT device_images_device_id_image_name_key")
    await apply.upgrade(empty.dsn(), RESUME)
    async with empty.connect() as owner:
        assert await _dump(owner) == before
        assert await owner.fetchval("SELECT count(*) FROM device_images_duplicates_backup") == 65


def _cutting(at: int) -> tuple[Callable[[str], None], list[str]]:
    seen: list[str] = []

    def before_statement(statement: str) -> None:
        seen.append(statement)
        if len(seen) == at:
            raise Cut

    return before_statement, seen


async def _upgraded_until(database: Database, cut_at: int) -> bool:
    """Migrates up to the statement of that number; False where there are fewer."""
    before_statement, _ = _cutting(cut_at)
    try:
        await apply.upgrade(database.dsn(), listener=apply.Listener(before_statement=before_statement))
    except Cut:
        return True
    return False


async def test_a_migration_that_is_cut_before_every_statement_comes_through(empty: Database) -> None:
    """One database, cut before statement 1, 2, 3 ... of what is left; each attempt leaves the verified rows alone."""
    await _legacy(empty)
    attempts, at = 0, 1
    while await _upgraded_until(empty, at):
        attempts += 1
        at = at + 1 if attempts % 3 else at + 7
        async with empty.connect() as owner:
            total = await owner.fetchval("SELECT count(*) FROM device_images")
            if await owner.fetchval("SELECT to_regclass('device_images_duplicates_backup')") is not None:
                total += await owner.fetchval("SELECT count(*) FROM device_images_duplicates_backup")
            assert total == 80, f"rows were lost before attempt {attempts}"
    assert attempts > 10
    answers = await asyncio.to_thread(server.database.verified, empty.dsn())
    assert all(holds for _, _, holds in answers[:5]), answers  # what follows is of the videos, whose history is another
    async with empty.connect() as owner:
        assert await owner.fetchval("SELECT count(*) FROM device_images_duplicates_backup") == 65


async def test_rows_that_come_between_clean_up_and_index_are_cleaned_up_too(empty: Database) -> None:
    await _legacy(empty)
    inserted: list[str] = []

    def insert_before_index(statement: str) -> None:
        if statement.startswith("CREATE UNIQUE INDEX CONCURRENTLY") and len(inserted) < 2:
            inserted.append(statement)
            asyncio.run(_late())

    async def _late() -> None:
        async with empty.connect() as owner:
            await owner.execute(
                "INSERT INTO device_images (device_id, image_name, captured_at) SELECT device_id, image_name, now() "
                "FROM device_images LIMIT 1"
            )

    def migrate() -> None:
        asyncio.run(
            apply.upgrade(empty.dsn(), listener=apply.Listener(before_statement=_in_thread(insert_before_index)))
        )

    await asyncio.to_thread(migrate)
    async with empty.connect() as owner:
        assert await owner.fetchval("SELECT count(*) FROM device_images_duplicates_backup") == 67
        assert await owner.fetchval("SELECT bool_and(indisvalid) FROM pg_index")
    answers = await asyncio.to_thread(server.database.verified, empty.dsn())
    assert all(holds for _, _, holds in answers[:5]), answers  # what follows is of the videos, whose history is another


def _in_thread(call: Callable[[str], Any]) -> Callable[[str], None]:
    """Runs the call in a thread that has no event loop, and waits."""
    from concurrent.futures import ThreadPoolExecutor

    def run(statement: str) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(call, statement).result()

    return run


async def test_rewriting_rows_does_not_make_them_look_new(empty: Database) -> None:
    await _legacy(empty)
    async with empty.connect() as owner:
        before = dict(await owner.fetch("SELECT image_id, updated_at FROM device_images"))
    await apply.upgrade(empty.dsn())
    async with empty.connect() as owner:
        after = dict(await owner.fetch("SELECT image_id, updated_at FROM device_images"))
        assert await owner.fetchval("SELECT bool_and(wire_image_name = image_name) FROM device_images")
    assert len(after) == 15 and all(before[image_id] == at for image_id, at in after.items())


async def test_somebody_who_holds_the_table_is_waited_for_and_named(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.migrations.script.LOCK_TRIES", 2)
    monkeypatch.setattr("server.migrations.script.LOCK_PAUSE_S", 0.01)
    await _legacy(empty)
    async with empty.connect() as other, other.transaction():
        await other.execute("LOCK TABLE device_images IN ACCESS SHARE MODE")
        with pytest.raises(MigrationStuck, match="stay locked by others"):
            await apply.upgrade(empty.dsn(), RESUME)
    await apply.upgrade(empty.dsn(), RESUME)
    assert await apply.current(empty.dsn()) == RESUME


def test_the_scenario_runs_the_demo(empty: Database) -> None:
    path = Path(__file__).parents[2] / "scenarios" / "migration" / "duplicates-of-seed-000-are-cleaned-up.yaml"
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["steps"][0]["given"]["sql"] == DUPLICATES


async def test_an_open_session_of_before_does_not_make_the_server_deaf(empty: Database) -> None:
    await _legacy(empty)
    async with empty.connect() as owner:
        await owner.execute(
            "INSERT INTO device_wake_sessions (device_id, wake_timestamp) SELECT device_id, '2025-12-01' FROM devices"
        )
        await owner.execute(
            "INSERT INTO device_wake_payloads (payload_id, device_id, captured_at, received_at) "
            "VALUES (md5('its own')::uuid, '57b7f85e-354f-4a51-a8f8-5aecff515768', '2025-12-01', '2025-12-02')"
        )
    await apply.upgrade(empty.dsn())
    async with empty.connect() as owner:
        rows = await owner.fetch(
            "SELECT s.device_id, p.payload_id = md5('its own')::uuid AS is_own, p.session_id = s.session_id AS linked "
            "FROM device_wake_sessions s JOIN device_wake_payloads p USING (payload_id) WHERE s.status = 'in_progress'"
        )
    assert len(rows) == 4 and all(row["linked"] for row in rows)
    assert [str(row["device_id"]) for row in rows if row["is_own"]] == ["57b7f85e-354f-4a51-a8f8-5aecff515768"]


async def test_ten_thousand_rows_with_duplicates_keep_the_lock_limit(cluster: Cluster) -> None:
    """The short form of `wakestorm bench migrate`: while somebody writes, nothing is lost and nobody locked out."""
    lines: list[str] = []
    report = await measure(cluster, "migration_short_form", rows=10_000, duplicate_percent=10, on_line=lines.append)
    assert (report.set_aside, report.images) == (1_000, 9_000 + report.written_meanwhile)
    assert report.written_meanwhile > 0 and "clean-up: 1000 of 1000 duplicates moved" in lines
    assert report.mistakes == []
