"""The door to row ids: random ones in production, seeded ones where a run must repeat."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from uuid import UUID

IdSource = Callable[[], UUID]


def random_ids() -> IdSource:
    """Ids of version 4 from the operating system."""
    return uuid.uuid4


def seeded_ids(seed: str) -> IdSource:
    """The same ids for the same seed, in the same order."""
    count = 0

    def next_id() -> UUID:
        nonlocal count
        count += 1
        digest = hashlib.blake2b(f"{seed}/{count}".encode(), digest_size=16).digest()
        return UUID(bytes=digest, version=4)

    return next_id
