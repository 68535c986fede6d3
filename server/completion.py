"""Is a whole image the image that was announced? Assembles the chunks, checks them and stores the bytes (design 6.9).

The bytes are stored before the row says `complete`, and under the lock of their hash, so that nothing takes them away
in between; stored twice they are stored once, since they go by their hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from server.jpeg import flaw_of_markers, frame_size
from server.objects import ObjectStore, object_key, sha256_of
from server.offload import Offload
from server.queries import load
from server.store import Connection, HashLock, Store

WRITE = load("write.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found: a flaw, or the bytes with their hash and key."""

    mac: str
    flaw: str | None
    sha256: str = ""
    object_key: str = ""
    data: bytes = b""

    @property
    def lock(self) -> HashLock | None:
        """What the transaction that stores the bytes has to hold."""
        return HashLock(self.sha256) if self.flaw is None else None


class Completion:
    """Examines images whose every chunk is there. Without `dedup` they get no original, as before there were any."""

    def __init__(self, store: Store, objects: ObjectStore, offload: Offload, *, dedup: bool = True) -> None:
        self._store = store
        self._objects = objects
        self._offload = offload
        self._dedup = dedup

    async def examine(self, image_id: UUID) -> Finding | None:
        """None where the image is complete or gone already."""
        row = await self._store.image_to_complete(image_id)
        if row is None or row["status"] == "complete":
            return None
        data = row["data"] or b""
        flaw = await self._flaw(data, row["image_size"], (row["metadata"] or {}).get("image_sha256"))
        if flaw is not None:
            return Finding(mac=row["device_mac"], flaw=flaw)
        sha256 = sha256_of(data)
        return Finding(mac=row["device_mac"], flaw=None, sha256=sha256, object_key=object_key(sha256), data=data)

    async def keep(self, finding: Finding) -> None:
        """Store the bytes, in a transaction that holds `finding.lock`; raises StoreFailed."""
        await self._objects.put_at(finding.object_key, finding.data)

    async def complete(
        self, connection: Connection, image_id: UUID, finding: Finding, *, now: datetime, original_id: UUID
    ) -> None:
        """The row names its bytes and counts as a reference to their original, which is `original_id` if it is new."""
        width, height = frame_size(finding.data) or (None, None)
        await connection.execute(
            WRITE["complete_image"],
            image_id,
            finding.sha256,
            finding.object_key,
            now,
            original_id,
            len(finding.data),
            width,
            height,
            self._dedup,
        )

    async def _flaw(self, data: bytes, size_bytes: int | None, announced_sha256: object) -> str | None:
        if size_bytes is not None and len(data) != size_bytes:
            return f"{len(data)} bytes instead of the announced {size_bytes}"
        if announced_sha256 is not None and sha256_of(data) != announced_sha256:
            return "SHA-256 differs from the announced one"
        return flaw_of_markers(data) or await self._offload.decode_flaw(data)
