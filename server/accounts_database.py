"""`wakestorm user`: users and bearer tokens of a database, without a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from server.accounts import ACCOUNTS, AccountRefused, Accounts, NewUser
from server.clock import SystemClock
from server.database import reached
from server.ids import random_ids, random_secrets
from server.migrations.apply import current
from server.offload import InlineOffload
from server.passwords import PasswordRefused
from server.serving import EXIT_USAGE, ServeError, newest_revision, place_of
from server.store import Store, open_pool
from server.wire.states import Role

T = TypeVar("T")


def added(url: str, new: NewUser) -> None:
    """Makes a user; raises ServeError."""
    _done(url, lambda accounts, store: accounts.add_user(new))


def password_set(url: str, name: str, password: str) -> None:
    """Sets a password and ends what the user was signed in with; raises ServeError."""
    _done(url, lambda accounts, store: accounts.set_password(name, password))


def removed(url: str, name: str) -> None:
    """Takes a user away; raises ServeError."""
    _done(url, lambda accounts, store: accounts.remove_user(name))


def token_issued(url: str, name: str, role: Role, days: int, scopes: Sequence[str]) -> str:
    """A new bearer token; raises ServeError."""
    return _done(url, lambda accounts, store: accounts.issue_token(name, role, days, scopes))


def users(url: str) -> list[dict[str, Any]]:
    """Name, role, company, when made and when last used; raises ServeError."""

    async def listed(accounts: Accounts, store: Store) -> list[dict[str, Any]]:
        async with store.session() as connection:
            return [dict(row) for row in await connection.fetch(ACCOUNTS["users"])]

    return _done(url, listed)


def _done(url: str, work: Callable[[Accounts, Store], Awaitable[T]]) -> T:
    async def on_database() -> T:
        revision = await current(url)
        if revision != newest_revision():
            raise ServeError(f"the database stands at revision {revision or 'none'}: run `wakestorm db migrate`")
        async with await open_pool(url, size=1, timeout=10) as pool:
            store = Store(pool)
            accounts = Accounts(
                store=store,
                clock=SystemClock(),
                ids=random_ids(),
                secrets=random_secrets(),
                offload=InlineOffload(),
                log=lambda level, line, *, device: None,
            )
            try:
                return await work(accounts, store)
            except (AccountRefused, PasswordRefused) as error:
                raise ServeError(f"{place_of(url)}: {error}", EXIT_USAGE) from error

    return reached(url, on_database())
