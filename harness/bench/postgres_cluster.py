"""The address of a PostgreSQL server, its four roles, and its databases.

Roles are made once for a server, settings sit on roles (a TEMPLATE clone drops those of databases). Databases are
cloned by file copy from templates that refuse connections. The server under test never connects as superuser.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import asyncpg

from harness.bench.postgres_binaries import OLDEST_VERSION
from harness.errors import BenchUnavailable

OWNER: Final = "ws_owner"
SERVER: Final = "ws_server"
WEB: Final = "ws_web"
READER: Final = "ws_reader"
ROLES: Final = (OWNER, SERVER, WEB, READER)

ROLE_OPTIONS: Final[dict[str, str]] = {
    OWNER: "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT",
    SERVER: "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT",
    WEB: "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT",
    READER: "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT 64",
}
ROLE_SETTINGS: Final[dict[str, dict[str, str]]] = {
    OWNER: {"timezone": "UTC"},
    SERVER: {"timezone": "UTC"},
    WEB: {"timezone": "UTC"},
    READER: {
        "timezone": "UTC",
        "default_transaction_read_only": "on",
        "statement_timeout": "2s",
        "lock_timeout": "1s",
        "idle_in_transaction_session_timeout": "10s",
        "temp_file_limit": "64MB",
        "work_mem": "16MB",
    },
}
ONLY_SUPERUSER_SETS: Final = frozenset({"temp_file_limit"})
ROLES_LOCK: Final = 0x57_53_52_4F_4C_45_53  # "WSROLES": one process at a time makes the roles
TEMPLATE_LOCK: Final = 0x57_53_54_50  # "WSTP"; closing the connection gives it back
CONNECT_TIMEOUT_S: Final = 20.0


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where a PostgreSQL server is and how its roles log in; can be handed to other processes as text.

    `host` is a socket folder or a host name. Passwords of the roles follow from `secret` (none: trust).
    """

    host: str
    port: int
    superuser: str
    superuser_password: str | None = None
    maintenance_database: str = "postgres"
    secret: str | None = None
    tcp_port: int | None = None
    options: tuple[tuple[str, str], ...] = ()
    is_ours: bool = True

    @classmethod
    def from_url(cls, url: str) -> Self:
        """An existing server by URL; BenchUnavailable if the URL is not one of PostgreSQL."""
        parts = urlsplit(url)
        if parts.scheme.split("+")[0] not in ("postgresql", "postgres"):
            raise BenchUnavailable(
                "DATABASE_URL is not a URL of PostgreSQL", hint="write postgresql://user:password@host:5432/database"
            )
        options = dict(parse_qsl(parts.query))
        try:
            port = int(options.pop("port", "") or parts.port or 5432)
        except ValueError as error:
            raise BenchUnavailable(f"DATABASE_URL: the port is not a number: {error}") from None
        password = unquote(parts.password) if parts.password else options.get("password")
        options.pop("password", None)
        return cls(
            host=options.pop("host", "") or unquote(parts.hostname or "localhost"),
            port=port,
            superuser=unquote(parts.username or options.pop("user", "postgres")),
            superuser_password=password,
            maintenance_database=unquote(parts.path.lstrip("/")) or "postgres",
            secret=password,
            options=tuple(options.items()),
            is_ours=False,
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The inverse of `to_text`."""
        fields: dict[str, Any] = json.loads(text)
        fields["options"] = tuple((name, value) for name, value in fields["options"])
        return cls(**fields)

    def to_text(self) -> str:
        """One line of JSON, for another process of the same user (it holds passwords)."""
        return json.dumps(asdict(self), sort_keys=True)

    def __repr__(self) -> str:
        return f"Cluster({self.host}:{self.port})"

    @property
    def is_unix(self) -> bool:
        """Whether `host` is the folder of a Unix socket."""
        return self.host.startswith("/")

    def password_of(self, role: str) -> str | None:
        """The password of a role: its own for the superuser, one derived from the secret for ours."""
        if role == self.superuser:
            return self.superuser_password
        if self.secret is None:
            return None
        return hmac.new(self.secret.encode(), role.encode(), hashlib.sha256).hexdigest()[:40]

    def dsn(self, database: str, role: str, *, tcp: bool = False) -> str:
        """A connection URL that asyncpg, psql and SQLAlchemy read; `tcp` needs a cluster that listens there."""
        password = self.password_of(role)
        user = quote(role, safe="") + (f":{quote(password, safe='')}" if password else "")
        options = dict(self.options)
        if tcp:
            if self.is_unix and self.tcp_port is None:
                raise ValueError("this cluster does not listen on TCP: start it with listen_tcp=True")
            host, port = ("127.0.0.1", self.tcp_port) if self.is_unix else (self.host, self.port)
            place = f"{host}:{port}"
            if self.is_unix:
                options["sslmode"] = "disable"
        elif self.is_unix:
            place = ""
            options |= {"host": self.host, "port": str(self.port)}
        else:
            place = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        query = f"?{urlencode(options, safe='/')}" if options else ""
        return f"postgresql://{user}@{place}/{quote(database, safe='')}{query}"

    @asynccontextmanager
    async def admin(self, database: str | None = None) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """A connection as superuser; BenchUnavailable with host, port and reason when there is none."""
        dsn = self.dsn(database or self.maintenance_database, self.superuser)
        try:
            connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S, statement_cache_size=0)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            reason = str(error).strip() or type(error).__name__
            raise BenchUnavailable(
                f"PostgreSQL at {self.host}:{self.port} can not be reached as {self.superuser}: {reason}",
                hint=None if self.is_ours else "check DATABASE_URL, or unset it to use the embedded PostgreSQL",
            ) from error
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def _admin_or(
        self, by: asyncpg.Connection[asyncpg.Record] | None
    ) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        if by is not None:
            yield by
            return
        async with self.admin() as connection:
            yield connection

    async def create_database(
        self,
        name: str,
        template: str | None = None,
        owner: str = OWNER,
        *,
        by: asyncpg.Connection[asyncpg.Record] | None = None,
    ) -> None:
        """A new database, empty or a copy of a template; `by` a superuser's connection, where one is open.

        Only our roles may connect, and the reader may not even make temporary tables.
        """
        async with self._admin_or(by) as connection:
            await connection.execute(
                f"CREATE DATABASE {quoted(name)} OWNER {quoted(owner)} "
                f"TEMPLATE {quoted(template or 'template0')} STRATEGY file_copy"
            )
            await connection.execute(
                f"REVOKE ALL ON DATABASE {quoted(name)} FROM PUBLIC;"
                f"GRANT CONNECT, TEMPORARY ON DATABASE {quoted(name)} TO {SERVER}, {WEB};"
                f"GRANT CONNECT ON DATABASE {quoted(name)} TO {READER}"
            )

    async def mark_template(self, name: str) -> None:
        """From now on the database is a template and refuses connections (a connection would block its copies)."""
        async with self.admin() as connection:
            await connection.execute(f"ALTER DATABASE {quoted(name)} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")
            await connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name
            )

    async def ensure_template(
        self, name: str, build: Callable[[str], Awaitable[None]], *, closing: str = "", base: str | None = None
    ) -> None:
        """Makes a template unless it is there; `build` gets the owner's dsn. Processes that ask at once wait for one.

        It begins as a copy of the template `base`, or empty; `closing` is SQL for the superuser, once it is built.

        It is built under another name, so that one half made by a killed process is never used.
        """
        making = f"{name}_making"
        async with self.admin() as connection:
            await connection.execute("SELECT pg_advisory_lock($1, hashtext($2))", TEMPLATE_LOCK, name)
            if await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
                return
            await self.drop_database(making)
            await self.create_database(making, base)
            await build(self.dsn(making, OWNER))
            if closing:
                async with self.admin(making) as superuser:
                    await superuser.execute(closing)
            await self.mark_template(making)
            await connection.execute(f"ALTER DATABASE {quoted(making)} RENAME TO {quoted(name)}")

    async def drop_database(self, name: str, *, by: asyncpg.Connection[asyncpg.Record] | None = None) -> None:
        """Drops a database with whoever is connected to it; a missing one is no error."""
        async with self._admin_or(by) as connection:
            if await connection.fetchval("SELECT datistemplate FROM pg_database WHERE datname = $1", name):
                await connection.execute(f"ALTER DATABASE {quoted(name)} WITH IS_TEMPLATE false")
            await connection.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")

    async def database_exists(self, name: str) -> bool:
        """Whether there is a database of that name."""
        async with self.admin() as connection:
            return bool(await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name))

    async def backends_gone(self, database: str, *roles: str, within_s: float = 10.0) -> None:
        """Waits, in real time inside PostgreSQL, until these roles (none named: any) have no backend in `database`.

        For the moment after a crash: what a dead server still had running is committed or rolled back then.
        """
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() "
            "AND (usename = ANY($2::text[]) OR cardinality($2::text[]) = 0)"
        )
        async with self.admin() as connection:
            for _ in range(max(1, round(within_s / 0.002))):
                if not await connection.fetchval(query, database, list(roles)):
                    return
                await connection.execute("SELECT pg_sleep(0.002)")
        raise BenchUnavailable(f"backends of {', '.join(roles) or 'anyone'} in {database} did not end in {within_s} s")


async def prepare_roles(cluster: Cluster) -> None:
    """Makes the four roles and their settings, or brings them up to date; needs CREATEROLE and CREATEDB."""
    async with cluster.admin() as connection:
        version = connection.get_server_version()
        if version.major < OLDEST_VERSION:
            raise BenchUnavailable(
                f"PostgreSQL at {cluster.host}:{cluster.port} is version {version.major}, "
                f"needed is {OLDEST_VERSION} or later"
            )
        me = await connection.fetchrow(
            "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        if me is None or not (me["rolsuper"] or (me["rolcreatedb"] and me["rolcreaterole"])):
            raise BenchUnavailable(
                f"role {cluster.superuser} at {cluster.host}:{cluster.port} may not create databases and roles",
                hint=f"as superuser: ALTER ROLE {quoted(cluster.superuser)} CREATEDB CREATEROLE",
            )
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", ROLES_LOCK)
                for role in ROLES:
                    await _prepare_role(connection, cluster, role, is_superuser=me["rolsuper"])
                await connection.execute(f"GRANT {WEB} TO {SERVER}")  # for the requests of one company's users
        except asyncpg.PostgresError as error:
            raise BenchUnavailable(
                f"the roles {', '.join(ROLES)} can not be made at {cluster.host}:{cluster.port}: {error}",
                hint="DATABASE_URL must name a superuser, or the role that made them",
            ) from error


async def _prepare_role(
    connection: asyncpg.Connection[asyncpg.Record], cluster: Cluster, role: str, *, is_superuser: bool
) -> None:
    known = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
    password = cluster.password_of(role)
    login = f" PASSWORD '{password}'" if password else ""
    options = ROLE_OPTIONS[role]
    if not is_superuser:
        options = options.replace("NOSUPERUSER ", "")
    await connection.execute(f"{'ALTER' if known else 'CREATE'} ROLE {role} {options}{login}")
    for name, value in ROLE_SETTINGS[role].items():
        if is_superuser or name not in ONLY_SUPERUSER_SETS:
            await connection.execute(f"ALTER ROLE {role} SET {name} = '{value}'")
    if role == OWNER and not is_superuser:
        await connection.execute(f"GRANT {OWNER} TO CURRENT_USER")
