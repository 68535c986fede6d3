"""Who sees which rows: server and reader all, the web one company, and the owner is not blind."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from tests.migration.support import Connection, Database, add, add_chunks, add_device, add_image

pytestmark = pytest.mark.postgres


async def _company(connection: Connection, name: str, mac: str) -> UUID:
    company_id = await add(connection, "companies", "company_id", company_name=name)
    program_id = await add(connection, "programs", "program_id", company_id=company_id, program_name=name)
    await add(connection, "sites", "site_id", program_id=program_id, site_name=name)
    device_id = await add_device(connection, mac, company_id=company_id, program_id=program_id)
    image_id = await add_image(connection, device_id)
    await add_chunks(connection, image_id, 0)
    await connection.execute(
        "INSERT INTO device_history (device_id, event_category, event_type) "
        "VALUES ($1, 'wake', 'wake_session_started')",
        device_id,
    )
    await add(connection, "device_wake_sessions", "session_id", device_id=device_id)
    await connection.execute("SELECT fn_log_device_ack($1, $2, 'image_1.jpg', 'ACK_OK', 't', '{}')", device_id, mac)
    return company_id


FILLED = [
    "companies", "programs", "sites", "devices", "device_images", "device_image_chunks", "device_history",
    "device_wake_sessions", "device_ack_log",
]  # fmt: skip


async def _counts(connection: Connection) -> dict[str, int]:
    return {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in FILLED}


async def test_each_role_sees_its_rows(migrated: Database) -> None:
    async with migrated.connect() as owner:
        mine = await _company(owner, "Acorn", "AAAAAAAAAAAA")
        await _company(owner, "Birch", "BBBBBBBBBBBB")
        everything = await _counts(owner)
    assert set(everything.values()) == {2}
    for role in ("ws_server", "ws_reader"):
        async with migrated.connect(role) as connection:
            assert await _counts(connection) == everything, role
    async with migrated.connect("ws_web") as web:
        assert set((await _counts(web)).values()) == {0}
        await web.execute("SELECT set_config('wakestorm.company_id', $1, false)", str(mine))
        assert set((await _counts(web)).values()) == {1}
        assert await web.fetchval("SELECT device_mac FROM devices") == "AAAAAAAAAAAA"


async def test_the_web_can_not_write_into_another_company(migrated: Database) -> None:
    async with migrated.connect() as owner:
        mine = await _company(owner, "Acorn", "AAAAAAAAAAAA")
        await _company(owner, "Birch", "BBBBBBBBBBBB")
        theirs = await owner.fetchval("SELECT device_id FROM devices WHERE device_mac = 'BBBBBBBBBBBB'")
    async with migrated.connect("ws_web") as web:
        await web.execute("SELECT set_config('wakestorm.company_id', $1, false)", str(mine))
        assert await web.execute("UPDATE devices SET device_name = 'x'") == "UPDATE 1"
        assert await web.execute("DELETE FROM device_images WHERE device_id = $1", theirs) == "DELETE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await web.execute("INSERT INTO device_commands (device_id, command_type) VALUES ($1, 'reboot')", theirs)


async def test_the_reader_writes_nothing(migrated: Database) -> None:
    async with migrated.connect("ws_reader") as reader:
        await reader.execute("SET default_transaction_read_only = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("DELETE FROM devices")


async def test_the_server_runs_the_functions(migrated: Database) -> None:
    async with migrated.connect("ws_server") as server:
        device_id = await add_device(server)
        row = await server.fetchrow(
            "SELECT * FROM fn_wake_ingestion_handler($1, fn_now(), 'image_1.jpg', '{\"total_chunks\": 4}')", device_id
        )
        assert row is not None and row["image_id"] is not None
        assert await server.fetch("SELECT * FROM timeout_stale_images()") == []


async def test_security_is_forced_on_every_table(migrated: Database) -> None:
    async with migrated.connect() as owner:
        rows = await owner.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
            "AND NOT relforcerowsecurity ORDER BY relname"
        )
    assert sorted(row["relname"] for row in rows) == [
        "alembic_version",
        "alembic_version_originals",
        "alembic_version_videos",
    ]


async def test_granting_again_changes_nothing(migrated: Database) -> None:
    query = "SELECT * FROM pg_policies ORDER BY tablename, policyname"
    async with migrated.connect() as owner:
        before = await owner.fetch(query)
        await owner.execute("CALL grant_access()")
        assert await owner.fetch(query) == before
