"""Who may do what: users, sign-in with its rate limit, sessions of browsers, bearer tokens of the HTTP API.

A session or a token is 32 random bytes; only their SHA-256 stands in the database. Passwords never stand anywhere.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Final
from uuid import UUID

from server import passwords
from server.clock import Clock
from server.hashing import compute_sha256
from server.ids import IdSource, SecretSource
from server.log import Log
from server.offload import Offload
from server.queries import load
from server.store import WEB_ROLE, Connection, Store, as_server
from server.wire.states import Area, Role, SignInKind

ACCOUNTS = load("accounts.sql")

IDLE_MAX: Final = timedelta(hours=12)
"""A browser's session ends after so long without a request,"""
SESSION_MAX: Final = timedelta(days=7)
"""and after so long in any case."""
TOKEN_DAYS_MAX: Final = 366

ATTEMPTS_WINDOW: Final = timedelta(minutes=15)
ATTEMPTS_OF_BOTH: Final = 5
"""Wrong passwords for one name from one address in 15 minutes; then the right one is refused too."""
ATTEMPTS_OF_ADDRESS: Final = 20
ATTEMPTS_OF_NAME: Final = 50
ATTEMPTS_KEPT: Final = timedelta(days=1)

_TOKEN_BYTES: Final = 32
_TOUCHED_EVERY: Final = timedelta(minutes=1)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_RANKS: Final = list(Role)
_READ_ONLY: Final = (Area.RUNS, Area.METRICS)
SCOPES: Final = (
    *(f"{area}:read" for area in Area if area is not Area.MESSAGES),
    *(f"{area}:write" for area in Area if area not in _READ_ONLY),
)
"""What a bearer token may be held to; `write` reads too."""


class AccountRefused(ValueError):
    """A name, role or company that can't be; the message says what is allowed."""


class TooManyAttempts(Exception):
    """Sign-in is closed for a while; `retry_after_s` says for how long."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many attempts: try again in {-(-retry_after_s // 60)} minutes")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who a request comes from. `company_id` None: may see every company's rows; `scopes` None: all of its role."""

    name: str
    role: Role
    company_id: UUID | None
    csrf_token: str
    kind: SignInKind | None = None
    scopes: frozenset[str] | None = None

    def may(self, role: Role) -> bool:
        """Whether it may do what this role may."""
        return _RANKS.index(self.role) >= _RANKS.index(role)

    def has_scope(self, scope: str) -> bool:
        """Whether what it came with is for this, too."""
        area = scope.partition(":")[0]
        return self.scopes is None or not self.scopes.isdisjoint((scope, f"{area}:write"))


@dataclass(frozen=True, slots=True)
class NewUser:
    """What a user needs. `company_name` None: every company."""

    name: str
    password: str
    role: Role
    company_name: str | None = None


def checked_name(name: str) -> str:
    """The name as it is kept; raises AccountRefused."""
    name = name.strip().lower()
    if _NAME.fullmatch(name) is None:
        raise AccountRefused(f"user name {name!r}: 1 to 64 of a-z, 0-9, . _ @ + -, beginning with a letter or digit")
    return name


def digest_of(token: str) -> str:
    """What stands in the database instead of a token."""
    return compute_sha256([token.encode("utf-8", "surrogatepass")])


class Accounts:
    """Users and what they sign in with."""

    def __init__(
        self, *, store: Store, clock: Clock, ids: IdSource, secrets: SecretSource, offload: Offload, log: Log
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._secrets = secrets
        self._offload = offload
        self._log = log

    def new_token(self) -> str:
        """Text for a URL, a cookie or a header that nobody can guess."""
        return base64.urlsafe_b64encode(self._secrets(_TOKEN_BYTES)).rstrip(b"=").decode()

    async def has_users(self) -> bool:
        """Whether anybody can sign in."""
        async with self._store.transaction(self._clock.now()) as connection:
            return bool(await connection.fetchval(ACCOUNTS["has_users"]))

    async def add_user(self, new: NewUser) -> UUID:
        """The id of a new user; raises AccountRefused or PasswordRefused."""
        name, password_hash = checked_name(new.name), await self._hash(new.password)
        async with self._store.transaction(self._clock.now()) as connection:
            company_id = None
            if new.company_name is not None:
                await _check_guard(connection)
                company_id = await _company(connection, new.company_name)
            user_id: UUID | None = await connection.fetchval(
                ACCOUNTS["add_user"], self._ids(), name, password_hash, new.role.value, company_id
            )
        if user_id is None:
            raise AccountRefused(f"there is a user {name} already: wakestorm user password {name} sets a new password")
        return user_id

    async def set_password(self, name: str, password: str) -> None:
        """Sets it and ends every session and token of the user; raises AccountRefused or PasswordRefused."""
        password_hash = await self._hash(password)
        async with self._store.transaction(self._clock.now()) as connection:
            user_id = await connection.fetchval(ACCOUNTS["set_password"], checked_name(name), password_hash)
            if user_id is None:
                raise _no_user(name)
            await connection.execute(ACCOUNTS["end_sessions_of"], user_id)

    async def remove_user(self, name: str) -> None:
        """Takes the user away, with sessions and tokens; raises AccountRefused."""
        async with self._store.transaction(self._clock.now()) as connection:
            if await connection.fetchval(ACCOUNTS["remove_user"], checked_name(name)) is None:
                raise _no_user(name)

    async def issue_token(self, name: str, role: Role, days: int, scopes: Sequence[str] = ()) -> str:
        """A bearer token that may do what the role, the user and, if there are any, the scopes may all do.

        Raises AccountRefused.
        """
        if not 1 <= days <= TOKEN_DAYS_MAX:
            raise AccountRefused(f"a token lives 1 to {TOKEN_DAYS_MAX} days, not {days}")
        for scope in scopes:
            if scope not in SCOPES:
                raise AccountRefused(f"there is no scope {scope!r}{_meant(scope)}; there are {', '.join(SCOPES)}")
            if scope.endswith(":write") and role is Role.VIEWER:
                raise AccountRefused(f"scope {scope} is nothing that a viewer may: give the token --role operator")
        now, token = self._clock.now(), self.new_token()
        async with self._store.transaction(now) as connection:
            user = await connection.fetchrow(ACCOUNTS["user_by_name"], checked_name(name))
            if user is None:
                raise _no_user(name)
            kind, expires_at = SignInKind.TOKEN, now + timedelta(days=days)
            wanted = sorted(set(scopes)) or None
            values = (digest_of(token), user["user_id"], kind.value, role.value, "", expires_at, wanted)
            await connection.execute(ACCOUNTS["begin_session"], *values)
        return token

    async def sign_in(self, name: str, password: str, address: str) -> str | None:
        """The token of a new session, None where name and password don't fit; raises TooManyAttempts."""
        name = name.strip().lower()[:64].replace("\0", "")
        user = await self._attempt(name, address)
        known_hash = passwords.NOBODY if user is None else user[1]
        fits = await self._offload.call(lambda: passwords.is_right(known_hash, password))
        if user is None or not fits:
            who = "an unknown name" if user is None else name  # an unknown one may be a password in the wrong field
            self._log("warning", f"[Web] Sign-in refused: {who} from {address}", device=None)
            return None
        now, token = self._clock.now(), self.new_token()
        async with self._store.transaction(now) as connection:
            kind, expires_at = SignInKind.BROWSER, now + SESSION_MAX
            values = (digest_of(token), user[0], kind.value, user[2], self.new_token(), expires_at, None)
            await connection.execute(ACCOUNTS["begin_session"], *values)
            await connection.execute(ACCOUNTS["forgive_attempts"], _tried(name), address)
        self._log("info", f"[Web] Signed in: {name} from {address}", device=None)
        return token

    async def _attempt(self, name: str, address: str) -> tuple[UUID, str, str] | None:
        """The user of that name, the attempt being noted first; raises TooManyAttempts."""
        now = self._clock.now()
        async with self._store.transaction(now) as connection:
            await connection.execute(ACCOUNTS["lock_sign_in"])
            seen = await connection.fetchrow(ACCOUNTS["attempts"], _tried(name), address, now - ATTEMPTS_WINDOW)
            assert seen is not None
            if (
                seen["of_both"] >= ATTEMPTS_OF_BOTH
                or seen["of_address"] >= ATTEMPTS_OF_ADDRESS
                or seen["of_name"] >= ATTEMPTS_OF_NAME
            ):
                left = seen["oldest_at"] + ATTEMPTS_WINDOW - now
                raise TooManyAttempts(max(1, int(left.total_seconds())))
            await connection.execute(ACCOUNTS["note_attempt"], _tried(name), address)
            row = await connection.fetchrow(ACCOUNTS["user_by_name"], name)
        return None if row is None else (row["user_id"], row["password_hash"], row["role"])

    async def visitor(self, token: str, kind: SignInKind) -> Visitor | None:
        """Who a cookie's or a header's token belongs to, while it is good."""
        now, digest = self._clock.now(), digest_of(token)
        with as_server():
            async with self._store.transaction(now) as connection:
                row = await connection.fetchrow(ACCOUNTS["session"], digest, now - IDLE_MAX)
                if row is None or row["kind"] != kind:
                    return None
                if now - row["last_used_at"] > _TOUCHED_EVERY:
                    await connection.execute(ACCOUNTS["touch_session"], digest)
        role = min(Role(row["role"]), Role(row["user_role"]), key=_RANKS.index)
        scopes = None if row["scopes"] is None else frozenset(row["scopes"])
        return Visitor(row["user_name"], role, row["company_id"], row["csrf_token"], kind, scopes)

    async def sign_out(self, token: str) -> None:
        """Ends the session."""
        async with self._store.transaction(self._clock.now()) as connection:
            await connection.execute(ACCOUNTS["end_session"], digest_of(token))

    async def _hash(self, password: str) -> str:
        salt = self._secrets(passwords.SALT_BYTES)
        return await self._offload.call(lambda: passwords.hashed(password, salt))


async def forget_sign_ins(connection: Connection, now: datetime) -> None:
    """Takes away sessions that ended and attempts that no longer count; part of the daily sweep."""
    await connection.execute(ACCOUNTS["forget_sessions"], now - IDLE_MAX)
    await connection.execute(ACCOUNTS["forget_attempts"], now - ATTEMPTS_KEPT)


async def _check_guard(connection: Connection) -> None:
    """What holds the users of a company back is a role of the database; raises AccountRefused without it."""
    if not await connection.fetchval(ACCOUNTS["can_guard"], WEB_ROLE):
        role = await connection.fetchval("SELECT current_user")
        raise AccountRefused(
            f"users of one company need the database's role {WEB_ROLE}, which {role} may not take; as superuser: "
            f'CREATE ROLE {WEB_ROLE} (unless it is there); GRANT {WEB_ROLE} TO "{role}"; then as owner of the schema: '
            "CALL grant_access(); CALL grant_names_access(); CALL grant_originals_access(); CALL grant_videos_access()"
        )


async def _company(connection: Connection, name: str) -> UUID:
    rows = await connection.fetch(ACCOUNTS["company_by_name"], name)
    if len(rows) != 1:
        if rows:
            raise AccountRefused(f"company {name!r}: {len(rows)} of that name in the table companies, needed is one")
        raise AccountRefused(
            f"company {name!r}: none of that name in the table companies; make it first, as by `wakestorm db shell`: "
            "INSERT INTO companies (company_name) VALUES ('...')"
        )
    company_id: UUID = rows[0]["company_id"]
    return company_id


def _tried(name: str) -> str:
    """What stands for a name among the attempts: somebody may have typed a password into its field."""
    return digest_of(name)[:16]


def _meant(scope: str) -> str:
    near = get_close_matches(scope, SCOPES, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _no_user(name: str) -> AccountRefused:
    return AccountRefused(f"there is no user {name.strip().lower()!r}: wakestorm user list shows who there is")
