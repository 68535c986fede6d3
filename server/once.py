"""Writes that their sender may send again: done once for their key, answered alike each time.

The key is claimed and its answer kept in the transaction of the write itself. So whoever got no answer, because the
server or the database died after COMMIT, sends the same again and learns what was done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

from server.queries import load
from server.store import Connection

ONCE = load("once.sql")

REMEMBERED: Final = timedelta(hours=24)
"""How long a key is remembered at least."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a write was answered: an HTTP status, and the JSON of its body, None for an empty one."""

    status: int
    body: str | None


class AlreadyDone(Exception):
    """The write was done before; `answer` is what was said then."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("done already")
        self.answer = answer


class KeyReused(ValueError):
    """The key stands for another request."""


class Once(Protocol):
    """What a service calls in the transaction of a write."""

    async def begin(self, connection: Connection) -> None:
        """Before anything is written; raises AlreadyDone or KeyReused."""
        ...

    async def end(self, connection: Connection, result: Any) -> None:
        """With what the service returns; None where nothing was done, and the key stays free."""
        ...


class EveryTime:
    """Without a key: what is sent twice is done twice."""

    async def begin(self, connection: Connection) -> None:
        """Nothing to ask."""

    async def end(self, connection: Connection, result: Any) -> None:
        """Nothing to keep."""


EVERY_TIME: Final = EveryTime()


class ByKey:
    """Once for a key of its owner. `owner` is who asks, "" where nobody is told apart: keys of others are not seen.

    `fingerprint` is the request's SHA-256; `answered` makes the answer of the service's result.
    """

    def __init__(self, owner: str, key: str, fingerprint: str, answered: Callable[[Any], Answer]) -> None:
        self._owner = owner
        self._key = key
        self._fingerprint = fingerprint
        self._answered = answered

    async def look(self, connection: Connection) -> None:
        """Spares the work of a write that was done before; raises AlreadyDone or KeyReused."""
        row = await connection.fetchrow(ONCE["answer_of_key"], self._owner, self._key)
        if row is None:
            return
        if row["fingerprint"] != self._fingerprint:
            raise KeyReused(f"the Idempotency-Key {self._key!r} stands for another request: give a new one")
        raise AlreadyDone(Answer(row["status"], row["answer"]))

    async def begin(self, connection: Connection) -> None:
        """Claims the key, waiting for whoever is at it; raises AlreadyDone or KeyReused."""
        if await connection.fetchval(ONCE["claim_key"], self._owner, self._key, self._fingerprint) is None:
            await self.look(connection)

    async def end(self, connection: Connection, result: Any) -> None:
        """Keeps the answer with the key, or lets the key go."""
        if result is None:
            await connection.execute(ONCE["release_key"], self._owner, self._key)
            return
        answer = self._answered(result)
        await connection.execute(ONCE["settle_key"], self._owner, self._key, answer.status, answer.body)


async def forget_keys(connection: Connection) -> None:
    """Takes away keys that were remembered for long enough; part of the daily sweep."""
    await connection.execute(ONCE["forget_keys"], REMEMBERED)
