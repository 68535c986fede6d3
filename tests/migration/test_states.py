"""The lists in Python against the CHECKs; signatures by name; nothing takes the time or an id past the two doors."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from enum import StrEnum

import pytest

from server.wire import states
from tests.migration.support import NOW, Database, add_device, add_image, set_now

pytestmark = pytest.mark.postgres

SIGNATURES = {
    "fn_resolve_device_lineage": "p_device_mac text",
    "fn_wake_ingestion_handler": (
        "p_device_id uuid, p_captured_at timestamp with time zone, p_image_name text, p_telemetry_data jsonb, "
        "p_existing_image_id uuid DEFAULT NULL::uuid"
    ),
    "fn_check_image_resumable": "p_device_id uuid, p_image_name text",
    "fn_calculate_next_wake_time": (
        "p_last_wake_at timestamp with time zone, p_cron_expression text, p_timezone text DEFAULT 'UTC'::text"
    ),
    "timeout_stale_images": "",
    "queue_image_retry": "p_image_id uuid",
}


@pytest.mark.parametrize(
    ("column", "members"), states.CHECKED_COLUMNS.items(), ids=[".".join(c) for c in states.CHECKED_COLUMNS]
)
async def test_the_list_is_the_check(migrated: Database, column: tuple[str, str], members: type[StrEnum]) -> None:
    table, name = column
    async with migrated.connect() as owner:
        definition = await owner.fetchval(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1 AND conrelid = $2::regclass",
            f"{table}_{name}_check",
            table,
        )
    assert definition is not None
    assert re.findall(r"'(\w+)'::text", definition) == [member.value for member in members]


async def test_every_text_check_has_its_list(migrated: Database) -> None:
    """A CHECK that lists words, and is not in CHECKED_COLUMNS, would be a list nobody compares."""
    async with migrated.connect() as owner:
        names = await owner.fetch(
            "SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace "
            "AND pg_get_constraintdef(oid) LIKE '%ANY (ARRAY[%::text%'"
        )
    assert {row["conname"] for row in names} == {f"{table}_{name}_check" for table, name in states.CHECKED_COLUMNS}


async def test_the_comment_of_protocol_state_lists_the_states(migrated: Database) -> None:
    async with migrated.connect() as owner:
        comment = await owner.fetchval(
            "SELECT col_description('device_wake_payloads'::regclass, attnum) FROM pg_attribute "
            "WHERE attrelid = 'device_wake_payloads'::regclass AND attname = 'protocol_state'"
        )
    lines = [f"{state} - {meaning}" for state, meaning in states.PROTOCOL_STATE_MEANINGS.items()]
    assert comment.splitlines()[1:] == lines
    assert list(states.PROTOCOL_STATE_MEANINGS) == list(states.ProtocolState)


@pytest.mark.parametrize(("name", "arguments"), SIGNATURES.items())
async def test_the_functions_of_the_documents_have_their_signatures(
    migrated: Database, name: str, arguments: str
) -> None:
    async with migrated.connect() as owner:
        rows = await owner.fetch("SELECT pg_get_function_arguments(oid) AS a FROM pg_proc WHERE proname = $1", name)
    assert [row["a"] for row in rows] == [arguments]


async def test_nothing_takes_time_or_ids_past_the_doors(migrated: Database) -> None:
    pattern = r"\mnow\(\)|current_timestamp|clock_timestamp|statement_timestamp|gen_random_uuid|random\("
    async with migrated.connect() as owner:
        functions = await owner.fetch(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosrc ~* $1 ORDER BY 1",
            pattern,
        )
        defaults = await owner.fetchval(
            "SELECT count(*) FROM pg_attrdef d WHERE pg_get_expr(d.adbin, d.adrelid) ~* $1", pattern.replace("\\m", "^")
        )
    assert [row["proname"] for row in functions] == ["fn_now", "fn_uuid"]
    assert defaults == 0


async def test_now_is_the_setting_of_the_transaction(migrated: Database) -> None:
    async with migrated.connect("ws_server") as server:
        async with server.transaction():
            await server.execute("SELECT set_config('wakestorm.now', '2026-01-05T12:00:00+00:00', true)")
            assert await server.fetchval("SELECT fn_now()") == NOW
            device_id = await add_device(server)
        created = await server.fetchval("SELECT created_at FROM devices WHERE device_id = $1", device_id)
        assert created == NOW
        assert await server.fetchval("SELECT fn_now() = now()")


async def test_updated_at_follows_the_setting(migrated: Database) -> None:
    later = datetime(2026, 1, 6, tzinfo=UTC)
    async with migrated.connect(now=NOW) as owner:
        image_id = await add_image(owner, await add_device(owner))
        await set_now(owner, later)
        await owner.execute("UPDATE device_images SET received_chunks = 1 WHERE image_id = $1", image_id)
        assert await owner.fetchval("SELECT updated_at FROM device_images") == later


async def test_now_of_a_scenario_is_scenario_time(migrated: Database) -> None:
    async with migrated.connect(now=NOW) as owner:
        await owner.execute("SET search_path = scenario_time, pg_catalog, public")
        assert await owner.fetchval("SELECT NOW()") == NOW
        assert await owner.fetchval("SELECT pg_catalog.now()") != NOW


async def test_seeded_ids_follow_from_seed_and_number_over_all_sessions(migrated: Database) -> None:
    expected = [hashlib.md5(f"4211:{number}".encode()).hexdigest() for number in (1, 2, 3)]
    async with migrated.connect("ws_server") as first, migrated.connect("ws_server") as second:
        for connection in (first, second):
            await connection.execute("SELECT set_config('wakestorm.id_seed', '4211', false)")
        ids = [await connection.fetchval("SELECT fn_uuid()") for connection in (first, second, first)]
    assert [value.hex for value in ids] == [f"{h[:12]}4{h[13:16]}8{h[17:]}" for h in expected]
    assert all(value.version == 4 for value in ids)
