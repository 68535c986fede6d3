"""`wakestorm bench migrate`: what the migrations cost on many rows, while cameras go on writing.

A database of legacy rows with duplicates goes through every revision of cameras and originals; before the back-fill of
originals the complete images get the hash of their bytes, which is not measured. Beside it, from a thread of its own,
one connection looks every millisecond whether device_images is locked exclusively, and one inserts all the time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import asyncpg

import server.app
from harness.bench.postgres_cluster import OWNER, Cluster
from harness.machine import monotonic_s

LOCKED_MS_MAX: Final = 1_000
"""Design: exclusive locks take a second in all at most."""

LOOK_EVERY_S: Final = 0.001
DEVICES: Final = 1_000

FILL: Final = """
SET session_replication_role = replica; -- no triggers, no foreign keys: a million rows in seconds
INSERT INTO devices (device_id, device_mac)
SELECT md5('device ' || n)::uuid, lpad(n::text, 12, '0') FROM generate_series(1, {devices}) n;
INSERT INTO device_images (
    image_id, device_id, image_name, captured_at, created_at, updated_at, status, total_chunks, received_chunks
)
SELECT
    md5('image ' || n)::uuid, md5('device ' || (place % {devices}) + 1)::uuid, 'image_' || place || '.jpg', at, at, at,
    CASE WHEN n % 10 > 0 THEN 'complete' ELSE (ARRAY['pending', 'receiving', 'failed'])[n / 10 % 3 + 1] END, 10, n % 11
FROM
    generate_series(1, {rows}) n,
    LATERAL (SELECT CASE WHEN n > {distinct} THEN n - {distinct} ELSE n END AS place) AS p,
    LATERAL (SELECT timestamptz '2025-01-01 00:00Z' + n * interval '20 seconds' AS at) AS t;
INSERT INTO device_wake_payloads (device_id, captured_at, device_image_id)
SELECT device_id, captured_at, image_id FROM device_images;
INSERT INTO device_ack_log (device_id, device_mac, image_id, ack_type)
SELECT device_id, '', image_id, 'ACK_OK' FROM device_images WHERE status = 'complete';
SET session_replication_role = origin;
ANALYZE;
"""
STORE: Final = """
SET session_replication_role = replica;
UPDATE device_images i
SET image_size = 10000, sha256 = h.hash, object_key = 'originals/' || left(h.hash, 2) || '/' || h.hash
FROM (SELECT image_id, encode(sha256(('photo ' || abs(hashtext(image_id::text)) % {rows})::bytea), 'hex') AS hash
      FROM device_images WHERE status = 'complete') h
WHERE i.image_id = h.image_id;
INSERT INTO projects (name) VALUES ('of before');
INSERT INTO images (project_id, file_name, original_url, file_size, mime_type)
SELECT p.id, 'photo.jpg', d.object_key, 10000, 'image/jpeg'
FROM projects p, (SELECT object_key FROM device_images WHERE object_key IS NOT NULL LIMIT {rows} / 10) d;
SET session_replication_role = origin;
ANALYZE;
"""
LOCKED: Final = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND granted
        AND database = $1 AND relation = $2
)
"""
ORIGINALS: Final = """
SELECT
    count(*), count(*) FILTER (WHERE o.reference_count <> coalesce(r.there, 0)),
    (SELECT count(*) FROM device_images WHERE object_key IS NOT NULL AND original_image_id IS NULL)
FROM original_images o
LEFT JOIN (
    SELECT original_image_id, count(*) AS there
    FROM (SELECT original_image_id FROM device_images UNION ALL SELECT original_image_id FROM images) u GROUP BY 1
) r ON r.original_image_id = o.id
"""
INSERT: Final = """
INSERT INTO device_images (device_id, image_name, captured_at, status)
VALUES (md5('device 1')::uuid, $1, '2026-01-05 00:00Z', 'complete')
"""


@dataclass(slots=True)
class Revision:
    """What one revision cost."""

    name: str
    took_s: float
    locked_ms: float


@dataclass(slots=True)
class Report:
    """What a whole migration cost. `images` and `set_aside` are counted at its end."""

    rows: int
    duplicates: int
    fill_s: float
    revisions: list[Revision] = field(default_factory=list)
    images: int = 0
    set_aside: int = 0
    originals: int = 0
    miscounted: int = 0
    without_original: int = 0
    written_meanwhile: int = 0
    longest_write_ms: float = 0.0

    @property
    def took_s(self) -> float:
        """All revisions."""
        return sum(revision.took_s for revision in self.revisions)

    @property
    def locked_ms(self) -> float:
        """All exclusive locks on device_images: at least what they took, at most a look longer for each."""
        return sum(revision.locked_ms for revision in self.revisions)

    @property
    def mistakes(self) -> list[str]:
        """What is not as it should be."""
        found = []
        if self.locked_ms > LOCKED_MS_MAX:
            found.append(f"exclusive locks took {self.locked_ms:.0f} ms, at most {LOCKED_MS_MAX} are allowed")
        if self.set_aside != self.duplicates:
            found.append(f"{self.set_aside} rows are set aside, expected {self.duplicates}")
        if self.images != self.rows - self.duplicates + self.written_meanwhile:
            found.append(f"{self.images} images are left of {self.rows}")
        if self.miscounted or self.without_original:
            found.append(f"{self.miscounted} counts are wrong, {self.without_original} images have no original")
        return found


class _Meter(threading.Thread):
    """Looks for exclusive locks, and writes, on a loop of its own, until it is told to end."""

    def __init__(self, look: tuple[str, int, int], write: str) -> None:
        super().__init__(name="lock-meter", daemon=True)
        self._look = look
        self._write = write
        self._ended = threading.Event()
        self.locked_ms = 0.0
        self.written = 0
        self.longest_write_ms = 0.0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        """Returns when it has ended; raises what went wrong in it."""
        self._ended.set()
        self.join()
        if self.error is not None:
            raise self.error

    async def _run(self) -> None:
        await asyncio.gather(self._watch(), self._insert())

    async def _watch(self) -> None:
        dsn, database, table = self._look
        connection = await asyncpg.connect(dsn)
        try:
            statement = await connection.prepare(LOCKED)
            before_s, was_locked = monotonic_s(), False
            while not self._ended.is_set():
                is_locked = await statement.fetchval(database, table)
                now_s = monotonic_s()
                if is_locked or was_locked:
                    self.locked_ms += (now_s - before_s) * 1000
                before_s, was_locked = now_s, is_locked
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await connection.close()

    async def _insert(self) -> None:
        connection = await asyncpg.connect(self._write)
        try:
            while not self._ended.is_set():
                began_s = monotonic_s()
                await connection.execute(INSERT, f"meanwhile_{self.written}.jpg")
                self.longest_write_ms = max(self.longest_write_ms, (monotonic_s() - began_s) * 1000)
                self.written += 1
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await connection.close()


async def measure(
    cluster: Cluster, database: str, *, rows: int, duplicate_percent: int, on_line: Callable[[str], None]
) -> Report:
    """Fills `database`, which is made and dropped, and takes it through every revision."""
    await cluster.create_database(database)
    try:
        return await _measured(cluster, database, rows, rows * duplicate_percent // 100, on_line)
    finally:
        await cluster.drop_database(database)


async def _measured(
    cluster: Cluster, database: str, rows: int, duplicates: int, on_line: Callable[[str], None]
) -> Report:
    dsn = cluster.dsn(database, OWNER)
    base, *others = server.app.revisions()
    await server.app.migrate(dsn, base)
    began_s = monotonic_s()
    async with cluster.admin(database) as connection:
        await connection.execute(FILL.format(devices=DEVICES, rows=rows, distinct=rows - duplicates))
        oid = await connection.fetchval("SELECT oid::int FROM pg_database WHERE datname = current_database()")
        table = await connection.fetchval("SELECT 'device_images'::regclass::oid::int")
    report = Report(rows=rows, duplicates=duplicates, fill_s=monotonic_s() - began_s)
    on_line(f"{rows} images, {duplicates} of them duplicates, filled in {report.fill_s:.1f} s")
    meter = _Meter((cluster.dsn(cluster.maintenance_database, cluster.superuser), oid, table), dsn)
    meter.start()
    try:
        histories = [("cameras", name) for name in others]
        histories += [("originals", name) for name in server.app.revisions("originals")]
        for history, name in histories:
            if name == histories[-1][1]:
                async with cluster.admin(database) as connection:
                    await connection.execute(STORE.format(rows=rows))
            began_s, locked_ms = monotonic_s(), meter.locked_ms
            await server.app.migrate(dsn, name, on_progress=on_line, history=history)
            took = Revision(name, monotonic_s() - began_s, meter.locked_ms - locked_ms)
            report.revisions.append(took)
            on_line(f"{name}: {took.took_s:.1f} s, device_images exclusively locked for {took.locked_ms:.0f} ms")
    finally:
        meter.end()
    report.written_meanwhile, report.longest_write_ms = meter.written, meter.longest_write_ms
    async with cluster.admin(database) as connection:
        report.images = await connection.fetchval("SELECT count(*) FROM device_images")
        report.set_aside = await connection.fetchval("SELECT count(*) FROM device_images_duplicates_backup")
        row = await connection.fetchrow(ORIGINALS)
        report.originals, report.miscounted, report.without_original = row or (0, 0, 0)
    return report
