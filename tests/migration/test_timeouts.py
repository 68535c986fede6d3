"""Seed 002: timeouts and retries, by the seed's own SQL and row by row of the design's table."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.migration.support import NOW, Connection, Database, add, add_chunks, add_device, add_image, set_now

pytestmark = pytest.mark.postgres

TEST_DEVICE = "Test Device 002 - Missing Chunks"
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


async def _stale_image(connection: Connection, mac: str = "AABBCCDDEEFF", **columns: Any) -> tuple[UUID, UUID]:
    """A device whose wake window passed 5 minutes ago, with an image at 3 of 4 chunks."""
    device_id = await add_device(
        connection, mac, next_wake_at=NOW - 5 * MINUTE, wake_schedule_cron="0 */3 * * *", is_active=True
    )
    image_id = await add_image(connection, device_id, **columns)
    await add_chunks(connection, image_id, 0, 1, 3)
    return device_id, image_id


async def test_the_seeds_statements_pass_literally(migrated: Database) -> None:
    async with migrated.connect() as owner:
        device_id = await add_device(
            owner, "TEST-ESP32-002", device_name=TEST_DEVICE, provisioning_status="active", next_wake_at=NOW
        )
        image_id = await add_image(owner, device_id, "image_1762625082788.jpg")
        await add_chunks(owner, image_id, 0, 1, 2)

        await owner.execute(
            "UPDATE devices\n"
            "SET next_wake_at = NOW() - INTERVAL '5 minutes'\n"
            "WHERE device_name = 'Test Device 002 - Missing Chunks';"
        )
        timed_out = await owner.fetch("SELECT * FROM timeout_stale_images();")
        image = await owner.fetchrow(
            "SELECT image_name, status, failed_at, retry_count, timeout_reason\n"
            "FROM device_images\n"
            "WHERE image_name = 'image_1762625082788.jpg';"
        )
        command = await owner.fetchrow(
            "SELECT command_type, priority, scheduled_for, command_payload\n"
            "FROM device_commands\n"
            "WHERE device_id = (SELECT device_id FROM devices "
            "WHERE device_name = 'Test Device 002 - Missing Chunks')\n"
            "ORDER BY created_at DESC LIMIT 1;"
        )
    assert [row["image_name"] for row in timed_out] == ["image_1762625082788.jpg"]
    assert image is not None and command is not None
    assert (image["status"], image["retry_count"]) == ("failed", 1)
    assert image["timeout_reason"] == "Not completed before wake window"
    assert image["failed_at"] is not None
    assert (command["command_type"], command["priority"]) == ("retry_image", 8)
    assert json.loads(command["command_payload"]) == {
        "image_id": str(image_id),
        "image_name": "image_1762625082788.jpg",
        "chunks": [3],
        "total_chunks": 4,
    }


async def test_a_retry_is_due_from_5_minutes_before_the_next_wake_to_1_hour_after_it(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        await _stale_image(owner)
        await owner.execute("SELECT * FROM timeout_stale_images()")
        command = await owner.fetchrow("SELECT * FROM device_commands")
    wake = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
    assert command is not None
    assert command["scheduled_for"] == wake - 5 * MINUTE
    assert command["expires_at"] == wake + HOUR
    assert (command["status"], command["retry_count"]) == ("pending", 1)


async def test_a_timeout_does_everything_once(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        device_id, image_id = await _stale_image(owner)
        await add(
            owner, "device_wake_payloads", "payload_id", device_id=device_id, captured_at=NOW,
            device_image_id=image_id, protocol_state="metadata_received",
        )  # fmt: skip
        first = await owner.fetch("SELECT * FROM timeout_stale_images()")
        second = await owner.fetch("SELECT * FROM timeout_stale_images()")
        payload = await owner.fetchrow("SELECT * FROM device_wake_payloads")
        events = await owner.fetch("SELECT event_type FROM device_history ORDER BY history_id")
        image = await owner.fetchrow("SELECT * FROM device_images")
        commands = await owner.fetchval("SELECT count(*) FROM device_commands")
    assert len(first) == 1 and not second
    assert first[0]["retry_queued"] and first[0]["command_id"] is not None
    assert payload is not None and image is not None
    assert (payload["payload_status"], payload["protocol_state"]) == ("failed", "failed")
    assert [row["event_type"] for row in events] == ["image_timed_out", "retry_queued"]
    assert (image["retry_count"], image["failed_at"], commands) == (1, NOW, 1)


async def test_three_timeouts_row_by_row(migrated: Database) -> None:
    """Count 1: retry. Count 2: retry and alert. Count 3: the same alert, no retry."""
    seen = []
    async with migrated.connect(now=NOW) as owner:
        device_id, image_id = await _stale_image(owner)
        for number in range(3):
            await set_now(owner, NOW + number * HOUR)
            await owner.execute(
                "UPDATE device_images SET status = 'receiving' WHERE image_id = $1", image_id
            )  # as publishing the retry does
            [row] = await owner.fetch("SELECT * FROM timeout_stale_images()")
            alerts = await owner.fetch("SELECT * FROM device_alerts")
            seen.append((row["retry_count"], row["retry_queued"], [a["alert_id"] for a in alerts]))
        statuses = await owner.fetch("SELECT retry_count, status FROM device_commands ORDER BY retry_count")
    assert [entry[:2] for entry in seen] == [(1, True), (2, True), (3, False)]
    assert [len(entry[2]) for entry in seen] == [0, 1, 1]
    assert seen[1][2] == seen[2][2]
    assert (alerts[0]["alert_type"], alerts[0]["severity"]) == ("image_transmission_failed", "critical")
    assert json.loads(alerts[0]["metadata"])["retry_count"] == 3
    assert [tuple(row) for row in statuses] == [(1, "cancelled"), (2, "cancelled")]
    assert device_id


async def test_an_image_without_retries_left_still_times_out(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        await _stale_image(owner, retry_count=3)
        [row] = await owner.fetch("SELECT * FROM timeout_stale_images()")
        status = await owner.fetchval("SELECT status FROM device_images")
    assert (row["retry_count"], row["retry_queued"], status) == (3, False, "failed"), "the count never passes its limit"


@pytest.mark.parametrize(
    ("session_wake", "device_wake", "is_stale"),
    [
        (None, NOW + HOUR, False),
        (None, NOW, True),
        (NOW - MINUTE, NOW + 3 * HOUR, True),
        (NOW + HOUR, NOW - MINUTE, True),
        (NOW + HOUR, NOW + HOUR, False),
        (NOW - MINUTE, None, True),
    ],
)
async def test_the_earlier_window_decides(
    migrated: Database, session_wake: datetime | None, device_wake: datetime | None, is_stale: bool
) -> None:
    async with migrated.connect(now=NOW) as owner:
        device_id = await add_device(owner, next_wake_at=device_wake)
        session_id = await add(
            owner, "device_wake_sessions", "session_id", device_id=device_id, next_wake_scheduled=session_wake
        )
        await add_image(owner, device_id, session_id=session_id)
        rows = await owner.fetch("SELECT * FROM timeout_stale_images()")
    assert bool(rows) is is_stale


@pytest.mark.parametrize(("age", "is_stale"), [(59 * MINUTE, False), (60 * MINUTE, True)])
async def test_without_a_schedule_one_hour_without_progress(migrated: Database, age: timedelta, is_stale: bool) -> None:
    async with migrated.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        await add_image(owner, device_id, created_at=NOW - 9 * HOUR, last_chunk_at=NOW - age)
        rows = await owner.fetch("SELECT * FROM timeout_stale_images()")
    assert bool(rows) is is_stale
    if is_stale:
        assert rows[0]["timeout_reason"] == "No progress for one hour"


async def test_an_expired_retry_is_queued_again_without_raising_the_count(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        await _stale_image(owner)
        await owner.execute("SELECT * FROM timeout_stale_images()")
        await set_now(owner, NOW + 5 * HOUR)
        await owner.execute("SELECT * FROM timeout_stale_images()")
        commands = await owner.fetch("SELECT * FROM device_commands ORDER BY scheduled_for")
        count = await owner.fetchval("SELECT retry_count FROM device_images")
        events = await owner.fetch("SELECT event_type FROM device_history ORDER BY history_id")
    assert [row["status"] for row in commands] == ["expired", "pending"]
    assert commands[1]["scheduled_for"] == datetime(2026, 1, 5, 17, 55, tzinfo=UTC)
    assert count == 1
    assert [row["event_type"] for row in events][-2:] == ["command_expired", "retry_queued"]


async def test_a_published_retry_does_not_expire(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        await _stale_image(owner)
        await owner.execute("SELECT * FROM timeout_stale_images()")
        await owner.execute("UPDATE device_commands SET status = 'published'")
        await set_now(owner, NOW + 50 * HOUR)
        await owner.execute("SELECT * FROM fn_expire_commands()")
        statuses = await owner.fetch("SELECT status FROM device_commands")
    assert [row["status"] for row in statuses] == ["published"]


async def test_queueing_twice_gives_the_same_command(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        _, image_id = await _stale_image(owner, status="failed", retry_count=1)
        first = await owner.fetchval("SELECT queue_image_retry($1)", image_id)
        second = await owner.fetchval("SELECT queue_image_retry($1)", image_id)
        count = await owner.fetchval("SELECT count(*) FROM device_history")
    assert first is not None and first == second
    assert count == 1


async def test_a_schedule_nobody_can_read_stops_one_retry_and_not_the_monitor(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        first, _ = await _stale_image(owner, "AAAAAAAAAAAA")
        await owner.execute("UPDATE devices SET wake_schedule_cron = '0 6 * * 1-5' WHERE device_id = $1", first)
        await _stale_image(owner, "BBBBBBBBBBBB")
        rows = {row["device_mac"]: row for row in await owner.fetch("SELECT * FROM timeout_stale_images()")}
        event = await owner.fetchrow("SELECT * FROM device_history WHERE event_type = 'retry_not_queued'")
    assert not rows["AAAAAAAAAAAA"]["retry_queued"]
    assert "day of week" in rows["AAAAAAAAAAAA"]["queue_error"]
    assert rows["BBBBBBBBBBBB"]["retry_queued"]
    assert event is not None and event["severity"] == "error"


async def test_two_monitors_at_once_time_each_image_out_once(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner, migrated.connect(now=NOW) as other:
        for number in range(10):
            await _stale_image(owner, f"AAAAAAAAAA{number:02}")
        async with owner.transaction():
            first = await owner.fetch(
                "SELECT * FROM fn_timeout_image((SELECT image_id FROM fn_stale_images() LIMIT 1))"
            )
            rest = await asyncio.wait_for(other.fetch("SELECT * FROM timeout_stale_images()"), 10)
        again = await other.fetch("SELECT * FROM timeout_stale_images()")
        counts = await owner.fetch("SELECT DISTINCT retry_count FROM device_images")
    assert (len(first), len(rest), len(again)) == (1, 9, 0)
    assert [row["retry_count"] for row in counts] == [1]


async def test_a_manual_retry_starts_the_count_again(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        _, image_id = await _stale_image(owner, retry_count=2)
        await owner.execute("SELECT * FROM timeout_stale_images()")
        command_id = await owner.fetchval("SELECT fn_retry_image_by_hand($1, 'Ada')", image_id)
        image = await owner.fetchrow("SELECT status, retry_count FROM device_images")
        command = await owner.fetchrow("SELECT * FROM device_commands WHERE command_id = $1", command_id)
        open_alerts = await owner.fetchval("SELECT count(*) FROM device_alerts WHERE resolved_at IS NULL")
    assert image is not None and command is not None
    assert (image["status"], image["retry_count"], open_alerts) == ("failed", 0, 0)
    assert (command["status"], command["retry_count"], command["issued_by"]) == ("pending", 0, "Ada")
