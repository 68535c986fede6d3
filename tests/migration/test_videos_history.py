"""839d4ee251e4 and 002_phase_2_video_mgmt: to the letter, up, down, drift, and the commands that cure."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from harness.cli import exit_code_of
from harness.tables import VIDEO_REVISIONS
from server import phase2_schema
from server.migrations import apply, describe
from server.migrations.environment import engine_for
from server.videos_model import Model, ProcessingJob, Video
from tests.migration.support import Connection, Database, add, run_alembic

pytestmark = pytest.mark.postgres

BEFORE, AFTER = VIDEO_REVISIONS


def _db(database: Database, *words: str) -> int:
    return exit_code_of(["db", words[0], *words[1:], "--database-url", database.dsn()])


async def _pin(connection: Connection) -> tuple[UUID, UUID]:
    mall_id = await add(connection, "malls", "id", name="Northgate")
    return mall_id, await add(connection, "camera_pins", "id", mall_id=mall_id, name="entrance")


async def _legacy_video(connection: Connection, pin_id: UUID, name: str = "a.mp4") -> UUID:
    return await add(connection, "videos", "id", camera_pin_id=pin_id, file_path=f"/srv/{name}", original_filename=name)


async def test_every_step_down_undoes_its_step_up(empty: Database) -> None:
    # covers: seed-004/revision seed-004/rollback
    assert list(VIDEO_REVISIONS) == apply.revisions("videos")
    await apply.upgrade(empty.dsn())
    pages = [describe.to_markdown(await describe.read(empty.dsn()))]
    for revision in VIDEO_REVISIONS:
        await apply.upgrade(empty.dsn(), revision, history="videos")
        assert await apply.current(empty.dsn(), history="videos") == revision
        pages.append(describe.to_markdown(await describe.read(empty.dsn())))
    await apply.downgrade(empty.dsn(), BEFORE, history="videos")
    assert describe.to_markdown(await describe.read(empty.dsn())) == pages[1]
    await apply.downgrade(empty.dsn(), history="videos")
    assert describe.to_markdown(await describe.read(empty.dsn())) == pages[0]
    await apply.upgrade(empty.dsn(), history="videos")
    assert describe.to_markdown(await describe.read(empty.dsn())) == pages[2]


async def test_the_schema_is_the_documents_to_the_letter(migrated: Database) -> None:
    # covers: seed-004/videos-columns seed-004/videos-indexes seed-004/videos-foreign-keys seed-004/jobs-table
    # covers: seed-004/jobs-indexes seed-004/verify-script
    assert (len(phase2_schema.VIDEO_COLUMNS), len(phase2_schema.LEGACY_COLUMNS)) == (20, 5)
    assert (len(phase2_schema.JOB_COLUMNS), len(phase2_schema.INDEXES), len(phase2_schema.FOREIGN_KEYS)) == (11, 11, 4)
    assert sum("DESC" in definition for definition in phase2_schema.INDEXES.values()) == 3
    async with migrated.connect() as owner:
        answers = await phase2_schema.verify_phase2_schema(owner)
        assert [answer for answer in answers if not answer.holds] == []
        columns = await owner.fetchval(
            "SELECT count(*) FROM information_schema.columns WHERE table_name = 'processing_jobs'"
        )
        assert columns == 11
        indexes = await owner.fetch("SELECT indexname FROM pg_indexes WHERE tablename IN ('videos', 'processing_jobs')")
        others = {row["indexname"] for row in indexes} - set(phase2_schema.INDEXES)
        assert others == {"videos_pkey", "processing_jobs_pkey", "ix_videos_camera_pin_id"}


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("ALTER TABLE videos ALTER COLUMN fps TYPE numeric(6, 2)", "fps is numeric(6,2), not numeric(5,2)"),
        ("DROP INDEX ix_videos_recorded_at", "ix_videos_recorded_at is missing"),
        ("ALTER TABLE videos DROP CONSTRAINT fk_videos_uploaded_by", "fk_videos_uploaded_by is missing"),
        ("ALTER TABLE processing_jobs DROP COLUMN worker_hostname", "worker_hostname is missing"),
    ],
)
async def test_verify_finds_what_is_not_as_it_should_be(migrated: Database, damage: str, told: str) -> None:
    async with migrated.connect() as owner:
        await owner.execute(damage)
        wrong = [answer for answer in await phase2_schema.verify_phase2_schema(owner) if not answer.holds]
    assert len(wrong) == 1 and told in wrong[0].found
    assert await apply.drift(migrated.dsn()) is not None


async def test_models_and_tables_have_not_drifted_apart(migrated: Database) -> None:
    assert await apply.drift(migrated.dsn()) is None


async def test_the_models_load_and_their_relationships_work(migrated: Database) -> None:
    # covers: seed-004/test-models seed-004/jobs-cascade
    async with migrated.connect() as owner:
        mall_id, pin_id = await _pin(owner)
        video_id = await add(owner, "videos", "id", mall_id=mall_id, pin_id=pin_id, filename="a.mp4")
        await add(owner, "processing_jobs", "id", video_id=video_id, job_type="proxy_generation")
    assert {"videos", "processing_jobs"} <= set(Model.metadata.tables)
    engine = engine_for(migrated.dsn(), None)
    async with AsyncSession(engine) as session:
        wanted = select(Video).options(selectinload(Video.mall), selectinload(Video.processing_jobs))
        video = (await session.scalars(wanted)).one()
        assert (video.mall.name, video.upload_status, video.filename) == ("Northgate", "uploading", "a.mp4")
        assert [(type(job), job.status) for job in video.processing_jobs] == [(ProcessingJob, "pending")]
        await session.delete(video)
        await session.commit()
        assert (await session.scalars(select(ProcessingJob))).all() == []
    await engine.dispose()


async def test_a_program_of_phase_1_goes_on_after_the_migration(migrated: Database) -> None:
    async with migrated.connect() as owner:
        mall_id, pin_id = await _pin(owner)
        video_id = await _legacy_video(owner, pin_id)
        row = await owner.fetchrow("SELECT * FROM videos")
        assert row is not None
        assert (row["mall_id"], row["pin_id"], row["filename"]) == (mall_id, pin_id, "a.mp4")
        assert (row["original_path"], row["upload_status"]) == ("/srv/a.mp4", "uploaded")
        await owner.execute("UPDATE videos SET processed = true WHERE id = $1", video_id)
        assert await owner.fetchval("SELECT processing_status FROM videos") == "completed"
        await owner.execute("UPDATE videos SET processing_status = 'failed' WHERE id = $1", video_id)
        assert await owner.fetchval("SELECT processed FROM videos") is False


async def test_the_way_down_says_what_it_deletes(migrated: Database) -> None:
    said: list[str] = []
    async with migrated.connect() as owner:
        mall_id, pin_id = await _pin(owner)
        values: dict[str, Any] = {"mall_id": mall_id, "pin_id": pin_id}
        await add(owner, "videos", "id", filename="a.mp4", original_path="k", upload_status="uploaded", **values)
        await add(owner, "videos", "id", filename="half.mp4", **values)
    await apply.downgrade(migrated.dsn(), BEFORE, said.append, history="videos")
    assert said[0] == "Rollback deletes all data in processing_jobs (0 rows) and the table itself"
    assert said[1].startswith("Rollback deletes all Phase 2 metadata of 1 videos")
    assert said[2].startswith("Rollback deletes 1 uploads that are not finished")
    async with migrated.connect() as owner:
        rows = await owner.fetch("SELECT original_filename, file_path FROM videos")
    assert [tuple(row) for row in rows] == [("a.mp4", "k")]


def test_plain_alembic_knows_the_history(empty: Database) -> None:
    # covers: seed-004/current seed-004/dry-run
    alembic = partial(run_alembic, empty.dsn())
    assert alembic("upgrade", "head").returncode == 0
    preview = alembic("-n", "videos", "upgrade", f"{BEFORE}:{AFTER}", "--sql")
    assert "CREATE UNIQUE INDEX ix_videos_unique_checksum_pin" in preview.stdout
    assert alembic("-n", "videos", "upgrade", "head").returncode == 0
    assert alembic("-n", "videos", "current").stdout.split()[0] == AFTER
    checked = alembic("-n", "videos", "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    down = alembic("-n", "videos", "downgrade", "-1")
    assert "Rollback deletes all data in processing_jobs" in down.stdout, down.stderr


def test_orphans_are_listed_and_mended_by_a_command(empty: Database, capsys: pytest.CaptureFixture[str]) -> None:
    # covers: seed-004/issue-foreign-key
    asyncio.run(apply.move_all(empty.dsn(), BEFORE))
    assert _db(empty, "orphans") == 0

    async def make() -> UUID:
        async with empty.connect() as owner:
            _, pin_id = await _pin(owner)
            await _legacy_video(owner, pin_id)
            await _legacy_video(owner, UUID(int=7), "lost.mp4")
            return pin_id

    pin_id = asyncio.run(make())
    assert _db(empty, "migrate") == 3
    assert "violate foreign key constraint" in capsys.readouterr().err
    assert _db(empty, "orphans") == 1
    assert "there is no pin 00000000-0000-0000-0000-000000000007\n1 orphaned" in capsys.readouterr().out
    assert _db(empty, "orphans", "--pin", "x") == 64
    assert _db(empty, "orphans", "--pin", str(UUID(int=8))) == 64
    assert _db(empty, "orphans", "--pin", str(pin_id), "--delete") == 64
    assert _db(empty, "orphans", "--pin", str(pin_id)) == 0
    assert _db(empty, "migrate") == 0


def test_stamp_writes_down_and_runs_nothing(empty: Database, capsys: pytest.CaptureFixture[str]) -> None:
    # covers: seed-004/issue-column-exists
    asyncio.run(apply.move_all(empty.dsn(), BEFORE))
    assert _db(empty, "stamp", "no_such_revision") == 64
    assert _db(empty, "stamp", AFTER) == 0
    assert asyncio.run(apply.current(empty.dsn(), history="videos")) == AFTER
    capsys.readouterr()
    assert _db(empty, "verify") == 1, "it is not true"
    said = capsys.readouterr().out
    assert "WRONG videos: new columns: 0 of 20\n      mall_id is missing, not uuid NOT NULL\n" in said
    assert "      and 17 more\n" in said
    assert _db(empty, "stamp", BEFORE) == 0
    assert _db(empty, "migrate", "--revision", AFTER) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"revision {AFTER}"
    assert _db(empty, "verify") == 0
    assert f"ok    revision of the videos: {AFTER}" in capsys.readouterr().out
