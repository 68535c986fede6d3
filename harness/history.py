"""The append-only history of one run: the same scenario and seed give the same bytes. Pure.

It carries no process id, port, path or real time; times are milliseconds since the scenario's start. Ids are
replaced by their natural order (`device_images#3`) as they come in, see `Numbering`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from uuid import UUID

from harness.jsonable import line_of_plain, plain
from server.wire.mqtt_filters import matches

Kind = Literal[
    "invoke",
    "ok",
    "fail",
    "info",
    "message",
    "log",
    "serial",
    "capture",
    "fault",
    "row",
    "wake",
    "sleep",
    "server",
    "check",
]
"""`invoke`, `ok`, `fail`, `info`: a step begins, ends well, ends badly, ends unknown. The others: what happened."""

_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
_UUID_LENGTH_CHARS: Final = 36

TABLE_OF_KEY: Final[Mapping[str, str]] = {
    "device_id": "devices",
    "image_id": "device_images",
    "device_image_id": "device_images",
    "payload_id": "device_wake_payloads",
    "wake_payload_id": "device_wake_payloads",
    "session_id": "device_wake_sessions",
    "wake_session_id": "device_wake_sessions",
    "command_id": "device_commands",
    "alert_id": "device_alerts",
    "history_id": "device_history",
    "ack_id": "device_ack_log",
    "company_id": "companies",
    "program_id": "programs",
    "site_id": "sites",
    "assignment_id": "site_assignments",
    "original_image_id": "original_images",
    "video_id": "videos",
    "job_id": "processing_jobs",
}
"""Which table's row an id under this key names."""


class Numbering:
    """Names ids by first appearance: `devices#1` where the table is known, else `uuid#1`. Deterministic."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def copy(self) -> Numbering:
        """The same names so far; what it names from now on stays its own."""
        other = Numbering()
        other._names, other._counts = dict(self._names), dict(self._counts)
        return other

    def name(self, identifier: str | UUID, table: str = "uuid") -> str:
        """The name of one id; the table given at its first appearance stays."""
        key = str(identifier).lower()
        if key not in self._names:
            self._counts[table] = self._counts.get(table, 0) + 1
            self._names[key] = f"{table}#{self._counts[table]}"
        return self._names[key]

    def applied(self, value: Any, key: str = "") -> Any:
        """`value` (plain JSON data) with every id in it replaced, also inside text; keys are kept."""
        match value:
            case str() if len(value) >= _UUID_LENGTH_CHARS:
                return self._applied_to_text(value, TABLE_OF_KEY.get(key, "uuid"))
            case dict():
                return {name: self.applied(value[name], name) for name in sorted(value)}
            case list():
                return [self.applied(item, key) for item in value]
        return value

    def _applied_to_text(self, text: str, table: str) -> str:
        if len(text) == _UUID_LENGTH_CHARS and _UUID.match(text):
            return self.name(text, table)
        return _UUID.sub(lambda match: self.name(match[0]), text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """First line of a history: what the run depended on. Replay is promised where all of it is equal."""

    scenario: str
    seed: int
    bench: str
    wakestorm: str
    python: str
    postgres_major: int
    architecture: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """All resolved options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing that happened, `t_ms` after the scenario's start. `who`: a device, `server`, `broker`, `runner`."""

    t_ms: int
    kind: Kind
    who: str
    fields: Mapping[str, Any]

    def to_plain(self) -> dict[str, Any]:
        """The record as it stands in the file; its fields are beside `t_ms`, `kind` and `who`."""
        return {"t_ms": self.t_ms, "kind": self.kind, "who": self.who, **self.fields}


def records_in(history_jsonl: str) -> list[dict[str, Any]]:
    """The records of `History.to_jsonl`, without the header. A payload may hold U+2028, which ends no line here."""
    return [json.loads(line) for line in history_jsonl.split("\n")[1:] if line]


def merged_asides(records: Sequence[Record], asides: Sequence[tuple[int, Record]]) -> list[Record]:
    """The records with each aside behind as many of them as it says."""
    merged: list[Record] = []
    begun = 0
    for at, record in asides:
        merged += [*records[begun:at], record]
        begun = max(begun, at)
    return [*merged, *records[begun:]]


class History:
    """Everything that happened in one run. Records come in the order they are appended."""

    def __init__(self, header: Header, numbering: Numbering | None = None) -> None:
        self.header = header
        self.numbering = numbering or Numbering()
        self._records: list[Record] = []
        self._asides: list[tuple[int, Record]] = []

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    @property
    def records(self) -> tuple[Record, ...]:
        """All records so far."""
        return tuple(self._records)

    def append(self, t_ms: int, kind: Kind, who: str, **fields: Any) -> Record:
        """Adds one record; raises ValueError for a negative time or a field named like a record's own."""
        taken = {"t_ms", "kind", "who", "scenario"} & fields.keys()
        if t_ms < 0 or taken:
            raise ValueError(f"history record at {t_ms} ms, with fields {sorted(taken)} that are the record's own")
        record = Record(t_ms=t_ms, kind=kind, who=who, fields=self.numbering.applied(plain(fields)))
        self._records.append(record)
        return record

    def aside(self, t_ms: int, kind: Kind, who: str, **fields: Any) -> None:
        """Notes what was seen beside the history, such as a row that changed; it is no part of the history's bytes."""
        self._asides.append((len(self._records), Record(t_ms=t_ms, kind=kind, who=who, fields=plain(fields))))

    def asides(self) -> tuple[tuple[int, Record], ...]:
        """Each with the number of records before it; ids have the history's names, and further ones of their own."""
        numbering = self.numbering.copy()
        return tuple((at, replace(record, fields=numbering.applied(record.fields))) for at, record in self._asides)

    def with_asides(self) -> list[Record]:
        """All records, and what was seen beside them, in the order of happening."""
        return merged_asides(self._records, self.asides())

    def of_kind(self, *kinds: Kind) -> tuple[Record, ...]:
        """Records of these kinds."""
        return tuple(record for record in self._records if record.kind in kinds)

    def captures(self, who: str | None = None) -> tuple[Record, ...]:
        """Photos taken, by one device or by all."""
        return tuple(r for r in self.of_kind("capture") if who is None or r.who == who)

    def messages(
        self, topic_filter: str = "#", who: str | None = None, direction: Literal["up", "down"] | None = None
    ) -> tuple[Record, ...]:
        """Messages whose topic matches an MQTT filter (`+` and `#`), of one device and direction where given."""
        return tuple(
            record
            for record in self.of_kind("message")
            if matches(topic_filter, str(record.fields.get("topic", "")))
            and (who is None or record.who == who)
            and (direction is None or record.fields.get("direction") == direction)
        )

    def logs(self, contains: str = "", who: str | None = None) -> tuple[Record, ...]:
        """Log lines whose text contains `contains`."""
        return tuple(
            record
            for record in self.of_kind("log")
            if contains in str(record.fields.get("text", "")) and (who is None or record.who == who)
        )

    def to_jsonl(self) -> str:
        """The history as JSON lines with sorted keys, the header first; ends with a line feed."""
        header = {"kind": "header", **plain(self.header)}
        lines = [line_of_plain(header), *(line_of_plain(record.to_plain()) for record in self._records)]
        return "\n".join(lines) + "\n"

    def sha256(self) -> str:
        """SHA-256 of `to_jsonl()`, lower-case hex: equal histories have equal hashes."""
        return hashlib.sha256(self.to_jsonl().encode("utf-8")).hexdigest()
