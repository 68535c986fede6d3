"""Who may use which topic: one table, which the simulated broker enforces and mosquitto's ACL is written from. Pure.

Every client has a login of a role. A device's user name is its id, and it may use the topics of that id alone. What a
newcomer says with the enrolment login, which all newcomers share, arrives below `enrol/`, so that no server takes it
for the word of a device that it knows. A client is known by its user name, whatever client id it asks for: nobody
takes over the session of another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from server.wire import limits
from server.wire.mqtt_filters import split_shared
from server.wire.topics import DOWNLINK, ENROLMENT_PREFIX, UPLINK, Channel, Family, topic_of

Action = Literal["publish", "subscribe", "receive"]
"""A will and a retained message are published; a share group is subscribed to."""

ID: Final = "{id}"
"""In a rule: the device id that is the client's user name."""


class Role(StrEnum):
    """What a login is for."""

    DEVICE = "device"
    ENROLMENT = "enrolment"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Rule:
    """A role may do that on what falls under the pattern: a topic filter, with `{id}` for a device's own id."""

    role: Role
    action: Literal["publish", "subscribe"]
    pattern: str


def _rules() -> tuple[Rule, ...]:
    up = [(family, channel) for family in Family for channel in UPLINK]
    down = dict.fromkeys((topic_of(family, ID, channel)) for family in Family for channel in DOWNLINK)
    return (
        *(Rule(Role.DEVICE, "publish", topic_of(family, ID, channel)) for family, channel in up),
        *(Rule(Role.DEVICE, "subscribe", topic) for topic in down),
        *(Rule(Role.ENROLMENT, "publish", enrolment_topic(family, "+")) for family in Family),
        *(Rule(Role.SERVER, "subscribe", topic_of(family, "+", channel)) for family, channel in up),
        *(Rule(Role.SERVER, "subscribe", enrolment_topic(family, "+")) for family in Family),
        *(Rule(Role.SERVER, "publish", topic.replace(ID, "+")) for topic in down),
    )


def enrolment_topic(family: Family, device_id: str) -> str:
    """Where a newcomer's HELLO arrives."""
    return ENROLMENT_PREFIX + topic_of(family, device_id, Channel.STATUS)


RULES: Final = _rules()
"""The whole table. What is not in it is forbidden."""

_NAME: Final = re.compile(r"[0-9A-Za-z:_.\-]+\Z")


def flaw_of_name(name: str) -> str | None:
    """Why a user name or client id is refused, or None: it stands in topics and in a broker's files."""
    if not name:
        return "it is empty"
    if len(name) > limits.DEVICE_ID_LENGTH_CHARS_MAX:
        return f"it has {len(name)} characters, at most {limits.DEVICE_ID_LENGTH_CHARS_MAX} are allowed"
    if not _NAME.match(name):
        return "only letters, digits and : _ . - are allowed: no #, +, /, space or control character"
    return None


def may(role: Role, user_name: str, action: Action, topic: str) -> bool:
    """Whether a client may publish to a topic, subscribe to a filter, or receive from a topic."""
    if flaw_of_name(user_name) is not None:
        return False
    if action == "subscribe":
        topic = split_shared(topic)[1]
    wanted = "publish" if action == "publish" else "subscribe"
    return any(
        covers(rule.pattern.replace(ID, user_name), topic)
        for rule in RULES
        if rule.role is role and rule.action == wanted
    )


def covers(pattern: str, topic_filter: str) -> bool:
    """Whether every topic that falls under the filter falls under the pattern too; a topic is a filter of its own."""
    allowed, asked = pattern.split("/"), topic_filter.split("/")
    return len(allowed) == len(asked) and all(
        own == level or (own == "+" and level != "#") for own, level in zip(allowed, asked, strict=True)
    )
