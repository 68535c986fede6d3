"""Logins at the MQTT broker, and the files that tell them to mosquitto: what `wakestorm logins` and `broker-config` do.

A password is made here, of 128 random bits, shown once, and kept as its hash. What stands in the database is law once
the files are written again and mosquitto has read them (SIGHUP).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

from server.clock import SystemClock
from server.config import is_loopback
from server.database import reached
from server.ids import SecretSource, random_secrets
from server.migrations.apply import current
from server.queries import load
from server.serving import EXIT_USAGE, ServeError, newest_revision, place_of
from server.store import Connection, Store, open_pool
from server.wire.access import Role, flaw_of_name
from server.wire.mosquitto import SALT_BYTES, Listeners, acl_file, configuration, hashed, password_file
from server.wire.topics import normalised_device_id

T = TypeVar("T")
LOGINS: Final = load("logins.sql")
PASSWORD_BYTES: Final = 16
CONFIGURATION, PASSWORDS, ACL = "mosquitto.conf", "passwords", "acl"


@dataclass(frozen=True, slots=True)
class Login:
    """A login as it is shown. `may_come`: its device is active."""

    user_name: str
    role: Role
    password_hash: str
    updated_at: datetime
    may_come: bool


@dataclass(frozen=True, slots=True)
class NewLogin:
    """A login and its password, which is shown this once."""

    user_name: str
    password: str


def issued(url: str, names: Iterable[str], role: Role) -> list[NewLogin]:
    """New passwords for these devices, newcomers or servers; an old one ends. Raises ServeError."""

    async def work(connection: Connection) -> list[NewLogin]:
        wanted: list[tuple[str, UUID | None]] = []
        for given in names:
            name = normalised_device_id(given) if role is Role.DEVICE else given
            if (flaw := flaw_of_name(name)) is not None:
                raise ServeError(f"{name[:80]!r} is no user name: {flaw}", EXIT_USAGE)
            device_id = None
            if role is Role.DEVICE:
                device_id = await connection.fetchval(LOGINS["device_named"], name)
                if device_id is None:
                    raise ServeError(f"{place_of(url)} has no device {name}: see /devices, or let it enrol", EXIT_USAGE)
            wanted.append((name, device_id))
        return await _issue(connection, wanted, role, random_secrets())

    return _done(url, work)


def issued_to_all(url: str) -> list[NewLogin]:
    """Passwords for every device that may come in and has none. Raises ServeError."""

    async def work(connection: Connection) -> list[NewLogin]:
        rows = await connection.fetch(LOGINS["devices_without"])
        wanted = [(row["device_mac"], row["device_id"]) for row in rows]
        for name, _ in wanted:
            if (flaw := flaw_of_name(name)) is not None:
                raise ServeError(f"device {name[:80]!r} can have no login: {flaw}")
        return await _issue(connection, wanted, Role.DEVICE, random_secrets())

    return _done(url, work)


def logins(url: str) -> list[Login]:
    """Every login, servers first. Raises ServeError."""

    async def work(connection: Connection) -> list[Login]:
        return [
            Login(row["user_name"], Role(row["role"]), row["password_hash"], row["updated_at"], row["may_come"])
            for row in await connection.fetch(LOGINS["logins"])
        ]

    return _done(url, work)


def revoked(url: str, name: str) -> None:
    """Takes a login away. Raises ServeError where there is none."""

    async def work(connection: Connection) -> None:
        for spelled in dict.fromkeys((name, normalised_device_id(name))):
            if await connection.fetchval(LOGINS["revoke"], spelled) is not None:
                return
        raise ServeError(f"{place_of(url)} has no login {name[:80]!r}: see `wakestorm logins list`", EXIT_USAGE)

    _done(url, work)


def write_mosquitto(url: str, folder: Path, listeners: Listeners) -> int:
    """Writes mosquitto.conf, passwords and acl; returns the number of logins. Raises ServeError."""
    if listeners.tls is None and not is_loopback(listeners.host):
        raise ServeError(
            f"--host {listeners.host} without TLS: passwords and pictures would cross the network in the clear; make "
            "certificates with `wakestorm certs` and name their folder with --certs",
            EXIT_USAGE,
        )
    found = [login for login in logins(url) if login.may_come]
    if not any(login.role is Role.SERVER for login in found):
        raise ServeError(
            "no server could connect: make its login with `wakestorm logins add wakestorm-server --role server`",
            EXIT_USAGE,
        )
    others = [(login.user_name, login.role) for login in found if login.role is not Role.DEVICE]
    place = folder.absolute()
    texts = {
        PASSWORDS: password_file((login.user_name, login.password_hash) for login in found),
        ACL: acl_file(others),
        CONFIGURATION: configuration(
            listeners, passwords=str(place / PASSWORDS), acl=str(place / ACL), state=f"{place}/"
        ),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            replace_privately(folder / name, text)
    except OSError as error:
        raise ServeError(f"--out {folder}: {error.strerror or error}", EXIT_USAGE) from error
    return len(found)


def replace_privately(file: Path, text: str) -> None:
    """Writes a file that its owner alone may read, whole or not at all. Raises OSError."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(text, encoding="utf-8")
    new.replace(file)


async def _issue(
    connection: Connection, wanted: list[tuple[str, UUID | None]], role: Role, secrets: SecretSource
) -> list[NewLogin]:
    made = [NewLogin(name, secrets(PASSWORD_BYTES).hex()) for name, _ in wanted]
    kept = await connection.fetch(
        LOGINS["keep"],
        [login.user_name for login in made],
        [role.value] * len(made),
        [device_id for _, device_id in wanted],
        [hashed(login.password, secrets(SALT_BYTES)) for login in made],
    )
    lacking = {login.user_name for login in made} - {row["user_name"] for row in kept}
    if lacking:
        raise ServeError(f"{min(lacking)} is the login of another role already: revoke it first", EXIT_USAGE)
    return made


def _done(url: str, work: Callable[[Connection], Awaitable[T]]) -> T:
    async def on_database() -> T:
        revision = await current(url)
        if revision != newest_revision():
            raise ServeError(f"the database stands at revision {revision or 'none'}: run `wakestorm db migrate`")
        async with (
            await open_pool(url, size=1, timeout=10) as pool,
            Store(pool).transaction(SystemClock().now()) as connection,
        ):
            return await work(connection)

    return reached(url, on_database())
