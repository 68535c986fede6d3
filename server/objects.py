"""The one door to stored bytes: content-addressed objects through obstore, a folder by default (design 2).

obstore's blocking calls only, behind the offload: its async ones complete on threads that the loop can't see.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, NotFoundError
from obstore.store import LocalStore, MemoryStore, from_url

from server.hashing import compute_sha256_from_bytes
from server.offload import Offload

T = TypeVar("T")

CONNECT_TIMEOUT: Final = timedelta(seconds=3)
REQUEST_TIMEOUT: Final = timedelta(seconds=20)
RETRY: Final[Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
"""A store that is away is said to be away, while somebody still waits for the answer."""


BLOCK_BYTES: Final = 4 << 20
"""What is read of a large object at a time."""

PART_BYTES_MIN: Final = 8 << 20
PARTS_MAX: Final = 10_000
"""Of S3's multipart uploads."""

_WITHOUT_RANGES: Final = "non-partial response"
"""What obstore says of a server that answers a request for a range with the whole."""

FOLDERS: Final = ("originals", "processed", "uploads", "videos")
"""Everything that is stored lies below one of them."""

_STAGED: Final = re.compile(r"#\d+$")
"""How the name ends of what a folder store has not wholly written; obstore lists no such file."""


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
        self._url = url
        self._store: Any
        self._folder: Path | None = None
        if "://" in url:
            may_http = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1")
            options = {"connect_timeout": CONNECT_TIMEOUT, "timeout": REQUEST_TIMEOUT, "allow_http": may_http}
            self._store = from_url(url, client_options=options, retry_config=RETRY)  # type: ignore[call-overload]
        elif url == ":memory:":
            self._store = MemoryStore()
        else:
            folder = Path(url)
            folder.mkdir(parents=True, exist_ok=True)
            self._folder = folder.resolve()
            self._store = LocalStore(str(self._folder))

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
        """Store a file, on S3 in parts; what lies there already is replaced. It is there whole, or not at all."""

        def copy() -> None:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            obstore.put(self._store, key, file, chunk_size=max(PART_BYTES_MIN, -(-size // PARTS_MAX)))

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
        """The bytes of an object, or a range of them, block by block; raises FileNotFoundError at the first.

        Each block is a request of its own: one that lasts as long as a slow reader would run into its time limit.
        """
        end = await self.size_bytes(key) if length is None else start + length
        while start < end:
            size = min(BLOCK_BYTES, end - start)
            yield await self._call(f"get {key}", self._range_of(key, start, size))
            start += size

    def _range_of(self, key: str, start: int, length: int) -> Callable[[], bytes]:
        def read() -> bytes:
            try:
                return bytes(obstore.get_range(self._store, key, start=start, length=length))
            except NotFoundError as error:
                raise FileNotFoundError(key) from error
            except GenericError as error:
                if _WITHOUT_RANGES not in str(error):
                    raise
            stream = obstore.get(self._store, key).stream(min_chunk_size=BLOCK_BYTES)
            return _sliced(stream, start, length)

        return read

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

    async def sweep_unfinished(self, older_than: datetime) -> int:
        """Remove what dying servers had half written, to a folder or to S3; returns how many."""

        def swept() -> int:
            if self._url.startswith("s3://"):
                from server.unfinished_uploads import swept as swept_on_s3

                return swept_on_s3(self._url, FOLDERS, older_than)
            if self._folder is None:
                return 0
            count = 0
            for path in self._folder.rglob("*#*"):
                with contextlib.suppress(FileNotFoundError):  # its writer has just ended it
                    is_old = path.stat().st_mtime <= older_than.timestamp()
                    if is_old and _STAGED.search(path.name):
                        path.unlink()
                        count += 1
            return count

        return await self._call("sweep", swept)

    async def _call(self, what: str, work: Callable[[], T]) -> T:
        try:
            return await self._offload.call(work)
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise StoreFailed(f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:300]}") from error


def _sliced(stream: Any, start: int, length: int) -> bytes:
    """The range of a stream's bytes; what lies behind it is not read."""
    found = bytearray()
    for block in stream:
        skipped = min(start, len(block))
        start -= skipped
        found += bytes(block)[skipped : skipped + length - len(found)]
        if len(found) == length:
            break
    return bytes(found)
