"""Is a whole image the image that was announced? Assembles the chunks, checks them and stores the bytes (design 6.9).

The bytes are stored before the row says `complete`; stored twice they are stored once, since they go by their hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from server.jpeg import flaw_of_markers
from server.objects import ObjectStore, sha256_of
from server.offload import Offload
from server.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found: a flaw, or the hash and key of the stored bytes."""

    mac: str
    flaw: str | None
    sha256: str = ""
    object_key: str = ""


class Completion:
    """Examines images whose every chunk is there."""

    def __init__(self, store: Store, objects: ObjectStore, offload: Offload) -> None:
        self._store = store
        self._objects = objects
        self._offload = offload

    async def examine(self, image_id: UUID) -> Finding | None:
        """None where the image is complete or gone already."""
        row = await self._store.device_of_image(image_id)
        if row is None or row["status"] == "complete":
            return None
        data = await self._store.image_bytes(image_id)
        flaw = await self._flaw(data, row["image_size"], (row["metadata"] or {}).get("image_sha256"))
        if flaw is not None:
            return Finding(mac=row["device_mac"], flaw=flaw)
        sha256, key = await self._objects.put(data)
        return Finding(mac=row["device_mac"], flaw=None, sha256=sha256, object_key=key)

    async def _flaw(self, data: bytes, size_bytes: int | None, announced_sha256: object) -> str | None:
        if size_bytes is not None and len(data) != size_bytes:
            return f"{len(data)} bytes instead of the announced {size_bytes}"
        if announced_sha256 is not None and sha256_of(data) != announced_sha256:
            return "SHA-256 differs from the announced one"
        return flaw_of_markers(data) or await self._offload.decode_flaw(data)
