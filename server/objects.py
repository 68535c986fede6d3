"""The one door to stored bytes: content-addressed objects through obstore, a folder by default (design 2).

obstore's blocking calls only, behind the offload: its async ones complete on threads that the loop can't see.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, MemoryStore, from_url

from server.offload import Offload


def sha256_of(data: bytes) -> str:
    """Lower-case hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


def object_key(sha256: str) -> str:
    """Where the bytes of that hash live: `originals/{hash[:2]}/{hash}` (seed 003)."""
    return f"originals/{sha256[:2]}/{sha256}"


class ObjectStore:
    """Put once, read many. `url` is a folder's path or any URL that obstore knows (s3://bucket/prefix)."""

    def __init__(self, url: str, offload: Offload) -> None:
        self._offload = offload
        if "://" in url:
            self._store = from_url(url)
        elif url == ":memory:":
            self._store = MemoryStore()
        else:
            folder = Path(url)
            folder.mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(str(folder.resolve()))

    async def put(self, data: bytes) -> tuple[str, str]:
        """Store the bytes under their hash; returns (sha256, key). The same bytes again change nothing."""
        sha256 = sha256_of(data)
        key = object_key(sha256)

        def create() -> None:
            try:
                obstore.put(self._store, key, data, mode="create")
            except AlreadyExistsError:
                return

        await self._offload.call(create)
        return sha256, key

    async def get(self, key: str) -> bytes:
        """The bytes of that key; raises FileNotFoundError."""
        return await self._offload.call(lambda: bytes(obstore.get(self._store, key).bytes()))
