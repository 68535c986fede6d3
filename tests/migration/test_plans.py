"""The queries of every wake and every tick are served by indexes, at 1 million images."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.store import BY_KEY, READ
from server.writing import WRITE
from tests.migration.support import Database

pytestmark = [pytest.mark.postgres]

FILL = """
SET session_replication_role = replica; -- no triggers, no foreign keys: 1 million rows in seconds
INSERT INTO devices (device_id, device_mac) SELECT md5(n::text)::uuid, n::text FROM generate_series(1, 1000) n;
INSERT INTO device_images (
    image_id, device_id, image_name, wire_image_name, captured_at, created_at, updated_at, status, total_chunks,
    received_chunks, metadata
)
SELECT
    lpad(n::text, 32, '0')::uuid, d.device_id, 'image_' || n, 'image_' || n, at.time, at.time, at.time,
    CASE WHEN n % 1000 > 2 THEN 'complete' ELSE (ARRAY['pending', 'receiving', 'failed'])[n % 3 + 1] END, 10, 5, '{}'
FROM devices d,
LATERAL generate_series(1000 * d.device_mac::int - 999, 1000 * d.device_mac::int) n,
LATERAL (SELECT timestamptz '2026-01-01' + n * interval '1 second' AS time) AS at;
SET session_replication_role = origin;
ANALYZE devices, device_images;
"""

# Made again after the rows: filling a table is much faster without them.
INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
FROM pg_index WHERE indrelid = 'device_images'::regclass
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""

SEED_001 = (
    "SELECT image_id, image_name, status, received_chunks, total_chunks FROM device_images "
    "WHERE device_id = md5('7')::uuid AND status IN ('pending', 'receiving') ORDER BY captured_at ASC LIMIT 1"
)
WITH_FAILED = (
    "SELECT image_id FROM device_images WHERE device_id = md5('7')::uuid "
    "AND (status IN ('pending', 'receiving') OR status = 'failed' AND retry_count < max_retries) "
    "ORDER BY captured_at LIMIT 1"
)
BY_NAME = (
    "SELECT image_id FROM device_images WHERE device_id = md5('7')::uuid AND wire_image_name = 'image_6.jpg' "
    "ORDER BY captured_at DESC LIMIT 1"
)


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan] + [node for child in plan.get("Plans", []) for node in _nodes(child)]


BATCH = {
    READ["devices"]: "'{}', '{}', '{}'",
    WRITE["save"]: "'[]', '[]', '{}', '{}', '{}', '[]', '2026-01-01'",
}


@pytest.mark.parametrize("statement", BATCH, ids=["devices", "save"])
async def test_a_plan_made_while_tables_are_empty_goes_by_key(migrated: Database, statement: str) -> None:
    async with migrated.connect() as owner:
        await owner.execute(f"SET plan_cache_mode = force_generic_plan; BEGIN{BY_KEY}; PREPARE batch AS {statement}")
        text = await owner.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE batch({BATCH[statement]})")
    nodes = _nodes(json.loads(text)[0]["Plan"])
    assert [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"] == []
    assert {node["Node Type"] for node in nodes} & {"Hash Join", "Merge Join"} == set()


@pytest.mark.slow
async def test_no_query_of_a_wake_reads_the_whole_table(migrated: Database) -> None:
    expected = {
        SEED_001: "idx_device_images_incomplete",
        WITH_FAILED: "idx_device_images_incomplete",
        BY_NAME: "idx_device_images_wire_name",
        "SELECT * FROM fn_stale_images()": "idx_device_images_open",
    }
    async with migrated.connect(migrated.cluster.superuser) as superuser:
        indexes = await superuser.fetch(INDEXES)
        await superuser.execute("; ".join(f"DROP INDEX {row['name']}" for row in indexes))
        await superuser.execute(FILL)
        await superuser.execute("; ".join(row["definition"] for row in indexes))
    async with migrated.connect() as owner:
        for query, index in expected.items():
            text = await owner.fetchval(f"EXPLAIN (FORMAT JSON) {query}")
            nodes = _nodes(json.loads(text)[0]["Plan"])
            assert index in {node.get("Index Name") for node in nodes}, query
            scanned = [n["Relation Name"] for n in nodes if n["Node Type"] == "Seq Scan"]
            assert "device_images" not in scanned, query
