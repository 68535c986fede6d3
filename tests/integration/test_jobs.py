"""The queue of jobs as rows: leases, tries, outcomes; by a clock that the test moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from server.jobs import Lease
from tests.conftest import Database
from tests.support.video_files import video
from tests.support.videos_world import Yard, run

pytestmark = pytest.mark.postgres


async def _begun(yard: Yard) -> tuple[UUID, Lease]:
    await yard.stored(video())
    job_id = (await yard.rig.rows("SELECT id FROM processing_jobs"))[0]["id"]
    lease = await yard.rig.app.videos.jobs.claim(job_id, "one")
    assert lease is not None
    return job_id, lease


async def _states(yard: Yard) -> tuple[Any, ...]:
    query = """SELECT j.status, l.attempt, v.processing_status FROM processing_jobs j
        JOIN processing_leases l ON l.job_id = j.id JOIN videos v ON v.id = j.video_id"""
    return tuple((await yard.rig.rows(query))[0].values())


def test_one_worker_holds_a_job_and_only_it_writes(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        jobs, clock = yard.rig.app.videos.jobs, yard.rig.clock
        job_id, lease = await _begun(yard)
        assert await _states(yard) == ("running", 1, "processing")
        assert await jobs.claim(job_id, "two") is None
        clock.advance(seconds=25)
        assert await jobs.renew(lease)
        clock.advance(seconds=25)
        assert await jobs.take_back_lost() == 0, "it was heard of 25 s ago"
        clock.advance(seconds=6)
        assert await jobs.take_back_lost() == 1
        assert await _states(yard) == ("pending", 1, "pending")
        assert not await jobs.renew(lease)
        assert not await jobs.complete(lease, {}, "videos/late")
        assert not await jobs.fail(lease, "late")
        assert await _states(yard) == ("pending", 1, "pending")
        assert await jobs.claim(job_id, "two") is None, "not before its pause is over"
        clock.advance(seconds=21)
        assert await jobs.claim(job_id, "two") is not None
        assert await _states(yard) == ("running", 2, "processing")

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_after_three_tries_a_job_has_failed_and_says_why(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        jobs, clock = yard.rig.app.videos.jobs, yard.rig.clock
        job_id, lease = await _begun(yard)
        for attempt in (1, 2, 3):
            assert await jobs.fail(lease, f"store away, {attempt}")
            clock.advance(minutes=2)
            again = await jobs.claim(job_id, "one")
            if attempt < 3:
                assert again is not None
                lease = again
        assert again is None
        assert await _states(yard) == ("failed", 3, "failed")
        row = (await yard.rig.rows("SELECT error_message, completed_at FROM processing_jobs"))[0]
        assert row["error_message"] == "store away, 3" and row["completed_at"] is not None
        assert (await yard.rig.rows("SELECT processing_error FROM videos"))[0]["processing_error"] == "store away, 3"

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_cancelled_job_is_lost_to_its_worker_and_a_gone_original_fails_for_good(
    migrated_database: Database, tmp_path: Path
) -> None:
    async def body(yard: Yard) -> None:
        side = yard.rig.app.videos
        job_id, lease = await _begun(yard)
        assert (await side.jobs.cancel(job_id)).status == "cancelled"  # type: ignore[union-attr]
        assert await _states(yard) == ("cancelled", 1, "cancelled")
        assert not await side.jobs.renew(lease) and not await side.jobs.complete(lease, {}, "videos/late")
        await side.jobs.queue_again(lease.video_id, "proxy_generation")
        await side.videos.objects.delete(lease.original_path)
        await yard.run_jobs()
        row = (await yard.rig.rows("SELECT * FROM processing_jobs WHERE status <> 'cancelled'"))[0]
        assert row["status"] == "failed" and "FileNotFoundError" in row["error_message"]

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_what_the_carrier_forgets_is_sent_again(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        jobs, clock = yard.rig.app.videos.jobs, yard.rig.clock
        await yard.stored(video())
        assert len(await jobs.to_send()) == 1
        assert await jobs.to_send() == []
        clock.advance(minutes=10)
        sent = await jobs.to_send()
        assert len(sent) == 1
        await jobs.not_sent(sent[0][0])
        assert await jobs.to_send() == sent

    run(migrated_database.dsn("ws_server"), tmp_path, body)
