"""The door to row ids: random ones in production, seeded ones where a run must repeat; and to secrets, never seeded."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Callable
from uuid import UUID

IdSource = Callable[[], UUID]

SecretSource = Callable[[int], bytes]
"""So many bytes that nobody can guess: what tokens and salts are made of."""


def random_ids() -> IdSource:
    """Ids of version 4 from the operating system."""
    return uuid.uuid4


def random_secrets() -> SecretSource:
    """Secrets from the operating system."""
    return secrets.token_bytes


def seeded_ids(seed: str) -> IdSource:
    """The same ids for the same seed, in the same order."""
    count = 0

    def next_id() -> UUID:
        nonlocal count
        count += 1
        digest = hashlib.blake2b(f"{seed}/{count}".encode(), digest_size=16).digest()
        return UUID(bytes=digest, version=4)

    return next_id
