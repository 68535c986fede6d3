"""Are whole images the images that were announced? Assembles chunks, checks them and stores the bytes (design 6.9).

The bytes are stored before the row says `complete`, and under the lock of their hash, so that nothing takes them away
in between; stored twice they are stored once, since they go by their hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from server.ids import IdSource
from server.jpeg import flaw_of_markers, frame_size
from server.objects import ObjectStore, object_key, sha256_of
from server.offload import Offload
from server.queries import load
from server.store import Connection, HashLock, Store

WRITE = load("write.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found: a flaw, or the bytes with their hash and key."""

    image_id: UUID
    mac: str
    flaw: str | None
    sha256: str = ""
    object_key: str = ""
    data: bytes = b""


def locks_of(findings: Iterable[Finding]) -> list[HashLock]:
    """What the transaction that stores their bytes has to hold."""
    return [HashLock(finding.sha256) for finding in findings if finding.flaw is None]


def one_a_device(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Groups in which each device stands once: what is decided on its second image follows from its first."""
    groups: list[list[Finding]] = []
    of_device: Counter[str] = Counter()
    for finding in findings:
        place = of_device[finding.mac]
        of_device[finding.mac] += 1
        if place == len(groups):
            groups.append([])
        groups[place].append(finding)
    return groups


class Completion:
    """Examines images whose every chunk is there. Without `dedup` they get no original, as before there were any."""

    def __init__(self, store: Store, objects: ObjectStore, offload: Offload, *, dedup: bool = True) -> None:
        self._store = store
        self._objects = objects
        self._offload = offload
        self._dedup = dedup

    async def examine(self, image_ids: Sequence[UUID]) -> list[Finding]:
        """What was found, in this order; nothing of images that are complete or gone already."""
        return [await self._examined(row) for row in await self._store.images_to_complete(image_ids)]

    async def _examined(self, row: asyncpg.Record) -> Finding:
        image_id, mac, data = row["image_id"], row["device_mac"], row["data"] or b""
        sha256, announced = sha256_of(data), (row["metadata"] or {}).get("image_sha256")
        flaw = await self._flaw(data, row["image_size"], is_announced=announced in (None, sha256))
        if flaw is not None:
            return Finding(image_id=image_id, mac=mac, flaw=flaw)
        return Finding(image_id=image_id, mac=mac, flaw=None, sha256=sha256, object_key=object_key(sha256), data=data)

    async def keep(self, findings: Iterable[Finding]) -> None:
        """Store the bytes, in a transaction that holds `locks_of` them; raises StoreFailed."""
        for finding in findings:
            await self._objects.put_at(finding.object_key, finding.data)

    async def complete(
        self, connection: Connection, findings: Iterable[Finding], *, now: datetime, ids: IdSource
    ) -> None:
        """The rows name their bytes and count as references to their originals, which get ids if they are new.

        In the order of hashes, so that servers that complete the same photos can't deadlock.
        """
        rows = []
        for finding in sorted(findings, key=lambda finding: (finding.sha256, finding.image_id)):
            width, height = frame_size(finding.data) or (None, None)
            named = (finding.image_id, finding.sha256, finding.object_key, now, ids())
            rows.append((*named, len(finding.data), width, height, self._dedup))
        await connection.executemany(WRITE["complete_image"], rows)

    async def _flaw(self, data: bytes, size_bytes: int | None, *, is_announced: bool) -> str | None:
        if size_bytes is not None and len(data) != size_bytes:
            return f"{len(data)} bytes instead of the announced {size_bytes}"
        if not is_announced:
            return "SHA-256 differs from the announced one"
        return flaw_of_markers(data) or await self._offload.decode_flaw(data)
