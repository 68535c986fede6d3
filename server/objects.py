"""The one door to stored bytes: content-addressed objects through obstore, a folder by default (design 2).

obstore's blocking calls only, behind the offload: its async ones complete on threads that the loop can't see.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore, MemoryStore, from_url

from server.hashing import compute_sha256_from_bytes
from server.offload import Offload

T = TypeVar("T")

CONNECT_TIMEOUT: Final = timedelta(seconds=3)
REQUEST_TIMEOUT: Final = timedelta(seconds=20)
RETRY: Final[Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
"""A store that is away is said to be away, while somebody still waits for the answer."""


BLOCK_BYTES: Final = 1 << 20
"""What is read of a large object at a time."""


class StoreFailed(Exception):
    """The object store is full, away, or refuses; the message says what was tried and what it said."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a listing."""

    key: str
    modified_at: datetime


def sha256_of(data: bytes) -> str:
    """Lower-case hex SHA-256."""
    return compute_sha256_from_bytes(data)


def object_key(sha256: str) -> str:
    """Where the bytes of that hash live: `originals/{hash[:2]}/{hash}` (seed 003)."""
    return f"originals/{sha256[:2]}/{sha256}"


class ObjectStore:
    """Put once, read many. `url` is a folder's path or any URL that obstore knows (s3://bucket/prefix).

    Keys, region and endpoint of S3 come from the AWS_ variables; plain http:// needs AWS_ALLOW_HTTP=true.

    Every method raises StoreFailed where the store can't do its part.
    """

    def __init__(self, url: str, offload: Offload) -> None:
        self._offload = offload
        self._store: Any
        if "://" in url:
            may_http = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1")
            options = {"connect_timeout": CONNECT_TIMEOUT, "timeout": REQUEST_TIMEOUT, "allow_http": may_http}
            self._store = from_url(url, client_options=options, retry_config=RETRY)  # type: ignore[call-overload]
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
        await self.put_at(key, data)
        return sha256, key

    async def put_at(self, key: str, data: bytes) -> None:
        """Store bytes under a key; where something lies there already, it stays."""

        def create() -> None:
            try:
                obstore.put(self._store, key, data, mode="create")
            except AlreadyExistsError:
                return

        await self._call(f"put {key}", create)

    async def get(self, key: str) -> bytes:
        """The bytes of that key; raises FileNotFoundError."""

        def read() -> bytes:
            try:
                return bytes(obstore.get(self._store, key).bytes())
            except NotFoundError as error:
                raise FileNotFoundError(key) from error

        return await self._call(f"get {key}", read)

    async def put_file(self, key: str, file: IO[bytes]) -> None:
        """Store a file, read block by block; what lies there already is replaced."""

        def copy() -> None:
            file.seek(0)
            obstore.put(self._store, key, file)

        await self._call(f"put {key}", copy)

    async def size_bytes(self, key: str) -> int:
        """How large the object is; raises FileNotFoundError."""

        def look() -> int:
            try:
                return int(obstore.head(self._store, key)["size"])
            except NotFoundError as error:
                raise FileNotFoundError(key) from error

        return await self._call(f"head {key}", look)

    async def blocks(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of an object, or a range of them, block by block; raises FileNotFoundError at the first."""
        if length is not None:

            def part() -> bytes:
                return bytes(obstore.get_range(self._store, key, start=start, length=length))

            yield await self._call(f"get {key}", part)
            return

        def begin() -> Iterator[Any]:
            try:
                return iter(obstore.get(self._store, key).stream(min_chunk_size=BLOCK_BYTES))
            except NotFoundError as error:
                raise FileNotFoundError(key) from error

        stream = await self._call(f"get {key}", begin)
        while (block := await self._call(f"get {key}", lambda: next(stream, None))) is not None:
            yield bytes(block)

    async def delete(self, key: str) -> None:
        """Remove an object; nothing where there is none."""

        def remove() -> None:
            try:
                obstore.delete(self._store, key)
            except (NotFoundError, FileNotFoundError):
                return

        await self._call(f"delete {key}", remove)

    async def pages(self, prefix: str) -> list[list[StoredObject]]:
        """Every object below a prefix, in the order of keys, in pages."""

        def listed() -> list[StoredObject]:
            stream: Iterator[Any] = iter(obstore.list(self._store, prefix=prefix))
            found = itertools.chain.from_iterable(stream)
            return sorted((StoredObject(meta["path"], meta["last_modified"]) for meta in found), key=lambda o: o.key)

        found = await self._call(f"list {prefix}", listed)
        return [found[start : start + 1_000] for start in range(0, len(found), 1_000)]

    async def _call(self, what: str, work: Callable[[], T]) -> T:
        try:
            return await self._offload.call(work)
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise StoreFailed(f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:300]}") from error
