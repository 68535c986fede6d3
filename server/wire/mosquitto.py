"""mosquitto's own files, from the table of `access` and from logins: configuration, ACL, passwords. Pure; mosquitto 2.

`use_username_as_clientid` makes a client known by its user name, so that a session can't be taken over with another's
client id. Enrolment has a listener of its own, whose mount point puts `enrol/` before what newcomers say. Settings are
the same for every listener (`per_listener_settings` is not used: it loses what waits for a client that is away).
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from server.wire import limits
from server.wire.access import ID, RULES, Role
from server.wire.topics import ENROLMENT_PREFIX

HASH_ROUNDS: Final = 1_000
"""Passwords are made of 128 random bits, so few rounds do: a broker that starts anew checks them for a whole fleet."""

SALT_BYTES: Final = 12
PACKET_SIZE_BYTES_MAX: Final = limits.PAYLOAD_SIZE_BYTES_MAX + 1_024
_WORDS: Final = {"publish": "write", "subscribe": "read"}
_HEAD: Final = "# Written by `wakestorm broker-config mosquitto`; changes are lost when it is written again.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Paths of the listener's certificate, its key, and the CA of client certificates.

    `by_certificate`: a client certificate is the login, its common name the user name; no password is asked for.
    """

    ca_file: str
    certificate_file: str
    key_file: str
    by_certificate: bool = False
    revoked_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Where mosquitto listens. `tls` None: without TLS, for loopback only. No `enrolment_port`: no newcomers."""

    host: str
    port: int
    enrolment_port: int | None = None
    tls: Tls | None = None


def hashed(password: str, salt: bytes, rounds: int = HASH_ROUNDS) -> str:
    """PBKDF2 with SHA-512 as mosquitto_passwd writes it: `$7$rounds$salt$hash`."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"$7${rounds}${b64encode(salt).decode()}${b64encode(digest).decode()}"


def is_password_of(password: str, wanted: str) -> bool:
    """Whether a password has that hash; takes as long for a wrong one as for the right one."""
    try:
        _, kind, rounds, salt, _ = wanted.split("$")
        if kind != "7":
            return False
        return hmac.compare_digest(hashed(password, b64decode(salt), int(rounds)), wanted)
    except (ValueError, Base64Error):
        return False


def password_file(hashes: Iterable[tuple[str, str]]) -> str:
    """Lines of `password_file`: user name and hash."""
    return "".join(f"{name}:{password_hash}\n" for name, password_hash in hashes)


def acl_file(others: Iterable[tuple[str, Role]]) -> str:
    """`acl_file` for any number of devices and for these logins of other roles (user name, role)."""
    own = [rule for rule in RULES if rule.role is Role.DEVICE]
    lines = [_HEAD, "# A device, by its user name: its own topics and no others.\n"]
    lines += [f"pattern {_WORDS[rule.action]} {rule.pattern.replace(ID, '%u')}\n" for rule in own]
    for name, role in others:
        lines.append(f"\n# {role}\nuser {name}\n")
        # the patterns above hold for every user name, and this one is no device's
        lines += [f"topic deny {rule.pattern.replace(ID, name)}\n" for rule in own]
        lines += [f"topic {_WORDS[rule.action]} {rule.pattern}\n" for rule in RULES if rule.role is role]
    return "".join(lines)


def configuration(listeners: Listeners, *, passwords: str, acl: str, state: str | None = None) -> str:
    """mosquitto.conf; paths of the other files, and of the folder for what must survive a restart, if any."""
    settings: list[tuple[str, object]] = [
        ("allow_anonymous", "false"),
        ("password_file", passwords),
        ("acl_file", acl),
        ("max_inflight_messages", 1000),
        ("max_queued_messages", 0),
        ("max_queued_bytes", 0),
        ("message_size_limit", limits.PAYLOAD_SIZE_BYTES_MAX),
        ("max_packet_size", PACKET_SIZE_BYTES_MAX),
        ("sys_interval", 0),
        ("connection_messages", "false"),
    ]
    if state is not None:
        settings += [("persistence", "true"), ("persistence_location", state), ("autosave_interval", 60)]
    settings += _listener(listeners, listeners.port)
    if listeners.enrolment_port is not None:
        settings += _listener(listeners, listeners.enrolment_port, is_enrolment=True)
    return _HEAD + "".join(f"{name} {value}\n" for name, value in settings)


def _listener(listeners: Listeners, port: int, *, is_enrolment: bool = False) -> list[tuple[str, object]]:
    settings: list[tuple[str, object]] = [("listener", f"{port} {listeners.host}")]
    settings.append(("use_username_as_clientid", "true"))
    tls = listeners.tls
    if tls is not None:
        settings += [
            ("cafile", tls.ca_file),
            ("certfile", tls.certificate_file),
            ("keyfile", tls.key_file),
            ("tls_version", "tlsv1.2"),
        ]
        if tls.by_certificate and not is_enrolment:
            settings += [("require_certificate", "true"), ("use_identity_as_username", "true")]
            if tls.revoked_file is not None:
                settings.append(("crlfile", tls.revoked_file))
    if is_enrolment:
        settings.append(("mount_point", ENROLMENT_PREFIX))
    return settings
