"""What is checked and measured at each day's end; both look only at what the day can have changed.

A capture is open until it is stored once and the device has let go of it; then it is settled. A day's evidence has the
open captures, those of the last `WINDOW_MS`, and every row that was made or completed meanwhile, so a photo that is
stored twice long after its first time is a row that no capture explains. The end of the soak judges everything again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, Final

from harness.bench import Bench
from harness.evidence import Evidence, Violation
from harness.history import Header, History
from harness.ledger import CaptureFact, Outcome, StoredFact, reconciled
from harness.observe import Observer
from harness.soak.history import SoakHistory
from harness.soak.machine import memory_of_database
from harness.soak.order import DAY_MS

WINDOW_MS: Final = 2 * DAY_MS

SAFETY: Final = (
    "no_doubled_image",
    "no_damaged_image",
    "released_is_stored",
    "one_row_per_capture",
    "received_chunks_match",
    "acked_after_commit",
)
"""Checks that hold at any moment; the others are about what must have happened in the end."""

_ROWS: Final = """
SELECT i.*, d.device_mac,
    (SELECT count(*) FROM device_image_chunks c WHERE c.image_id = i.image_id) AS chunks_there
FROM device_images i JOIN devices d USING (device_id)
WHERE i.created_at >= $1 OR i.completed_at >= $2 OR i.status <> 'complete' OR i.captured_at = ANY($3::timestamptz[])
ORDER BY d.device_mac, i.captured_at, i.created_at, i.image_id
"""

MEASURES: Final = """
SELECT
    (SELECT count(*) FROM device_images WHERE status = 'pending') AS images_pending,
    (SELECT count(*) FROM device_images WHERE status = 'receiving') AS images_receiving,
    (SELECT count(*) FROM device_images WHERE status = 'complete') AS images_complete,
    (SELECT count(*) FROM device_images WHERE status = 'failed') AS images_failed,
    (SELECT count(*) FROM device_history WHERE event_type = 'image_timed_out') AS timeouts,
    (SELECT count(*) FROM device_commands WHERE command_type = 'retry_image') AS retry_commands,
    (SELECT count(*) FROM device_alerts) AS alerts,
    (SELECT count(*) FROM device_image_chunks) AS rows_chunks,
    (SELECT count(*) FROM device_image_chunks_aside) AS rows_chunks_aside,
    (SELECT count(*) FROM device_image_chunks_aside a JOIN device_images i USING (image_id)
        WHERE a.attempt < i.attempt - 3) AS rows_aside_beyond,
    (SELECT count(*) FROM device_image_chunks_staged) AS rows_chunks_staged,
    (SELECT count(*) FROM device_image_chunks_staged WHERE received_at < $1) AS rows_chunks_forgotten,
    (SELECT count(*) FROM device_image_chunks c JOIN device_images i USING (image_id) WHERE i.status = 'complete')
        AS rows_left_behind,
    (SELECT count(*) FROM device_wake_sessions) AS rows_sessions,
    (SELECT count(*) FROM device_history) AS rows_history,
    (SELECT count(*) FROM device_ack_log) AS rows_ack_log,
    (SELECT count(*) FROM quarantined_messages) AS rows_quarantined,
    (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS connections,
    pg_database_size(current_database()) AS database_bytes
"""

_BACKENDS: Final = "SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL ORDER BY pid"

_SIZES: Final = """
SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes
FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
ORDER BY bytes DESC, name LIMIT 12
"""

_LATENCY: Final = """
SELECT coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY s), 0) AS latency_p50_s,
    coalesce(percentile_cont(0.95) WITHIN GROUP (ORDER BY s), 0) AS latency_p95_s, coalesce(max(s), 0) AS latency_max_s
FROM (
    SELECT extract(epoch FROM completed_at - captured_at)::float AS s
    FROM device_images WHERE completed_at >= $1 AND captured_at_source = 'device'
) done
"""


async def measures(observer: Observer, moment: datetime) -> dict[str, Any]:
    """The counts of the database as they are at `moment`; a chunk that waits for its metadata a day is forgotten."""
    (row,) = await observer.fetch(MEASURES, moment - timedelta(milliseconds=DAY_MS))
    return {name: int(value) for name, value in row.items()}


@dataclass(slots=True)
class Capture:
    """One photo that is still looked at; `released`: its device has let go of it."""

    fact: CaptureFact
    released: bool = False
    settled_at: datetime | None = None


def _key_of(fact: CaptureFact) -> tuple[str, str, datetime]:
    return fact.device, fact.image_name, fact.captured_at


class Daily:
    """Judges and measures one bench, day after day."""

    def __init__(self, bench: Bench, history: SoakHistory) -> None:
        self._bench = bench
        self._history = history
        self._observer = Observer(bench.reader, bench.clock.now)
        self._names = {device.mac: device.name for device in bench.plan.devices}
        self._captures: dict[tuple[str, str, datetime], Capture] = {}
        self._looked_at = bench.clock.now()
        self.captured = 0
        self.settled = 0

    def memory(self) -> dict[str, Any]:
        """What is still looked at, for `recall`."""
        return {
            "captures": list(self._captures.values()),
            "looked_at": self._looked_at,
            "captured": self.captured,
            "settled": self.settled,
        }

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on from what another process looked at."""
        self._captures = {_key_of(capture.fact): capture for capture in memory["captures"]}
        self._looked_at = memory["looked_at"]
        self.captured, self.settled = memory["captured"], memory["settled"]

    async def judged(self) -> list[tuple[str, Violation]]:
        """(check, violation) of the day that ends now. Call it inside `bench.exclusive()`."""
        looked_at, self._looked_at = self._looked_at, self._bench.clock.now()
        day = History(
            Header(scenario="day", seed=0, bench="", wakestorm="", python="", postgres_major=0, architecture="")
        )
        for record in self._history.fresh:
            day.append(record.t_ms, record.kind, record.who, **record.fields)
        self._note_fresh(day)
        window = self._looked_at - timedelta(milliseconds=WINDOW_MS)
        rows = await self._rows(window, looked_at)
        evidence = self._evidence(day, rows)
        found = [
            (name, violation)
            for name in SAFETY
            for violation in import_module(f"harness.checks.{name}").check(evidence)
        ]
        self._settle(evidence, window)
        self._history.new_day(keeps_tail=bool(found))
        return found

    async def measured(self, since: datetime) -> dict[str, Any]:
        """The numbers of the day that began at `since`."""
        row = await measures(self._observer, self._bench.clock.now())
        (latency,) = await self._observer.fetch(_LATENCY, since)
        held = sum(len(dut.pending) for dut in self._bench.duts)
        memory = memory_of_database(int(found["pid"]) for found in await self._observer.fetch(_BACKENDS))
        return {
            **row,
            "database_memory_bytes": memory.all_bytes,
            "database_own_bytes": memory.own_bytes,
            "table_bytes": {str(found["name"]): int(found["bytes"]) for found in await self._observer.fetch(_SIZES)},
            **{name: round(float(value), 3) for name, value in latency.items()},
            "images_captured": self.captured,
            "images_held": held,
        }

    def _note_fresh(self, day: History) -> None:
        held = {dut.planned.name: dut.held_sha256 for dut in self._bench.duts}
        for record in day.captures():
            fields = record.fields
            fact = CaptureFact(
                device=record.who,
                image_name=fields["image_name"],
                captured_at=datetime.fromisoformat(fields["captured_at"]),
                sha256=fields["sha256"],
                size_bytes=fields["size_bytes"],
                damaged_at_source=fields["damaged_at_source"],
            )
            self._captures[_key_of(fact)] = Capture(fact)
            self.captured += 1
        lost = {(record.who, sha256) for record in day for sha256 in record.fields.get("lost_sha256", ())}
        for capture in self._captures.values():
            fact = capture.fact
            is_held = fact.sha256 in held[fact.device]
            is_lost = fact.lost_by_device or (fact.device, fact.sha256) in lost
            capture.fact = replace(fact, held=is_held, lost_by_device=is_lost)
            capture.released = not is_held

    async def _rows(self, window: datetime, looked_at: datetime) -> list[dict[str, Any]]:
        old = [c.fact.captured_at for c in self._captures.values() if c.fact.captured_at < window]
        rows: list[dict[str, Any]] = []
        for found in await self._observer.fetch(_ROWS, window, looked_at, old):
            key = found["object_key"]
            data = self._bench.stored_bytes(key) if key else None
            is_new = found["created_at"] >= window or (found["completed_at"] or looked_at) >= looked_at
            device = self._names.get(found["device_mac"], found["device_mac"])
            if not is_new and (device, found["wire_image_name"], found["captured_at"]) not in self._captures:
                continue  # of the same second as an open capture, but another's
            row = dict(found) | {
                "device": device,
                "object_sha256": None if data is None else hashlib.sha256(data).hexdigest(),
                "object_size_bytes": None if data is None else len(data),
            }
            rows.append(row)
        return rows

    def _evidence(self, day: History, rows: Sequence[dict[str, Any]]) -> Evidence:
        stored = [
            StoredFact(
                device=row["device"],
                wire_image_name=row["wire_image_name"],
                captured_at=row["captured_at"],
                status=row["status"],
                sha256=row["object_sha256"],
                size_bytes=row["object_size_bytes"],
            )
            for row in rows
        ]
        ledger = reconciled([capture.fact for capture in self._captures.values()], stored)
        return Evidence(
            plan=self._bench.plan,
            history=day,
            ledger=ledger,
            images=rows,
            sessions=(),
            payloads=(),
            early=tuple(self._bench.early),
        )

    def _settle(self, evidence: Evidence, window: datetime) -> None:
        """Captures that are stored and let go of are looked at for as long as their rows count as new."""
        for capture, entry in zip(list(self._captures.values()), evidence.ledger, strict=False):
            is_good = capture.released and entry.outcome in (Outcome.STORED, Outcome.REFUSED, Outcome.LOST_BY_DEVICE)
            if capture.settled_at is None and is_good:
                capture.settled_at = self._looked_at
                self.settled += 1
        self._captures = {
            key: capture
            for key, capture in self._captures.items()
            if capture.settled_at is None or capture.settled_at >= window
        }
