"""The rows that a fleet's cameras need: company, program, sites, devices, assignments, in a few statements."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from simulator.fleet import camera_mac, camera_name

DEVICES_A_SITE: Final = 100
ROWS_A_STATEMENT: Final = 5_000
CRON: Final = "0 * * * *"
"""The cameras keep their own timer; without a schedule the server would send them to sleep."""

_NAMESPACE: Final = uuid.UUID("d6d8b1f4-5e0d-4c5e-8f43-2c1a7f1ee700")

_SITES: Final = """
INSERT INTO sites (site_id, program_id, site_name, timezone, location)
SELECT s.id, $2, s.name, 'UTC', s.name FROM unnest($1::uuid[], $3::text[]) AS s (id, name) ON CONFLICT DO NOTHING
"""
_DEVICES: Final = """
INSERT INTO devices (device_id, device_mac, device_code, device_name, is_active, provisioning_status, device_type,
    wake_schedule_cron)
SELECT d.id, d.mac, d.name, d.name, true, 'mapped', 'virtual', $4
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS d (id, mac, name) ON CONFLICT DO NOTHING
"""
_ASSIGNMENTS: Final = """
INSERT INTO device_site_assignments (assignment_id, device_id, site_id)
SELECT a.id, a.device, a.site FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS a (id, device, site)
ON CONFLICT DO NOTHING
"""


def _id(*words: object) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, "/".join(map(str, words)))


async def register(connection: asyncpg.Connection, cameras: Sequence[int], *, seed: int, now: datetime) -> None:
    """Inserts the rows of the cameras with these numbers; those that an earlier fleet of this seed left are used."""
    company, program = _id(seed, "company"), _id(seed, "program")
    sites = sorted({index // DEVICES_A_SITE for index in cameras})
    async with connection.transaction():
        await connection.fetchval("SELECT set_config('wakestorm.now', $1, true)", now.isoformat())
        await connection.execute("INSERT INTO companies VALUES ($1, $2) ON CONFLICT DO NOTHING", company, "Fleet")
        await connection.execute(
            "INSERT INTO programs VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", program, company, "Fleet"
        )
        await connection.execute(
            _SITES, [_id(seed, "site", site) for site in sites], program, [f"fleet site {site}" for site in sites]
        )
        for start in range(0, len(cameras), ROWS_A_STATEMENT):
            indexes = cameras[start : start + ROWS_A_STATEMENT]
            ids = [_id(seed, "device", index) for index in indexes]
            macs, names = [camera_mac(index) for index in indexes], [camera_name(index) for index in indexes]
            await connection.execute(_DEVICES, ids, macs, names, CRON)
            await connection.execute(
                _ASSIGNMENTS,
                [_id(seed, "assignment", index) for index in indexes],
                ids,
                [_id(seed, "site", index // DEVICES_A_SITE) for index in indexes],
            )
