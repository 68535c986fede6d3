"""Points in a server's traffic with PostgreSQL at which faults strike: the nth COMMIT, the nth request, words of SQL.

Each request of asyncpg is one write: a simple query, or messages that end in Sync. A request that is struck is taken
away (the backend is terminated instead), replaced by an error that PostgreSQL itself raises, or carried out and its
answer taken away. Virtual time stands still from the strike to its end, so that histories repeat.
"""

from __future__ import annotations

import asyncio
import contextvars
import struct
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Literal
from weakref import WeakKeyDictionary, WeakSet

from harness.bench.virtual.loop import VirtualLoop
from harness.bench.virtual.meter import MeteredProtocol

How = Literal["kill", "fail", "lose_answer", "crash"]

_QUERY, _PARSE, _BIND = b"Q", b"P", b"B"
_RAISE: Final = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{}', MESSAGE = 'wakestorm: planned failure'; END $$"


@dataclass(slots=True, kw_only=True, eq=False)
class Strike:
    """What is armed: the `nth` request from now at that point, and the `times - 1` that follow it.

    `server` is the host whose requests count; None is every server.
    """

    how: How
    at: str
    nth: int = 1
    times: int = 1
    sqlstate: str = ""
    server: str | None = None

    def takes(self, host: str, text: str, *, is_parse: bool) -> bool:
        """Counts the request; True where this is the one."""
        if self.times == 0 or (self.server is not None and host != self.server) or not self._is_at(text, is_parse):
            return False
        self.nth -= 1
        if self.nth > 0:
            return False
        self.times -= 1
        return True

    def _is_at(self, text: str, is_parse: bool) -> bool:
        if is_parse and (self.how == "fail" or self.at != "request"):
            return False  # it only says what a later request will run, and fails for no reason that comes and goes
        if self.at == "request":
            return True
        return is_commit(text) if self.at == "commit" else self.at.casefold() in text.casefold()


OnStrike = Callable[[Strike, MeteredProtocol], Awaitable[None]]
"""Does what the strike says to that connection, outside of every server."""


class RequestPoints:
    """See `Points` in `meter`. `requests` counts what servers asked, `commits` their COMMITs."""

    def __init__(self, loop: VirtualLoop, on_strike: OnStrike, on_fail: Callable[[Strike], None]) -> None:
        self.armed: list[Strike] = []
        self.requests = 0
        self.commits = 0
        self._loop = loop
        self._on_strike = on_strike
        self._on_fail = on_fail
        self._context = contextvars.copy_context()
        self._texts: WeakKeyDictionary[MeteredProtocol, dict[bytes, str]] = WeakKeyDictionary()
        self._unanswered: dict[MeteredProtocol, Strike] = {}
        self._struck: dict[MeteredProtocol, ExitStack] = {}
        self._muted: WeakSet[MeteredProtocol] = WeakSet()
        self._tasks: set[asyncio.Task[None]] = set()

    def asked(self, connection: MeteredProtocol, data: bytes) -> bytes | None:
        if connection in self._struck:
            return None
        kind = data[:1]
        if kind not in (_QUERY, _PARSE, _BIND):
            return data
        text = self._text(connection, data)
        self.requests += 1
        self.commits += is_commit(text) and kind != _PARSE
        strike = self._matching(connection, text, is_parse=kind == _PARSE) if self.armed else None
        if strike is None:
            return data
        if strike.how == "fail":
            self._on_fail(strike)
            return _simple_query(_RAISE.format(strike.sqlstate))
        still = self._struck[connection] = ExitStack()
        still.enter_context(self._loop.real_io(f"{strike.how} at {strike.at}"))
        if strike.how == "kill":
            self._muted.add(connection)
            self._end(connection, strike)
            return None
        self._unanswered[connection] = strike
        return data

    def answered(self, connection: MeteredProtocol) -> bool:
        strike = self._unanswered.get(connection)
        if strike is not None and not connection.meter.is_outstanding:
            del self._unanswered[connection]
            self._muted.add(connection)  # also what PostgreSQL says when its backend ends
            self._end(connection, strike)
        return strike is not None or connection in self._muted

    def _text(self, connection: MeteredProtocol, data: bytes) -> str:
        """The SQL of a request; of a prepared one what it was prepared from."""
        first_end = data.index(b"\0", 5)
        first = data[5:first_end]
        if data[:1] == _QUERY:
            return first.decode(errors="replace")
        texts = self._texts.setdefault(connection, {})
        second = data[first_end + 1 : data.index(b"\0", first_end + 1)]
        if data[:1] == _PARSE:
            texts[first] = second.decode(errors="replace")
            return texts[first]
        return texts.get(second, "")

    def _matching(self, connection: MeteredProtocol, text: str, *, is_parse: bool) -> Strike | None:
        host = (connection.tag or "").partition("#")[0]
        found = [strike for strike in self.armed if strike.takes(host, text, is_parse=is_parse)]
        return found[0] if found else None

    def _end(self, connection: MeteredProtocol, strike: Strike) -> None:
        async def body() -> None:
            try:
                await self._on_strike(strike, connection)
            finally:
                self._struck.pop(connection).close()

        task = self._loop.create_task(body(), name="strike", context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def is_commit(text: str) -> bool:
    """Whether a request ends a transaction well."""
    return len(text) <= len("COMMIT") + 2 and text.strip().upper() == "COMMIT"


def _simple_query(sql: str) -> bytes:
    body = sql.encode() + b"\0"
    return _QUERY + struct.pack("!i", len(body) + 4) + body
