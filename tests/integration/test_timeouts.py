"""Seed 002 from outside: the demo with the seed's statements, the monitor's three doors, one leader at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx
import pytest

from harness.bench.postgres import SERVER, run_blocking
from harness.cli import exit_code_of
from server.app import App, Parts, Settings
from server.clock import SteppedClock
from server.demo import chunks_of, picture
from server.monitor import Tick, time_out
from server.offload import InlineOffload
from server.store import MONITOR, Store, Wanted, open_pool, views
from tests.conftest import Database
from tests.migration import support

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
TOKEN = "a-token-of-this-test"
PATH = "/functions/v1/monitor_image_timeouts"

SIMULATE = """
UPDATE devices
SET next_wake_at = NOW() - INTERVAL '5 minutes'
WHERE device_name = 'Test Device 002 - Missing Chunks';
"""
DETECT = "SELECT * FROM timeout_stale_images();"
VERIFY = """
SELECT image_name, status, failed_at, retry_count, timeout_reason
FROM device_images
WHERE image_name = 'image_1762625082788.jpg';
"""
COMMAND = """
SELECT command_type, priority, scheduled_for, command_payload
FROM device_commands
WHERE device_id = (SELECT device_id FROM devices WHERE device_name = 'Test Device 002 - Missing Chunks')
ORDER BY created_at DESC LIMIT 1;
"""


def owned(database: Database) -> support.Database:
    return support.Database(database.cluster, database.name)


async def stale_images(database: Database, count: int) -> None:
    async with owned(database).connect(now=NOW) as owner:
        for number in range(count):
            device_id = await support.add_device(
                owner,
                f"AABBCCDDEE{number:02}",
                next_wake_at=NOW - timedelta(minutes=5),
                wake_schedule_cron="0 */3 * * *",
            )
            await support.add_chunks(owner, await support.add_image(owner, device_id), 0, 1, 3)


@asynccontextmanager
async def store_of(database: Database) -> AsyncIterator[Store]:
    async with await open_pool(database.dsn(SERVER), size=2) as pool:
        yield Store(pool)


# -- the demo -----------------------------------------------------------------------------------------


def test_the_seeds_statements_on_the_demo(migrated_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    # covers: seed-002/test-device, seed-002/test-timeout, seed-002/test-command
    assert exit_code_of(["db", "demo", "--database-url", migrated_database.dsn()]) == 0
    assert "Test Device 002 - Missing Chunks (TEST-ESP32-002)" in capsys.readouterr().out

    async def typed() -> tuple[Any, ...]:
        async with owned(migrated_database).connect() as psql:
            before = await psql.fetchrow(
                "SELECT d.device_mac, d.provisioning_status, i.status, i.received_chunks, i.total_chunks, "
                "i.retry_count, i.max_retries, (SELECT count(*) FROM device_image_chunks) AS chunks "
                "FROM device_images i JOIN devices d USING (device_id)"
            )
            await psql.execute(SIMULATE)
            detected = await psql.fetch(DETECT)
            return before, detected, await psql.fetchrow(VERIFY), await psql.fetchrow(COMMAND)

    before, detected, image, command = run_blocking(typed())
    assert tuple(before) == ("TEST-ESP32-002", "active", "receiving", 3, 4, 0, 3, 3)
    assert len(detected) == 1
    assert (image["status"], image["retry_count"]) == ("failed", 1)
    assert image["timeout_reason"] == "Not completed before wake window" and image["failed_at"] is not None
    assert (command["command_type"], command["priority"]) == ("retry_image", 8)
    assert json.loads(command["command_payload"])["chunks"] == [3]


def test_the_demo_starts_over_and_needs_no_schema_beforehand(database: Database) -> None:
    assert exit_code_of(["db", "demo", "--database-url", database.dsn()]) == 0

    async def changed() -> None:
        async with owned(database).connect() as owner:
            await owner.execute(SIMULATE)
            await owner.fetch(DETECT)
            await support.add_device(owner, "B8F862F9C1C4")

    run_blocking(changed())
    assert exit_code_of(["db", "demo", "--database-url", database.dsn()]) == 0

    async def rows() -> tuple[Any, ...]:
        async with owned(database).connect() as owner:
            image = await owner.fetchrow("SELECT status, retry_count, received_chunks FROM device_images")
            return tuple(image or ()), await owner.fetchval("SELECT count(*) FROM devices")

    assert run_blocking(rows()) == (("receiving", 0, 3), 2)


def test_the_demos_chunks_are_a_picture() -> None:
    chunks = chunks_of(picture())
    assert len(chunks) == 4 and b"".join(chunks).startswith(b"\xff\xd8") and chunks[3].endswith(b"\xff\xd9")


# -- delivery -----------------------------------------------------------------------------------------


def test_photos_that_are_retried_at_one_moment_are_asked_for_oldest_first(migrated_database: Database) -> None:
    ages = (3, 1, 5, 0, 4, 2)

    async def asked() -> tuple[list[UUID], list[UUID | None]]:
        async with owned(migrated_database).connect(now=NOW) as owner:
            device_id = await support.add_device(owner, "AABBCCDDEE00", next_wake_at=NOW)
            made = {
                age: await support.add_image(
                    owner, device_id, f"image_{age}.jpg", captured_at=NOW - timedelta(hours=age), status="failed"
                )
                for age in ages
            }
            await owner.execute("SELECT fn_retry_image_by_hand(image_id, 'somebody') FROM device_images")
        wanted = Wanted(families={"AABBCCDDEE00": None}, commands=True)
        async with store_of(migrated_database) as store, store.transaction(NOW) as connection:
            found = await views(connection, wanted, NOW)
        by_age = [made[age] for age in sorted(ages, reverse=True)]
        return by_age, [command.image_id for command in found["AABBCCDDEE00"].commands]

    oldest_first, in_order = run_blocking(asked())
    assert in_order == oldest_first


# -- one leader ---------------------------------------------------------------------------------------


def test_two_servers_at_once_time_each_image_out_once(migrated_database: Database) -> None:
    async def race() -> tuple[list[Tick], list[Any], int]:
        await stale_images(migrated_database, 12)
        clock = SteppedClock(NOW)
        async with store_of(migrated_database) as one, store_of(migrated_database) as other:
            ticks = list(await asyncio.gather(*(time_out(store, clock) for store in (one, other, one, other))))
            ticks.append(await time_out(one, clock))
        async with owned(migrated_database).connect() as owner:
            images = await owner.fetch("SELECT status, retry_count FROM device_images")
            return ticks, images, await owner.fetchval("SELECT count(*) FROM device_commands")

    ticks, images, commands = run_blocking(race())
    failed = [row["image_id"] for tick in ticks for row in tick.timed_out]
    assert len(failed) == len(set(failed)) == 12
    assert {tuple(row) for row in images} == {("failed", 1)}
    assert commands == 12


def test_who_does_not_lead_does_nothing_and_a_dead_leader_is_followed(migrated_database: Database) -> None:
    async def played() -> tuple[Tick, Tick]:
        await stale_images(migrated_database, 1)
        clock = SteppedClock(NOW)
        async with store_of(migrated_database) as store:
            leader = await asyncpg.connect(migrated_database.dsn(SERVER))
            await leader.execute("BEGIN")
            assert await leader.fetchval(MONITOR["try_to_lead"])
            while_led = await time_out(store, clock)
            backend = leader.get_server_pid()
            leader.terminate()
            async with owned(migrated_database).connect() as owner:
                while await owner.fetchval(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = $1", backend
                ):
                    await asyncio.sleep(0)
            return while_led, await time_out(store, clock)

    while_led, afterwards = run_blocking(played())
    assert (while_led.is_leader, while_led.timed_out) == (False, ())
    assert afterwards.is_leader and len(afterwards.timed_out) == 1


# -- the monitor's other doors ------------------------------------------------------------------------


def test_the_monitor_as_a_command(migrated_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    run_blocking(stale_images(migrated_database, 2))
    command = ["monitor", "--once", "--database-url", migrated_database.dsn(SERVER)]
    assert exit_code_of(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["summary"] == {"images_timed_out": 2, "retries_queued": 2, "failed_to_queue": 0}
    assert exit_code_of(command) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["images_timed_out"] == 0


def test_the_command_says_1_when_a_retry_can_not_be_queued(
    migrated_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken() -> None:
        await stale_images(migrated_database, 2)
        async with owned(migrated_database).connect() as owner:
            await owner.execute("UPDATE devices SET wake_schedule_cron = 'x' WHERE device_mac LIKE '%00'")

    run_blocking(broken())
    assert exit_code_of(["monitor", "--once", "--database-url", migrated_database.dsn(SERVER)]) == 1
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert summary == {"images_timed_out": 2, "retries_queued": 1, "failed_to_queue": 1}


def test_the_command_refuses_what_it_can_not_do(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["monitor", "--database-url", database.dsn()]) == 64
    assert exit_code_of(["monitor", "--once", "--database-url", database.dsn()]) == 3
    assert "wakestorm db migrate" in capsys.readouterr().err


async def _asked(database: Database, folder: Path, token: str | None, headers: list[dict[str, str]]) -> list[Any]:
    async with await open_pool(database.dsn(SERVER), size=2) as pool:
        parts = Parts(
            clock=SteppedClock(NOW),
            ids=cast(Any, None),
            pool=pool,
            offload=InlineOffload(),
            log=lambda *_, **__: None,
        )
        settings = Settings(
            database_url=database.dsn(SERVER),
            mqtt_url="mqtt://127.0.0.1:1",
            objects_url=str(folder),
            monitor_token=token,
        )
        transport = httpx.ASGITransport(App(settings, parts).asgi())
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return [await client.post(PATH, headers=header) for header in headers]


def test_the_monitor_over_http_answers_as_the_seed_says(migrated_database: Database, tmp_path: Path) -> None:
    # covers: seed-002/test-monitor-call, seed-002/test-monitor-answer
    run_blocking(stale_images(migrated_database, 1))
    bearer = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    first, second = run_blocking(_asked(migrated_database, tmp_path, TOKEN, [bearer, bearer]))
    body = first.json()
    assert first.status_code == 200
    assert list(body) == ["success", "summary", "processed_images", "timestamp"]
    assert body["success"] is True
    assert body["summary"] == {"images_timed_out": 1, "retries_queued": 1, "failed_to_queue": 0}
    [image] = body["processed_images"]
    assert (image["image_name"], image["retry_count"], image["retry_queued"]) == ("image_1.jpg", 1, True)
    assert datetime.fromisoformat(body["timestamp"]) - NOW < timedelta(minutes=5)
    assert second.json()["summary"]["images_timed_out"] == 0


@pytest.mark.parametrize("token", [TOKEN, None, ""])
def test_without_the_token_there_is_no_answer(migrated_database: Database, tmp_path: Path, token: str | None) -> None:
    run_blocking(stale_images(migrated_database, 1))
    wrong: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
    ]
    answers = run_blocking(_asked(migrated_database, tmp_path, token, wrong))
    assert [answer.status_code for answer in answers] == [401] * len(wrong)
    assert answers[0].headers["www-authenticate"] == "Bearer"

    async def status() -> Any:
        async with owned(migrated_database).connect() as owner:
            return await owner.fetchval("SELECT status FROM device_images")

    assert run_blocking(status()) == "receiving"
