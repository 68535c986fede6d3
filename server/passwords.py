"""The one door to argon2-cffi: passwords as argon2id hashes with the library's costs (RFC 9106, low memory).

Both functions take about 50 ms and 64 MiB: call them through an Offload.
"""

from __future__ import annotations

from typing import Final

SALT_BYTES: Final = 16
PASSWORD_CHARS_MIN: Final = 12
PASSWORD_CHARS_MAX: Final = 256

NOBODY: Final = "$argon2id$v=19$m=65536,t=3,p=4$d2FrZXN0b3JtLW5vYm9keQ$Fkhp67qlH9+/HO/fPT/9JM7oBwATnozCNpzxm4aeHtw"
"""Compared with where there is no such user, so that the answer takes as long as for one that there is."""


class PasswordRefused(ValueError):
    """A password that is not taken; the message says what is."""


def hashed(password: str, salt: bytes) -> str:
    """The hash that is kept; raises PasswordRefused for one that is too short or too long."""
    from argon2 import PasswordHasher

    if not PASSWORD_CHARS_MIN <= len(password) <= PASSWORD_CHARS_MAX:
        raise PasswordRefused(
            f"a password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters, this one has {len(password)}"
        )
    return PasswordHasher().hash(password, salt=salt)


def is_right(password_hash: str, password: str) -> bool:
    """Whether the hash was made of this password."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return PasswordHasher().verify(password_hash, password[: PASSWORD_CHARS_MAX + 1])
    except (VerificationError, InvalidHashError):
        return False
