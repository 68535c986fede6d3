"""SHA-256 of bytes and of streams, and what a hash looks like (seed 003, hash utilities). Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final, Protocol

HASH_PATTERN: Final = r"^[0-9a-f]{64}$"
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_BLOCK_BYTES: Final = 1 << 16


class HashFormatError(ValueError):
    """Not a SHA-256 in lower-case hex; the message says what is wrong with it."""


class Readable(Protocol):
    """A binary stream."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


def compute_sha256(stream: Readable | Iterable[bytes]) -> str:
    """The hash of a stream or of parts, read block by block (`ComputeSHA256`)."""
    digest = hashlib.sha256()
    for part in _blocks(stream):
        digest.update(part)
    return digest.hexdigest()


def compute_sha256_from_bytes(data: bytes) -> str:
    """The hash of bytes in memory (`ComputeSHA256FromBytes`)."""
    return hashlib.sha256(data).hexdigest()


def is_hash(text: str) -> bool:
    """Whether it is a SHA-256 in lower-case hex."""
    return _HASH.fullmatch(text) is not None


def validate_hash(text: str) -> str:
    """The text itself; raises HashFormatError unless it is 64 lower-case hex digits (`ValidateHash`)."""
    if not is_hash(text):
        raise HashFormatError(f"{text[:80]!r} is no SHA-256: expected 64 hex digits in lower case, found {len(text)}")
    return text


def _blocks(stream: Readable | Iterable[bytes]) -> Iterable[bytes]:
    if isinstance(stream, Iterable) and not hasattr(stream, "read"):
        yield from stream
        return
    read = stream.read
    while block := read(_BLOCK_BYTES):
        yield block
