"""Who may use which topic, and what mosquitto's files say of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.access import Role, covers, flaw_of_name, may
from server.wire.mosquitto import Listeners, Tls, acl_file, configuration, hashed, is_password_of
from server.wire.mqtt_codec import Connect
from server.wire.mqtt_filters import matches
from server.wire.topics import Family, downlink_filters, uplink_filters
from simulator.broker import Admitted
from simulator.broker_doors import DoorLogin, Doors

HASH_OF_MOSQUITTO_PASSWD = (
    "$7$101$1WjBvH3yVKJYqBjP$T9qySiVtIvGd5gXs58yQIYdM3OxZGYmGcigb2y8+T2CY/HQw364s19bjoKlh59+FUtTDUo7bVkLroZM8PUMj/w=="
)
A, B = "A4CF12000001", "B8F862F9C1C4"
LEVELS = st.sampled_from(["a", "b", "+", "#"])


@pytest.mark.parametrize("family", list(Family))
def test_a_device_may_use_its_own_topics_and_no_others(family: Family) -> None:
    for topic in downlink_filters(family, A):
        assert may(Role.DEVICE, A, "subscribe", topic)
        assert may(Role.DEVICE, A, "receive", topic)
        assert not may(Role.DEVICE, A, "publish", topic)
        assert not may(Role.DEVICE, A, "subscribe", topic.replace(A, B))
        assert not may(Role.DEVICE, A, "subscribe", topic.replace(A, "+"))
    for topic_filter in uplink_filters():
        if topic_filter.startswith("enrol/"):
            continue
        own = topic_filter.replace("+", A)
        assert may(Role.DEVICE, A, "publish", own)
        assert not may(Role.DEVICE, A, "receive", own)
        assert not may(Role.DEVICE, A, "publish", own.replace(A, B))


def test_the_server_may_do_what_it_does_and_newcomers_say_hello_only() -> None:
    for topic_filter in uplink_filters():
        assert may(Role.SERVER, "s", "subscribe", topic_filter)
        assert may(Role.SERVER, "s", "subscribe", f"$share/group/{topic_filter}")
    for topic in downlink_filters(Family.ESP32CAM, A):
        assert may(Role.SERVER, "s", "publish", topic)
    assert not may(Role.SERVER, "s", "subscribe", "#")
    assert may(Role.ENROLMENT, "newcomer", "publish", f"enrol/ESP32CAM/{B}/status")
    for topic in (f"ESP32CAM/{B}/status", f"enrol/ESP32CAM/{B}/data", "ESP32CAM/newcomer/status"):
        assert not may(Role.ENROLMENT, "newcomer", "publish", topic)
    assert not may(Role.ENROLMENT, "newcomer", "subscribe", f"ESP32CAM/{B}/cmd")


@pytest.mark.parametrize("name", ["#", "+", "a/b", "a\0b", "", "a b", "x" * 65, "\u202e", "ä"])
def test_names_that_could_stand_for_others_are_refused(name: str) -> None:
    assert flaw_of_name(name) is not None
    assert not may(Role.DEVICE, name, "publish", f"ESP32CAM/{name}/status")


@given(st.lists(LEVELS, min_size=1, max_size=3), st.lists(LEVELS, min_size=1, max_size=3))
def test_covered_filters_hold_no_topic_that_the_pattern_lacks(pattern: list[str], asked: list[str]) -> None:
    allowed, topic_filter = "/".join(pattern).replace("#", "a"), "/".join(asked)
    if covers(allowed, topic_filter):
        topics = ["/".join(levels) for levels in (["a"], ["a", "a"], ["a", "b"], ["b", "a", "a"], ["a", "b", "a", "a"])]
        assert all(matches(allowed, topic) for topic in topics if matches(topic_filter, topic))


def test_hashes_are_those_of_mosquitto_passwd() -> None:
    """The line was written by mosquitto_passwd 2.0.11 for the password `s3cret`."""
    assert is_password_of("s3cret", HASH_OF_MOSQUITTO_PASSWD)
    assert not is_password_of("s3creT", HASH_OF_MOSQUITTO_PASSWD)
    assert is_password_of("x", hashed("x", b"salt"))
    for broken in ("", "$7$", "$6$101$a$b", "$7$x$YQ==$YQ==", "$7$1$!$"):
        assert not is_password_of("x", broken)


def test_the_simulated_broker_lets_in_by_password_and_under_the_users_name() -> None:
    doors = Doors(
        [DoorLogin(A, Role.DEVICE, hashed("a", b"s", 1)), DoorLogin("new", Role.ENROLMENT, hashed("n", b"s", 1))]
    )
    assert doors.authenticate(Connect(client_id=B, username=A, password=b"a")) == Admitted(A)
    assert doors.authenticate(Connect(client_id="x", username="new", password=b"n")) == Admitted("new", "enrol/")
    for refused in (
        Connect(client_id=A),
        Connect(client_id=A, username=A),
        Connect(client_id=A, username=A, password=b"b"),
        Connect(client_id="a/b", username=A, password=b"a"),
        Connect(client_id=A, username=B, password=b"a"),
    ):
        assert doors.authenticate(refused) in (2, 5)


def test_mosquittos_files() -> None:
    acl = acl_file([("server", Role.SERVER)]).splitlines()
    assert "pattern write ESP32CAM/%u/status" in acl
    assert "pattern read device/%u/commands/retry" in acl
    assert acl.index("user server") < acl.index("topic read ESP32CAM/+/status")
    assert "topic deny ESP32CAM/server/status" in acl
    tls = Tls(ca_file="ca", certificate_file="c", key_file="k", by_certificate=True, revoked_file="crl")
    text = configuration(Listeners(host="::", port=8883, enrolment_port=8884, tls=tls), passwords="p", acl="a")
    assert text.count("use_username_as_clientid true") == text.count("listener ") == 2
    assert text.count("require_certificate true") == text.count("crlfile crl") == 1
    assert text.index("mount_point enrol/") > text.index("listener 8884")
    assert "per_listener_settings" not in text
