"""The rows that a scenario's devices need before they wake: company, program, sites, assignments, devices."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Final

import asyncpg

from harness.plan import Plan
from harness.plan_steps import PlannedDevice
from simulator.sites import FleetPlaces

_NAMESPACE: Final = uuid.UUID("6f1d9c1e-57a0-4a52-9d53-77616b657374")

_STATUS: Final = {"mapped": "mapped", "unmapped": "pending_mapping", "inactive": "inactive"}


def seeded_id(seed: int, name: str) -> uuid.UUID:
    """The id of a row that the bench makes, the same for the same seed and name."""
    return uuid.uuid5(_NAMESPACE, f"{seed}/{name}")


async def seed_fleet(connection: asyncpg.Connection, plan: Plan, now: datetime) -> None:
    """Insert the plan's devices with their lineage; devices that are unknown to the server get no row."""
    places = FleetPlaces(seed=plan.seed)
    company, program = seeded_id(plan.seed, "company"), seeded_id(plan.seed, "program")
    async with connection.transaction():
        await connection.fetchval("SELECT set_config('wakestorm.now', $1, true)", now.isoformat())
        await connection.execute("INSERT INTO companies VALUES ($1, $2)", company, places.company_name)
        await connection.execute("INSERT INTO programs VALUES ($1, $2, $3)", program, company, places.program_name)
        for device in plan.devices:
            if device.provisioning != "unknown":
                await _seed_device(connection, plan, device, places, program)


async def _seed_device(
    connection: asyncpg.Connection, plan: Plan, device: PlannedDevice, places: FleetPlaces, program: uuid.UUID
) -> None:
    place = places.place(device.group, device.index)
    site = seeded_id(plan.seed, f"site/{place.site_name}/{device.timezone}")
    is_mapped = device.provisioning == "mapped"
    if device.provisioning != "unmapped":
        await connection.execute(
            "INSERT INTO sites (site_id, program_id, site_name, timezone, location) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT DO NOTHING",
            site,
            program,
            place.site_name,
            device.timezone,
            place.location,
        )
    row = {
        "device_id": uuid.UUID(device.device_id),
        "device_mac": device.mac,
        "device_code": f"DEVICE-ESP32S3-{device.number + 1:03d}",
        "device_name": place.device_name,
        "is_active": device.provisioning != "inactive",
        "provisioning_status": _STATUS[device.provisioning],
        "device_type": "virtual",
        "wake_schedule_cron": device.cron,
    }
    if plan.revision == "head":
        row["location"] = place.location  # older schemas have no place for it
    numbers = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await connection.execute(f"INSERT INTO devices ({', '.join(row)}) VALUES ({numbers})", *row.values())
    if is_mapped:
        await connection.execute(
            "INSERT INTO device_site_assignments (assignment_id, device_id, site_id) VALUES ($1, $2, $3)",
            seeded_id(plan.seed, f"assignment/{device.name}"),
            uuid.UUID(device.device_id),
            site,
        )
