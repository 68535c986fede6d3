"""`target.toml`: somebody's own server as the bench: where it is, how its tables are called, what it may be asked.

Read `Target` first. The file holds no secret: logins are names of environment variables, so that neither the file nor
what is made of it (plans, histories, reports) can give one away. Raises TargetError with every mistake, by line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from harness.errors import BenchUnavailable, Mistake, ScenarioError, did_you_mean
from harness.target_tables import COLUMNS
from harness.units import LanguageError, parse_duration_ms
from server.wire.dialects import DIALECTS

FILE_BYTES_MAX: Final = 100_000
OWN_PREFIX: Final = "02574B"
"""A locally administered range, so that no board that was ever sold has an address in it."""

CHANNELS: Final = ("status", "data", "cmd", "ack", "retry")
OBJECT_COLUMNS: Final = ("object_bytes", "object_sha256")
"""What `device_images` may name besides its own columns: the picture itself, or its SHA-256 in hex."""

SKIPPABLE: Final = ("received_chunks_match", "states_legal")
"""Checks of rows that a server may keep in its own way; those of the photos can not be left out."""

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PREFIX: Final = re.compile(r"[0-9A-F][26AE][0-9A-F]{4}\Z")


class TargetError(ScenarioError):
    """The target file is not valid."""


def _duration(value: Any) -> Any:
    try:
        return parse_duration_ms(value)
    except LanguageError as error:
        raise ValueError(str(error)) from error


def _variable(name: str) -> str:
    if not _VARIABLE.match(name):
        raise ValueError("not the name of an environment variable: write its name here, never a secret itself")
    return name


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or {"user", "password"} & parse_qs(parts.query).keys():
        raise ValueError("a login stands in the URL: name environment variables that hold it instead")
    if not parts.hostname and "host" not in parse_qs(parts.query):
        raise ValueError("no host in the URL")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("the port is no number from 0 to 65535") from None
    return url


def _broker_url(url: str) -> str:
    if urlsplit(url).scheme not in ("mqtt", "mqtts"):
        raise ValueError("not a broker's URL: mqtt://HOST:PORT, or mqtts://HOST:PORT with TLS")
    return _without_login(url)


def _database_url(url: str) -> str:
    if urlsplit(url).scheme not in ("postgresql", "postgres"):
        raise ValueError("not a database's URL: postgresql://HOST:PORT/NAME")
    if not urlsplit(url).path.strip("/"):
        raise ValueError("no database in the URL: postgresql://HOST:PORT/NAME")
    return _without_login(url)


def _topic(text: str) -> str:
    if text.count("{mac}") != 1:
        raise ValueError("a topic of one camera has {mac} in it, once")
    if any(mark in text.replace("{mac}", "") for mark in "+#{}"):
        raise ValueError("a topic has no wildcards and no other places than {mac}")
    return text


def _prefix(text: str) -> str:
    if not _PREFIX.match(text):
        raise ValueError("six upper-case hex digits, the second of them 2, 6, A or E: locally administered addresses")
    return text


def _dialect(name: str) -> str:
    if name not in DIALECTS:
        raise ValueError(f"no such dialect; {did_you_mean(name, list(DIALECTS))}")
    return name


def _skippable(skip: dict[str, str]) -> dict[str, str]:
    for name in skip:
        if name not in SKIPPABLE:
            raise ValueError(f"{name} can not be left out; {' and '.join(SKIPPABLE)} can")
    return skip


Duration = Annotated[int, BeforeValidator(_duration)]
Variable = Annotated[str, AfterValidator(_variable)]
Topic = Annotated[str, AfterValidator(_topic)]
Dialect = Annotated[str, AfterValidator(_dialect)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Login(_Part):
    """Names of the environment variables that hold user and password."""

    user_variable: Variable
    password_variable: Variable | None = None

    def read(self, environment: Mapping[str, str], what: str) -> tuple[str, str | None]:
        """(user, password). Raises BenchUnavailable for a variable that is not set."""
        for name in filter(None, (self.user_variable, self.password_variable)):
            if name not in environment:
                raise BenchUnavailable(f"the environment variable {name} is not set", hint=f"{what} needs it")
        password = None if self.password_variable is None else environment[self.password_variable]
        return environment[self.user_variable], password


class Broker(_Part):
    """Where cameras connect. `ca`, `certificate` and `key` are PEM files, as seen from target.toml."""

    url: Annotated[str, AfterValidator(_broker_url)]
    login: Login | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def is_tls(self) -> bool:
        """mqtts."""
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (8883 if self.is_tls else 1883)

    @model_validator(mode="after")
    def _files_need_tls(self) -> Self:
        if not self.is_tls and (self.ca or self.certificate or self.key):
            raise ValueError("ca, certificate and key are for mqtts://")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self


class Topics(_Part):
    """Topics where they differ from `ESP32CAM/{mac}/status` and its kin; all devices use these."""

    status: Topic | None = None
    data: Topic | None = None
    cmd: Topic | None = None
    ack: Topic | None = None
    retry: Topic | None = None

    @model_validator(mode="after")
    def _each_has_its_own(self) -> Self:
        named = [text for channel in CHANNELS if (text := getattr(self, channel)) is not None]
        if len(set(named)) < len(named):
            raise ValueError("two channels have the same topic")
        return self


class Database(_Part):
    """The judge reads as `reader`; `writer` may insert and delete wakestorm's own rows, and is optional."""

    url: Annotated[str, AfterValidator(_database_url)]
    reader: Login
    writer: Login | None = None
    not_production: str | None = None
    """The name of the database, for one that looks like production and is not."""
    strangers_max: Annotated[int, Field(ge=0)] = 20
    """More devices that are not wakestorm's than this look like production."""

    @property
    def name(self) -> str:
        """The database's name."""
        return urlsplit(self.url).path.strip("/")


class Devices(_Part):
    """Who the cameras are for this server."""

    mac_prefix: Annotated[str, AfterValidator(_prefix)] = OWN_PREFIX
    mac_form: Literal["plain", "colons", "plain-lower", "colons-lower"] = "plain"
    """How the database writes a MAC; on the wire it is plain."""
    dialects: Annotated[tuple[Dialect, ...], Field(min_length=1)] = tuple(DIALECTS)
    registered_by: Literal["hello", "writer"] = "hello"
    """Who makes a camera's row: the server when it first hears it, or `database.writer`."""
    row: dict[str, str | int | float | bool] = {}
    """Further columns of a device's row, by the target's own names, with `registered_by = "writer"`."""


class Times(_Part):
    """How patient wakestorm is; this server's clock can not be moved."""

    settle: Duration = 500
    """So long nothing is said before a look at the rows."""
    wait_max: Duration = 60_000
    """Scenarios that wait longer are left out."""
    wake_max: Duration = 300_000
    """A camera that is awake longer never sleeps."""


class Store(_Part):
    """Where the bytes of `object_key` lie, where they are files."""

    folder: Path | None = None


class TableNames(_Part):
    """One of the tables by the target's names; what is not named is called as in wakestorm's schema."""

    table: Annotated[str, Field(pattern=r"^[^\"]+$")] | None = None
    absent: bool = False
    columns: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    """Own column -> own value -> the target's."""


class Checks(_Part):
    """Checks that this server can not be held to, each with the reason."""

    skip: Annotated[dict[str, Annotated[str, Field(min_length=3)]], AfterValidator(_skippable)] = {}


class Target(_Part):
    """The whole file. `name` stands in reports."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")] = "target"
    broker: Broker
    topics: Topics = Topics()
    database: Database
    devices: Devices = Devices()
    time: Times = Times()
    store: Store = Store()
    tables: dict[str, TableNames] = {}
    checks: Checks = Checks()


def read_target(path: Path) -> Target:
    """The target of that file, its paths made absolute. Raises TargetError with all mistakes."""
    shown = path.as_posix()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TargetError([Mistake(shown, 1, "", error.strerror or str(error), "docs/external.md has one")]) from error
    if len(data) > FILE_BYTES_MAX:
        raise TargetError([Mistake(shown, 1, "", f"{len(data)} bytes", f"at most {FILE_BYTES_MAX}")])
    try:
        text = data.decode("utf-8-sig")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise TargetError([Mistake(shown, 1, "", "not UTF-8 text")]) from error
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+), column (\d+)\)", str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        reason = str(error).removesuffix(place[0]) if place else str(error)
        raise TargetError([Mistake(shown, line, "", f"not TOML: {reason}")]) from error
    try:
        target = Target.model_validate(values)
    except ValidationError as error:
        found = [one for one in error.errors() if one["type"] != "too_short" or len(error.errors()) == 1]
        mistakes = [_mistake(shown, text, one) for one in found]
        raise TargetError([*mistakes, *_unknown_tables(values.get("tables"), shown, text)]) from None
    mistakes = _table_mistakes(target, shown, text)
    if mistakes:
        raise TargetError(mistakes)
    return _with_paths_from(target, path.resolve().parent)


def _with_paths_from(target: Target, folder: Path) -> Target:
    names = ("ca", "certificate", "key")
    files = {name: folder / value for name in names if (value := getattr(target.broker, name)) is not None}
    store = target.store if target.store.folder is None else Store(folder=folder / target.store.folder)
    return target.model_copy(update={"broker": target.broker.model_copy(update=files), "store": store})


def _unknown_tables(names: Any, file: str, text: str) -> list[Mistake]:
    reason = "no table of wakestorm is called so"
    return [
        Mistake(file, line_of(text, ("tables", name)), f"tables.{name}", reason, did_you_mean(name, list(COLUMNS)))
        for name in (names if isinstance(names, dict) else ())
        if name not in COLUMNS
    ]


def _table_mistakes(target: Target, file: str, text: str) -> list[Mistake]:
    found = _unknown_tables(target.tables, file, text)

    def say(path: tuple[str, ...], reason: str, hint: str | None = None) -> None:
        found.append(Mistake(file, line_of(text, path), ".".join(path), reason, hint))

    for table, names in target.tables.items():
        known = COLUMNS.get(table)
        if known is None:
            continue
        columns = [*known, *OBJECT_COLUMNS] if table == "device_images" else list(known)
        for part in ("columns", "values"):
            for column in getattr(names, part):
                if column not in columns:
                    reason = f"wakestorm's {table} has no column {column}"
                    say(("tables", table, part, column), reason, did_you_mean(column, columns))
        if names.absent and table in ("devices", "device_images"):
            say(("tables", table, "absent"), "without this table nothing can be judged", "name the table that has it")
    if target.devices.registered_by == "writer" and target.database.writer is None:
        say(("devices", "registered_by"), "database.writer is not named")
    return found


def _mistake(file: str, text: str, error: ErrorDetails) -> Mistake:
    path = tuple(str(part) for part in error["loc"] if part != "[key]")
    line, shown, kind = line_of(text, path), ".".join(path), error["type"]
    if kind == "extra_forbidden":
        known = _keys_at(path[:-1])
        return Mistake(file, line, shown, "no such key", did_you_mean(path[-1], known))
    if kind == "missing":
        return Mistake(file, line, shown, "is missing", "docs/external.md has a whole file")
    reason = error["msg"].removeprefix("Value error, ")
    value = error["input"]
    is_shown = isinstance(value, str | int | float | bool) and "url" not in path and "variable" not in path[-1]
    if kind == "literal_error":
        allowed = re.findall(r"'([^']+)'", str(error.get("ctx", {}).get("expected", "")))
        return Mistake(file, line, shown, f"found {value!r}", did_you_mean(str(value), allowed))
    return Mistake(file, line, shown, f"{reason}; found {value!r}" if is_shown else reason)


def _keys_at(path: tuple[str, ...]) -> list[str]:
    """The keys that may stand at that place."""
    places: dict[tuple[str, ...], type[BaseModel]] = {
        (): Target,
        ("broker",): Broker,
        ("broker", "login"): Login,
        ("topics",): Topics,
        ("database",): Database,
        ("database", "reader"): Login,
        ("database", "writer"): Login,
        ("devices",): Devices,
        ("time",): Times,
        ("store",): Store,
        ("checks",): Checks,
    }
    model = TableNames if len(path) == 2 and path[0] == "tables" else places.get(path)
    if model is None:
        return []
    return list(model.model_fields)


def line_of(text: str, path: tuple[str, ...]) -> int:
    """The line of a key, or of what stands nearest above it in the tree; counts from 1."""
    best, depth = 1, 0
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if line.startswith("[") and not line.startswith("[["):
            header = place = _words(line[1:].partition("]")[0])
        elif "=" in line and not line.startswith("#"):
            place = header + _words(line.partition("=")[0])
        else:
            continue
        if len(place) > depth and path[: len(place)] == place:
            best, depth = number, len(place)
    return best


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip().strip("\"'") for word in text.split("."))
