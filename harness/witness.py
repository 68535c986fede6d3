"""Sees what a scenario does to the rows, and keeps small pictures of its photos.

In the embedded bench it watches the second run of what failed, after every COMMIT, through a connection of its own with
the read-only role, at moments when scenario time stands still: the history has the same bytes with it and without it,
and `run_one` compares them. Where time is real there is no second run, so it watches the first, ten times a second: a
row's time is then that of the look.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg

from harness.bench import Bench
from harness.detail import Detail, Picture, RowStory
from harness.evidence import Evidence
from harness.history import History, Record
from harness.ledger import LedgerEntry
from harness.plan import Plan
from harness.plan_steps import Expect, RowsSubject
from harness.sequence import TELLING
from simulator.camera import render

WATCHED: Final = (
    "devices",
    "device_images",
    "device_wake_sessions",
    "device_wake_payloads",
    "device_commands",
    "device_alerts",
    "duplicate_images_log",
    "original_images",
    "videos",
    "processing_jobs",
)
ROWS_MAX: Final = 400
CHANGES_MAX: Final = 2_000
STORIES_MAX: Final = 40
CELL_LENGTH_CHARS_MAX: Final = 300
PICTURES_MAX: Final = 8
PICTURE_WIDTH_MAX: Final = 96
PICTURE_SOURCE_BYTES_MAX: Final = 2_000_000
REAL_TIME_EVERY_S: Final = 0.1

THEIR_KEYS: Final[Mapping[str, Sequence[str]]] = {
    "devices": ("device_id",),
    "device_images": ("image_id",),
    "device_wake_sessions": ("session_id",),
    "device_wake_payloads": ("payload_id",),
}
"""What is watched of a target, and the keys in wakestorm's names."""

_KEYS: Final = """
SELECT c.relname AS table, array_agg(a.attname::text ORDER BY a.attnum) AS columns
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
WHERE i.indisprimary AND c.oid = ANY (SELECT to_regclass(name) FROM unnest($1::text[]) name)
GROUP BY c.relname ORDER BY array_position($1::text[], c.relname::text)
"""


def tables_of(plan: Plan) -> list[str]:
    """The tables that the plan's expectations name."""
    steps = [*plan.steps, *plan.watches]
    subjects = [step.subject for step in steps if isinstance(step, Expect)]
    return [subject.table for subject in subjects if isinstance(subject, RowsSubject)]


State = dict[tuple[str, str], dict[str, Any]]


class Witness:
    """Follows one run. Call `begin` once the bench has started, `end` before it stops."""

    def __init__(self, bench: Bench, tables: Sequence[str] = ()) -> None:
        self._bench = bench
        self._tables = [*dict.fromkeys([*WATCHED, *tables])]
        self._connection: Any = None
        self._is_lent = False
        self._every_s = 0.0
        self._due_s = 0.0
        self._looked_at = -1
        self._keys: dict[str, list[str]] = {}
        self._names = {device.mac: device.name for device in bench.plan.devices}
        self._first: State = {}
        self._known: State = {}
        self._changes: list[tuple[int, Record]] = []
        self.left_out = ""

    async def begin(self, connection: asyncpg.Connection) -> None:
        """The rows as they stand now are those of before."""
        self._connection = connection
        self._keys = {row["table"]: list(row["columns"]) for row in await connection.fetch(_KEYS, self._tables)}
        self._first = self._known = await self._state()
        self._bench.on_commit.append(self._look)

    async def begin_beside(self, keys: Mapping[str, Sequence[str]] | None = None) -> None:
        """Where time is real: through the judge's own connection. `keys`: the tables that are there, and their keys."""
        self._connection, self._is_lent, self._every_s = self._bench.reader, True, REAL_TIME_EVERY_S
        async with self._bench.exclusive():
            rows = [] if keys is not None else await self._connection.fetch(_KEYS, self._tables)
            self._keys = {row["table"]: list(row["columns"]) for row in rows}
            self._keys |= {table: list(columns) for table, columns in (keys or {}).items()}
            self._first = self._known = await self._state()
        self._bench.on_commit.append(self._look)

    def end(self, evidence: Evidence | None) -> Detail:
        """What was seen."""
        if self._connection is not None and not self._is_lent:
            self._connection.terminate()
        history = self._bench.history
        return Detail(
            asides=tuple({"after": at, **record.to_plain()} for at, record in history.asides()),
            rows=self._stories(history),
            pictures=pictures_of(self._bench, evidence),
            left_out=self.left_out,
        )

    async def _state(self) -> State:
        query = " UNION ALL ".join(
            f"(SELECT '{table}' AS name, to_jsonb(t) AS row FROM {table} t LIMIT {ROWS_MAX + 1})"
            for table in self._keys
        )
        rows = await self._connection.fetch(query) if query else []
        if len(rows) > ROWS_MAX:
            self._give_up(f"more than {ROWS_MAX} rows: their changes were not followed")
            return self._known
        found = [(row["name"], json.loads(row["row"]) if isinstance(row["row"], str) else row["row"]) for row in rows]
        return {self._key(table, row): row for table, row in found}

    def _key(self, table: str, row: Mapping[str, Any]) -> tuple[str, str]:
        return table, "/".join(str(row.get(column)) for column in self._keys[table])

    async def _look(self) -> None:
        if self.left_out or not self._is_time():
            return
        try:
            now = await self._state()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            self._give_up(f"the rows could not be followed to the end: {type(error).__name__}")
            return
        for key in sorted({*now, *self._known}):
            before, after = self._known.get(key), now.get(key)
            if before != after:
                self._note(key, before, after, now)
        self._known = now
        if len(self._changes) > CHANGES_MAX:
            self._give_up(f"more than {CHANGES_MAX} changes of rows: the later ones are not shown")

    def _is_time(self) -> bool:
        """Always, or where time is real once in a while after something was heard."""
        now_s, length = asyncio.get_running_loop().time(), len(self._bench.history)
        if self._every_s and (now_s < self._due_s or length == self._looked_at):
            return False
        self._due_s, self._looked_at = now_s + self._every_s, length
        return True

    def _note(self, key: tuple[str, str], before: Any, after: Any, now: State) -> None:
        row = after or before
        device = row if key[0] == "devices" else now.get(("devices", str(row.get("device_id"))), {})
        bench, keys = self._bench, self._keys[key[0]]
        who, t_ms = self._names.get(device.get("device_mac", ""), "database"), bench.clock.elapsed_ms()
        fields = {
            "table": key[0],
            "key": row.get(keys[0]) if len(keys) == 1 else key[1],
            "image_name": row.get("image_name"),
            "op": _op(before, after),
            "changes": changed(before, after),
            "progress": f"{row['received_chunks']}/{row.get('total_chunks') or '?'}"
            if "received_chunks" in row
            else None,
        }
        self._changes.append((len(bench.history), Record(t_ms=t_ms, kind="row", who=who, fields=fields)))
        telling = {name: pair for name, pair in fields["changes"].items() if name in TELLING}
        if telling or fields["op"] != "update":
            bench.history.aside(t_ms, "row", who, **{**fields, "changes": telling})

    def _give_up(self, why: str) -> None:
        self.left_out = why

    def _stories(self, history: History) -> tuple[RowStory, ...]:
        """Every row that changed until the first step failed (else until the end), from first to last."""
        failed = next((at for at, record in enumerate(history) if record.kind == "fail"), len(history))
        numbering = history.numbering.copy()
        stories: dict[tuple[str, str], RowStory] = {}
        for _, record in (change for change in self._changes if change[0] <= failed):
            story = _story(record, numbering.applied(record.fields))
            earlier = stories.get((story.table, story.row))
            stories[story.table, story.row] = story if earlier is None else _joined(earlier, story)
        order = {table: number for number, table in enumerate(self._tables)}
        told = sorted(stories.values(), key=lambda story: order.get(story.table, len(order)))
        if len(told) > STORIES_MAX and not self.left_out:
            self.left_out = f"{len(told) - STORIES_MAX} more rows changed"
        return tuple(told[:STORIES_MAX])


def changed(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, list[Any]]:
    """[before, after] of each column that differs; long values are cut."""
    old, new = before or {}, after or {}
    names = [*dict.fromkeys([*old, *new])]
    return {name: [_cut(old.get(name)), _cut(new.get(name))] for name in names if old.get(name) != new.get(name)}


def pictures_of(bench: Bench, evidence: Evidence | None) -> tuple[Picture, ...]:
    """Thumbnails of what was captured and of what is stored, where the two differ or something went wrong first."""
    if evidence is None:
        return ()
    stored = {(row["device"], row["image_name"]): row for row in evidence.images if row.get("object_key")}
    entries = sorted(evidence.ledger, key=lambda entry: entry.outcome.value == "stored")
    found: list[Picture] = []
    for entry in entries:
        if len(found) >= PICTURES_MAX:
            break
        found += _captured(bench, entry)
        row = stored.get((entry.device, entry.image_name))
        data = None if row is None else bench.stored_bytes(row["object_key"])
        if data is not None:
            found.append(picture(entry.device, entry.image_name, "stored", entry.outcome.value, data))
    return tuple(found[:PICTURES_MAX])


def picture(device: str, image_name: str, what: str, note: str, data: bytes) -> Picture:
    """A thumbnail of at most 96 pixels width; bytes that are no picture get none."""
    jpeg = _thumbnail(data)
    why = note if jpeg else f"{note}; {len(data)} bytes that can not be decoded".removeprefix("; ")
    return Picture(device=device, image_name=image_name, what=what, note=why, jpeg=jpeg)


def _captured(bench: Bench, entry: LedgerEntry) -> list[Picture]:
    """The photo as the camera took it, drawn again from (device, wake, seed)."""
    planned = next((device for device in bench.plan.devices if device.name == entry.device), None)
    wake = 0
    for record in bench.history:
        if record.who != entry.device:
            continue
        if record.kind == "wake":
            wake = int(record.fields.get("number", wake))
        if record.kind == "capture" and record.fields.get("image_name") == entry.image_name and planned is not None:
            size, picture_kind = planned.image_size_bytes, planned.picture
            data = render(planned.mac, wake, bench.plan.seed, size, picture_kind)
            if hashlib.sha256(data).hexdigest() == entry.captured_sha256:
                return [picture(entry.device, entry.image_name, "captured", entry.outcome.value, data)]
    return []


def _thumbnail(data: bytes) -> str:
    from PIL import Image

    if len(data) > PICTURE_SOURCE_BYTES_MAX:
        return ""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (PICTURE_WIDTH_MAX, PICTURE_WIDTH_MAX))
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    small.thumbnail((PICTURE_WIDTH_MAX, PICTURE_WIDTH_MAX))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=60)
    return base64.b64encode(out.getvalue()).decode("ascii")


def _progress(row: Mapping[str, Any]) -> str | None:
    return f"{row['received_chunks']}/{row.get('total_chunks') or '?'}" if "received_chunks" in row else None


def _op(before: Any, after: Any) -> str:
    return "insert" if before is None else "delete" if after is None else "update"


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > CELL_LENGTH_CHARS_MAX:
        return value[: CELL_LENGTH_CHARS_MAX - 3] + "..."
    return value


def _story(record: Record, fields: Mapping[str, Any]) -> RowStory:
    return RowStory(
        table=fields["table"], row=str(fields["key"]), who=record.who, op=fields["op"], changes=dict(fields["changes"])
    )


def _joined(first: RowStory, then: RowStory) -> RowStory:
    changes = {name: list(pair) for name, pair in first.changes.items()}
    for name, (before, after) in then.changes.items():
        changes[name] = [changes[name][0] if name in changes else before, after]
    changes = {name: pair for name, pair in changes.items() if pair[0] != pair[1]}
    op = "insert" if first.op == "insert" and then.op != "delete" else then.op
    return RowStory(table=first.table, row=first.row, who=then.who, op=op, changes=changes)
