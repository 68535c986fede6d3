"""fn_wake_ingestion_handler and its kin: which image a metadata message means."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import pytest

from tests.migration.support import NOW, Connection, Database, add, add_chunks, add_device, add_image

pytestmark = pytest.mark.postgres

DATA = {"image_size": 4000, "total_chunks": 4, "chunk_size_bytes": 1000, "dialect": "v3.5.0", "temperature": 21.5}


async def _ingest(
    connection: Connection,
    device_id: UUID,
    name: str | None = "image_1.jpg",
    captured_at: datetime = NOW,
    existing: UUID | None = None,
    **data: Any,
) -> asyncpg.Record:
    row = await connection.fetchrow(
        "SELECT * FROM fn_wake_ingestion_handler($1, $2, $3, $4, $5)",
        device_id, captured_at, name, json.dumps(DATA | data), existing,
    )  # fmt: skip
    assert row is not None
    return row


async def test_a_new_photo_makes_image_payload_and_session(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        row = await _ingest(owner, await add_device(owner))
        image = await owner.fetchrow("SELECT * FROM device_images")
        payload = await owner.fetchrow("SELECT * FROM device_wake_payloads")
        session = await owner.fetchrow("SELECT * FROM device_wake_sessions")
    assert image is not None and payload is not None and session is not None
    assert not row["is_resume"]
    assert (image["image_id"], image["session_id"]) == (row["image_id"], row["session_id"])
    assert (image["image_size"], image["total_chunks"], image["chunk_size_bytes"]) == (4000, 4, 1000)
    assert (image["status"], image["wire_image_name"], image["dialect"]) == ("pending", "image_1.jpg", "v3.5.0")
    assert (payload["device_image_id"], payload["session_id"]) == (row["image_id"], row["session_id"])
    assert (payload["protocol_state"], payload["wake_type"], payload["temperature"]) == (
        "metadata_received", "image_wake", 21.5,
    )  # fmt: skip
    assert (session["session_id"], session["status"]) == (row["session_id"], "in_progress")


async def test_the_same_metadata_50_times_is_one_image_and_one_payload(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        rows = [await _ingest(owner, device_id) for _ in range(50)]
        assert len({(row["image_id"], row["payload_id"], row["session_id"]) for row in rows}) == 1
        assert [row["is_resume"] for row in rows] == [False] + [True] * 49
        assert await owner.fetchval("SELECT count(*) FROM device_wake_payloads") == 1


async def test_the_payload_of_the_hello_is_used(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        session_id = await add(owner, "device_wake_sessions", "session_id", device_id=device_id)
        payload_id = await add(
            owner, "device_wake_payloads", "payload_id", device_id=device_id, session_id=session_id,
            captured_at=NOW, protocol_state="ack_sent",
        )  # fmt: skip
        first = await _ingest(owner, device_id)
        second = await _ingest(owner, device_id, "image_2.jpg")
    assert (first["session_id"], first["payload_id"]) == (session_id, payload_id)
    assert second["session_id"] == session_id and second["payload_id"] != payload_id


async def test_a_name_used_twice_keeps_both_photos(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        old = await add_image(owner, device_id, status="complete", image_size=4000)
        row = await _ingest(owner, device_id, captured_at=NOW + timedelta(days=1))
        third = await _ingest(owner, device_id, captured_at=NOW + timedelta(days=1), image_size=5000)
        names = {row["image_id"]: row["image_name"] for row in await owner.fetch("SELECT * FROM device_images")}
        wire_names = await owner.fetch("SELECT DISTINCT wire_image_name FROM device_images")
        superseded = await owner.fetchrow("SELECT * FROM device_images WHERE image_id = $1", row["image_id"])
        event = await owner.fetchval("SELECT event_type FROM device_history")
    assert names == {
        old: "image_1.jpg",
        row["image_id"]: "image_1__20260106T120000Z.jpg",
        third["image_id"]: "image_1__20260106T120000Z_2.jpg",
    }
    assert [name[0] for name in wire_names] == ["image_1.jpg"]
    assert superseded is not None and event == "image_superseded"
    assert (superseded["status"], superseded["timeout_reason"], superseded["retry_count"]) == (
        "failed", "superseded", 0,
    )  # fmt: skip


async def test_a_superseded_photo_is_resumed_by_its_own_metadata(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        first = await _ingest(owner, device_id)
        newer = await _ingest(owner, device_id, captured_at=NOW + timedelta(hours=1))
        [open_one] = await owner.fetch("SELECT * FROM fn_check_image_resumable($1, 'image_1.jpg')", device_id)
        again = await _ingest(owner, device_id)
        image = await owner.fetchrow("SELECT * FROM device_images WHERE image_id = $1", first["image_id"])
    assert open_one["image_id"] == newer["image_id"]
    assert (again["image_id"], again["is_resume"]) == (first["image_id"], True)
    assert image is not None
    assert (image["status"], image["timeout_reason"], image["failed_at"]) == ("receiving", None, None)


@pytest.mark.parametrize(
    ("data", "is_same"),
    [({"captured_at_source": "server"}, True), ({}, False), ({"captured_at_source": "server", "image_size": 1}, False)],
)
async def test_a_time_made_up_by_the_server_does_not_count(
    migrated: Database, data: dict[str, Any], is_same: bool
) -> None:
    async with migrated.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        first = await _ingest(owner, device_id)
        second = await _ingest(owner, device_id, captured_at=NOW + timedelta(hours=3), **data)
    assert (first["image_id"] == second["image_id"]) is is_same


async def test_a_complete_capture_offered_again_stays_as_it_is(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        image_id = await add_image(owner, device_id, status="complete", image_size=4000)
        row = await _ingest(owner, device_id)
        image = await owner.fetchrow("SELECT status, session_id FROM device_images")
    assert (row["image_id"], row["is_resume"]) == (image_id, False)
    assert image is not None and tuple(image) == ("complete", None)


async def test_telemetry_without_an_image(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        row = await _ingest(owner, await add_device(owner), None)
        payload = await owner.fetchrow("SELECT wake_type, temperature FROM device_wake_payloads")
    assert row["image_id"] is None
    assert payload is not None and tuple(payload) == ("telemetry_only", 21.5)


async def test_an_image_of_another_device_and_an_unknown_device_are_refused(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        mine, theirs = await add_device(owner), await add_device(owner, "BBBBBBBBBBBB")
        image_id = await add_image(owner, theirs)
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="is not one of device"):
            await _ingest(owner, mine, existing=image_id)
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="is not known"):
            await _ingest(owner, uuid5(mine, "unknown"))


async def test_what_can_be_resumed(migrated: Database) -> None:
    query = "SELECT * FROM fn_check_image_resumable($1, 'image_1.jpg')"
    async with migrated.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        assert await owner.fetch(query, device_id) == []
        image_id = await add_image(owner, device_id)
        await add_chunks(owner, image_id, 1, 2)
        [row] = await owner.fetch(query, device_id)
        assert (row["image_id"], row["can_resume"], row["missing_chunks"]) == (image_id, True, [0, 3])
        await owner.execute("UPDATE device_images SET status = 'failed', retry_count = 3")
        [row] = await owner.fetch(query, device_id)
        assert not row["can_resume"]
        await owner.execute("UPDATE device_images SET status = 'complete'")
        assert await owner.fetch(query, device_id) == []


async def test_duplicates_are_one_row_for_each_capture_and_session(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        device_id = await add_device(owner)
        image_id = await add_image(owner, device_id)
        sessions = [
            await add(owner, "device_wake_sessions", "session_id", device_id=device_id, status="completed")
            for _ in range(2)
        ]
        for session_id, count in ((sessions[0], 1), (sessions[0], 49), (sessions[1], 1)):
            await owner.execute(
                "SELECT fn_log_duplicate_image($1, $2, 'image_1.jpg', $3, '{}', $4, $5)",
                device_id, image_id, NOW, session_id, count,
            )  # fmt: skip
        rows = await owner.fetch("SELECT duplicate_count FROM duplicate_images_log ORDER BY log_id")
    assert [row[0] for row in rows] == [50, 1]


async def test_lineage_with_and_without_a_site(migrated: Database) -> None:
    query = "SELECT * FROM fn_resolve_device_lineage($1)"
    async with migrated.connect() as owner:
        company = await add(owner, "companies", "company_id", company_name="Acorn")
        program = await add(owner, "programs", "program_id", company_id=company, program_name="Yards")
        site = await add(owner, "sites", "site_id", program_id=program, site_name="N", timezone="Europe/Berlin")
        device_id = await add_device(owner)
        [row] = await owner.fetch(query, "AABBCCDDEEFF")
        assert tuple(row) == (device_id, None, None, None, None)
        await add(owner, "device_site_assignments", "assignment_id", device_id=device_id, site_id=site)
        [row] = await owner.fetch(query, "AABBCCDDEEFF")
        assert tuple(row) == (device_id, site, program, company, "Europe/Berlin")
        assert await owner.fetch(query, "000000000000") == []
