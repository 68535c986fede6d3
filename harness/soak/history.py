"""The history of a soak: what is judged goes to a file at once, what only explains is kept as a short tail.

Captures, releases, wakes, sleeps, faults, acts on servers and the checks are streamed to `path` and never kept in
memory; messages and log lines (nine tenths of a history) stay in a ring of `TAIL_RECORDS`, for the trace of a failure.
Memory is the same on the first day and on the thousandth; the streamed lines are read again at the end. Ids are
numbered anew each day.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.history import Header, History, Kind, Numbering, Record
from harness.jsonable import line_of_plain, plain

TAIL_RECORDS: Final = 1_000
EXPLAINING: Final = frozenset({"message", "log"})


class SoakHistory(History):
    """`on_wake(device, number)` is called as a wake begins. `close` when nothing more comes.

    `kept_bytes` of the file stand already where a run is resumed; what came after them is cut off.
    """

    def __init__(self, header: Header, path: Path, *, kept_bytes: int = 0) -> None:
        super().__init__(header)
        self.path = path
        self.counts: Counter[str] = Counter()
        self.on_wake: Callable[[str, int], None] | None = None
        self.on_strike: Callable[[str, str], None] | None = None
        self.fresh: list[Record] = []
        """Captures, releases and lost cards since the last `new_day`."""
        self._tail: deque[tuple[int, Kind, str, dict[str, Any]]] = deque(maxlen=TAIL_RECORDS)
        self._is_begun = bool(kept_bytes)
        if kept_bytes:
            os.truncate(path, kept_bytes)
        self._file = path.open("a" if kept_bytes else "w", encoding="utf-8", newline="\n")
        if not kept_bytes:
            self._file.write(line_of_plain({"kind": "header", **plain(header)}) + "\n")

    def __len__(self) -> int:
        return self.counts.total()

    def append(self, t_ms: int, kind: Kind, who: str, **fields: Any) -> Record:
        """Adds one record; messages and log lines are kept as they are, their ids unnumbered."""
        if self._is_begun and kind == "invoke":
            self._is_begun = False  # the step of which a resumed run is the rest
            return Record(t_ms=t_ms, kind=kind, who=who, fields=fields)
        self.counts[kind] += 1
        if kind in EXPLAINING:
            self._tail.append((t_ms, kind, who, fields))
            return Record(t_ms=t_ms, kind=kind, who=who, fields=fields)
        record = Record(t_ms=t_ms, kind=kind, who=who, fields=self.numbering.applied(plain(fields)))
        self._file.write(line_of_plain(record.to_plain()) + "\n")
        if kind == "capture" or "released" in record.fields or "lost_sha256" in record.fields:
            self.fresh.append(record)
        if kind == "wake" and self.on_wake is not None:
            self.on_wake(who, int(record.fields["number"]))
        elif kind == "fault" and self.on_strike is not None:
            if "address" in record.fields:
                self.on_strike(who, str(record.fields["address"]))
            elif record.fields.get("phase") == "begins":
                self.on_strike(who, f"{record.fields['action']}.lasting")
        return record

    def new_day(self, *, keeps_tail: bool = False) -> None:
        """The day's records have been judged; what explains them is kept for a failure only."""
        self.fresh = []
        if not keeps_tail:
            self._tail.clear()
        self.numbering = Numbering()

    def written_bytes(self) -> int:
        """Length of the file, with all that was streamed so far."""
        self._file.flush()
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Everything is in the file."""
        self._file.close()

    def of_kind(self, *kinds: Kind) -> tuple[Record, ...]:
        """Streamed kinds are read from the file, messages and log lines come from the tail; in order of time."""
        return tuple(sorted((record for record in self if record.kind in kinds), key=lambda record: record.t_ms))

    def __iter__(self) -> Iterator[Record]:
        if not self._file.closed:
            self._file.flush()
        with self.path.open(encoding="utf-8") as lines:
            next(lines, None)
            yield from (_record_of(line) for line in lines)
        yield from self._explaining()

    def _explaining(self) -> Iterator[Record]:
        for t_ms, kind, who, fields in self._tail:
            yield Record(t_ms=t_ms, kind=kind, who=who, fields=plain(fields))

    @property
    def records(self) -> tuple[Record, ...]:
        """All streamed records and the tail, in order of time."""
        return tuple(sorted(self, key=lambda record: record.t_ms))

    def to_jsonl(self) -> str:
        """The streamed records, the header first: what is the same for the same seed."""
        if not self._file.closed:
            self._file.flush()
        return self.path.read_text(encoding="utf-8")


def _record_of(line: str) -> Record:
    fields = msgspec.json.decode(line)
    return Record(t_ms=fields.pop("t_ms"), kind=fields.pop("kind"), who=fields.pop("who"), fields=fields)
