"""Rows of a large fleet that has worked for days: companies, cameras, photos; the same rows each time but for the time.

One camera in twenty, of every company, has a newest photo that failed, one in seven a second one under way; all other
photos are complete.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg

from harness.benchmarks.report import Tell

COMPANIES: Final = 10
ONE_FAILED_OF: Final = 20
ONE_UNDER_WAY_OF: Final = 7
ONE_NAMELESS_OF: Final = 10
ROWS_A_STATEMENT: Final = 50_000
COMPANY: Final = "Company 1"

_COMPANIES: Final = "INSERT INTO companies (company_name) SELECT 'Company ' || n FROM generate_series(0, $1::int - 1) n"
_DEVICES: Final = f"""
INSERT INTO devices (
    device_mac, device_name, company_id, provisioning_status, wake_schedule_cron, last_seen_at, next_wake_at,
    battery_voltage
)
SELECT
    'B8F8' || upper(lpad(to_hex(n), 8, '0')),
    CASE WHEN n % {ONE_NAMELESS_OF} > 0 THEN 'camera ' || n * 7919 % 1000003 END,
    c.company_id, 'active', '0 */12 * * *',
    $3::timestamptz - make_interval(secs => n::bigint * 7919 % 43200),
    $3::timestamptz + make_interval(secs => 3600 + n::bigint * 7907 % 43200),
    3.3 + n % 90 / 100.0
FROM generate_series($1::bigint, $2::bigint) n
JOIN companies c ON c.company_name = 'Company ' || n % {COMPANIES}
"""
_IMAGES: Final = f"""
INSERT INTO device_images (
    device_id, image_name, wire_image_name, status, captured_at, total_chunks, failed_at, timeout_reason, completed_at
)
SELECT
    d.device_id, i.name, i.name, i.status, i.captured_at, 12,
    CASE WHEN i.status = 'failed' THEN $4::timestamptz END,
    CASE WHEN i.status = 'failed' THEN 'Not completed before wake window' END,
    CASE WHEN i.status = 'complete' THEN i.captured_at + interval '9 seconds' END
FROM (
    SELECT
        'B8F8' || upper(lpad(to_hex(n % $3::bigint), 8, '0')) AS mac,
        'image_' || n / $3::bigint || '.jpg' AS name,
        $4::timestamptz - make_interval(hours => (12 * (1 + n / $3::bigint))::int) AS captured_at,
        CASE
            WHEN n / $3::bigint = 0 AND n / {COMPANIES} % {ONE_FAILED_OF} = 0 THEN 'failed'
            WHEN n / $3::bigint = 1 AND n % $3::bigint % {ONE_UNDER_WAY_OF} = 0 THEN 'receiving'
            ELSE 'complete'
        END AS status
    FROM generate_series($1::bigint, $2::bigint) n
) i
JOIN devices d ON d.device_mac = i.mac
"""


def name_of(number: int) -> str | None:
    """The name of the camera with that number."""
    return f"camera {number * 7919 % 1_000_003}" if number % ONE_NAMELESS_OF else None


def mac_of(number: int) -> str:
    """Its MAC address, as pages show it."""
    digits = f"B8F8{number:08X}"
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


async def fill(owner: asyncpg.Connection, devices: int, images: int, now: datetime, tell: Tell) -> None:
    """So many rows, and the planner knows them. Needs an empty database."""
    await owner.fetchval("SELECT set_config('wakestorm.now', $1, false)", now.isoformat())
    await owner.execute(_COMPANIES, COMPANIES)
    for first in range(0, devices, ROWS_A_STATEMENT):
        last = min(first + ROWS_A_STATEMENT, devices) - 1
        await owner.execute(_DEVICES, first, last, now)
        tell(f"{last + 1:,} of {devices:,} devices")
    for first in range(0, images, ROWS_A_STATEMENT):
        last = min(first + ROWS_A_STATEMENT, images) - 1
        await owner.execute(_IMAGES, first, last, devices, now)
        tell(f"{last + 1:,} of {images:,} photos")
    for table in ("companies", "devices", "device_images"):
        await owner.execute(f"VACUUM ANALYZE {table}")
