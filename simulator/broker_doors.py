"""Logins for the simulated broker: who comes in, under which client id, and what it may do. Pure.

The rules are those of `server.wire.access`. As in mosquitto with the files of `server.wire.mosquitto`, a client is
known by its user name, and what it is not allowed to send is taken from it and dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from server.wire.access import Action, Role, flaw_of_name, may
from server.wire.mosquitto import is_password_of
from server.wire.mqtt_codec import Connect
from server.wire.topics import ENROLMENT_PREFIX
from simulator.broker_effects import Admitted

BAD_CLIENT_ID: Final = 2
BAD_LOGIN: Final = 5
"""mosquitto's CONNACK to a wrong password, and to none."""


@dataclass(frozen=True, slots=True)
class DoorLogin:
    """One client that may come in, with the hash of its password (`mosquitto.hashed`)."""

    user_name: str
    role: Role
    password_hash: str


class Doors:
    """`authenticate` and `access` are what `Broker` asks for."""

    def __init__(self, logins: Iterable[DoorLogin]) -> None:
        self._logins = {login.user_name: login for login in logins}

    def authenticate(self, packet: Connect) -> int | Admitted:
        """Let in who knows a password, under its user name; names that could stand for others are refused."""
        if packet.client_id and flaw_of_name(packet.client_id) is not None:
            return BAD_CLIENT_ID
        login = self._logins.get(packet.username or "")
        if login is None or flaw_of_name(login.user_name) is not None or packet.password is None:
            return BAD_LOGIN
        if not is_password_of(packet.password.decode("utf-8", "replace"), login.password_hash):
            return BAD_LOGIN
        return Admitted(login.user_name, ENROLMENT_PREFIX if login.role is Role.ENROLMENT else "")

    def access(self, client_id: str, action: str, topic: str) -> bool:
        """Whether the rules let that client, known by its user name, do that."""
        login = self._logins.get(client_id)
        return login is not None and may(login.role, login.user_name, cast("Action", action), topic)
