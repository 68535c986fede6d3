"""Gathers the evidence of a run from its bench: rows by own SQL, stored bytes, the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from harness.bench import Bench
from harness.evidence import Evidence
from harness.ledger import CaptureFact, LedgerEntry, StoredFact, reconciled
from harness.observe import Observer

_IMAGES: Final = """
SELECT i.*, d.device_mac,
    (SELECT count(*) FROM device_image_chunks c WHERE c.image_id = i.image_id) AS chunks_there,
    (SELECT count(DISTINCT p.session_id) FROM device_wake_payloads p WHERE p.device_image_id = i.image_id) AS offers
FROM device_images i JOIN devices d USING (device_id)
ORDER BY d.device_mac, i.captured_at, i.created_at, i.image_id
"""
_SESSIONS: Final = """
SELECT s.*, d.device_mac FROM device_wake_sessions s JOIN devices d USING (device_id)
ORDER BY d.device_mac, s.wake_timestamp, s.session_id
"""
_PAYLOADS: Final = """
SELECT p.*, d.device_mac FROM device_wake_payloads p JOIN devices d USING (device_id)
ORDER BY d.device_mac, p.received_at, p.payload_id
"""
_JUDGED_TABLES: Final = (
    "devices",
    "device_images",
    "device_image_chunks",
    "device_wake_sessions",
    "device_wake_payloads",
)


async def image_rows(bench: Bench, observer: Observer) -> list[dict[str, Any]]:
    """Every row of device_images, with the device's name, its chunks and the hash of the bytes behind it."""
    names = {device.mac: device.name for device in bench.plan.devices}
    rows: list[dict[str, Any]] = []
    for row in await observer.fetch(_IMAGES):
        device = names.get(row["device_mac"], row["device_mac"])
        rows.append(dict(row) | {"device": device} | _stored(bench, row))
    return rows


def _stored(bench: Bench, row: Mapping[str, Any]) -> dict[str, Any]:
    """Hash and size of the stored bytes; a target's database may keep them in the row itself."""
    if "object_sha256" in row:
        return {}
    data = bench.stored_bytes(row["object_key"]) if row["object_key"] else None
    return {
        "object_sha256": None if data is None else hashlib.sha256(data).hexdigest(),
        "object_size_bytes": None if data is None else len(data),
    }


def ledger_of(bench: Bench, rows: Sequence[dict[str, Any]]) -> tuple[LedgerEntry, ...]:
    """What became of every photo of this run; rows that a scenario put there itself are no surprise."""
    held = {dut.planned.name: dut.held_sha256 for dut in bench.duts}
    gone = {
        (record.who, sha256)
        for record in bench.history.of_kind("fault")
        for sha256 in record.fields.get("lost_sha256", ())
    }
    captures = [
        CaptureFact(
            device=record.who,
            image_name=record.fields["image_name"],
            captured_at=datetime.fromisoformat(record.fields["captured_at"]),
            sha256=record.fields["sha256"],
            size_bytes=record.fields["size_bytes"],
            held=record.fields["sha256"] in held.get(record.who, ()),
            lost_by_device=(record.who, record.fields["sha256"]) in gone,
            damaged_at_source=record.fields["damaged_at_source"],
        )
        for record in bench.history.captures()
    ]
    stored = [
        StoredFact(
            device=row["device"],
            wire_image_name=row["wire_image_name"],
            captured_at=row["captured_at"],
            status=row["status"],
            sha256=row["object_sha256"],
            size_bytes=row["object_size_bytes"],
            offers=max(row["offers"], 1),
        )
        for row in rows
        if row["device"] in held
    ]
    return reconciled(captures, stored)


async def gathered(bench: Bench, observer: Observer) -> Evidence:
    """All evidence of a run that has ended."""
    names = {device.mac: device.name for device in bench.plan.devices}
    images = await image_rows(bench, observer)

    async def rows_of(query: str) -> list[dict[str, Any]]:
        found = await observer.fetch(query)
        return [dict(row) | {"device": names.get(row["device_mac"], row["device_mac"])} for row in found]

    return Evidence(
        plan=bench.plan,
        history=bench.history,
        ledger=ledger_of(bench, images),
        images=images,
        sessions=await rows_of(_SESSIONS),
        payloads=await rows_of(_PAYLOADS),
        blind=await _blind_spots(bench, observer),
        early=tuple(bench.early),
    )


async def _blind_spots(bench: Bench, observer: Observer) -> list[str]:
    """What the owner counts and the judge does not see."""
    query = " UNION ALL ".join(f"SELECT '{table}' AS name, count(*) AS rows FROM {table}" for table in _JUDGED_TABLES)
    seen = {row["name"]: row["rows"] for row in await observer.fetch(query)}
    return [
        f"{seen.get(row['name'], 0)} of {row['rows']} rows of {row['name']}"
        for row in await bench.owner.fetch(query)
        if seen.get(row["name"]) != row["rows"]
    ]
