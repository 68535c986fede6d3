"""Real Celery workers on a folder: a job is done, a killed worker's job is taken back, a cancelled one is let go."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest

from server.carrier import CeleryCarrier, LocalCarrier, celery_app
from server.job_watch import CarrierFailed
from server.offload import InlineOffload
from tests.conftest import Database
from tests.support.job_rows import at_present, until
from tests.support.video_files import video
from tests.support.videos_world import API, Yard, new_yard

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def _with_worker(database: Database, folder: Path, body: Callable[[Yard, LocalCarrier], Awaitable[None]]) -> None:
    async def main() -> None:
        yard = await new_yard(database.dsn("ws_server"), str(folder), at_present())
        environ = {"WAKESTORM_DATABASE_URL": database.dsn("ws_server"), "WAKESTORM_OBJECTS": str(folder)}
        carrier = LocalCarrier(environ, InlineOffload())
        yard.rig.app.videos.watch._carrier = carrier
        try:
            async with asyncio.timeout(120):
                await body(yard, carrier)
        finally:
            await carrier.close()
            await yard.http.aclose()
            yard.rig.pool.terminate()

    asyncio.run(main())


def test_a_killed_workers_job_is_taken_back_and_done_by_the_next(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard, carrier: LocalCarrier) -> None:
        done = await yard.stored(video())
        original = tmp_path / done["original_path"]
        aside = original.rename(tmp_path / "aside")
        os.mkfifo(original)  # whoever reads it waits: the worker is caught in the middle
        watch, clock = yard.rig.app.videos.watch, yard.rig.clock
        clock.moment = at_present().moment
        await watch.look()
        running = await until(yard.rig, "running")
        worker = carrier._worker
        assert worker is not None and running["worker_hostname"].endswith(f"/{worker.pid}")
        worker.kill()
        worker.wait()
        original.unlink()
        aside.rename(original)
        await watch.look()
        assert (await until(yard.rig, "running"))["id"] == running["id"], "its lease still runs"
        clock.moment = at_present().moment
        clock.advance(seconds=31)
        await watch.look()
        lost = await until(yard.rig, "pending")
        assert lost["error_message"] == "the worker was lost: its lease ran out"
        assert lost["celery_task_id"] != running["celery_task_id"]
        await yard.rig.rows("UPDATE processing_leases SET run_after = $1 RETURNING 1", at_present().moment)
        await watch.look()
        ended = await until(yard.rig, "completed")
        assert ended["worker_hostname"] != running["worker_hostname"]
        assert (ended["error_message"], ended["result_data"]["height"]) == (None, 480)
        await yard.assert_sound()

    _with_worker(migrated_database, tmp_path, body)


def test_a_cancelled_job_is_let_go_by_its_worker(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard, carrier: LocalCarrier) -> None:
        done = await yard.stored(video(2))
        job_id = done["processing_job_id"] and (await yard.http.get(f"{API}/videos/{done['id']}/jobs")).json()[0]["id"]
        answer = await yard.http.post(f"{API}/jobs/{job_id}/cancel")
        assert answer.json()["status"] == "cancelled"
        assert await yard.rig.app.videos.jobs.claim(job_id, "x") is None
        again = await yard.http.post(f"{API}/videos/{done['id']}/jobs", json={"job_type": "proxy_generation"})
        assert again.status_code == 201
        twice = await yard.http.post(f"{API}/videos/{done['id']}/jobs", json={"job_type": "proxy_generation"})
        assert (twice.status_code, "at it already" in twice.text) == (409, True)

    _with_worker(migrated_database, tmp_path, body)


def test_a_broker_that_is_away_is_told_of_and_asked_again(tmp_path: Path) -> None:
    async def body() -> None:
        carrier = CeleryCarrier("amqp://guest:secret@127.0.0.1:1//", InlineOffload())
        with pytest.raises(CarrierFailed) as told:
            await carrier.send(UUID(int=1), "1")
        assert "secret" not in str(told.value) and "127.0.0.1:1" in str(told.value)

    asyncio.run(body())
    with pytest.raises(ValueError, match="write filesystem:///folder"):
        celery_app("sqs://x")
