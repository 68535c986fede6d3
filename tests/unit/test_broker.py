"""The simulated broker by itself, without wires: what goes out for what comes in, at which time."""

from __future__ import annotations

import pytest

from server.wire.mqtt_codec import (
    Connack,
    Disconnect,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Unsuback,
    Unsubscribe,
    Will,
)
from simulator.broker import BrokerLimits, Dropped
from tests.support.broker_world import World


def test_the_qos_of_a_delivery_is_the_lower_of_both() -> None:
    world = World()
    assert world.connect("pub") == [Connack()]
    for name, qos in (("zero", 0), ("one", 1), ("two", 2)):
        world.connect(name)
        assert world.subscribe(name, ("t/+", qos)) == [Suback(packet_id=1, return_codes=(qos,))]
    for qos in (0, 1):
        world.publish("pub", "t/a", qos=qos)
        assert [packet.qos for name in ("zero", "one", "two") for packet in world.got(name)] == [
            0,
            qos,
            qos,
        ]
    assert world.take("pub") == [Puback(100)]


def test_qos_2_both_ways_and_again_after_a_reconnect() -> None:
    world = World()
    world.connect("pub")
    world.connect("sub", clean=False)
    world.subscribe("sub", ("t", 2))
    packet = Publish(topic="t", payload=b"", qos=2, packet_id=9)
    world.send("pub", packet, packet, Pubrel(9), Pubrel(9))
    assert world.take("pub") == [Pubrec(9), Pubrec(9), Pubcomp(9), Pubcomp(9)]
    (sent,) = world.got("sub")
    assert sent.packet_id is not None
    world.send("sub", Pubrec(sent.packet_id))
    assert world.take("sub") == [Pubrel(sent.packet_id)]
    world.cut("sub")
    assert world.connect("sub", clean=False) == [Connack(session_present=True), Pubrel(sent.packet_id)]
    world.send("sub", Pubcomp(sent.packet_id))
    assert world.broker.is_idle


def test_unacknowledged_messages_come_again_in_order_with_dup_and_old_ids_then_the_queue() -> None:
    world = World(limits=BrokerLimits(in_flight_max=2))
    world.connect("pub")
    world.connect("sub", clean=False)
    world.subscribe("sub", ("t/#", 1))
    for index in range(4):
        world.publish("pub", f"t/{index}")
    first = world.got("sub")
    assert [(packet.topic, packet.dup) for packet in first] == [("t/0", False), ("t/1", False)]
    world.cut("sub")
    world.publish("pub", "t/4")
    world.publish("pub", "t/lost", qos=0)
    assert world.connect("sub", clean=False)[0] == Connack(session_present=True)
    world.cut("sub")
    _, *again = world.connect("sub", clean=False)
    assert [(p.topic, p.dup, p.packet_id) for p in again if isinstance(p, Publish)] == [
        ("t/0", True, first[0].packet_id),
        ("t/1", True, first[1].packet_id),
    ]
    world.send("sub", Puback(first[1].packet_id or 0), Puback(first[0].packet_id or 0))
    assert [(packet.topic, packet.dup) for packet in world.got("sub")] == [("t/2", False), ("t/3", False)]
    assert world.events[-1] == Dropped(topic="t/lost", client_id="sub", reason="offline")


def test_takeover_closes_the_old_connection_and_publishes_its_will() -> None:
    world = World()
    world.connect("watch")
    world.subscribe("watch", ("will/#", 1))
    world.connect("cam", clean=False, will=Will(topic="will/cam", payload=b"gone", qos=1))
    world.subscribe("cam", ("cmd", 1))
    old = world.numbers["cam"]
    assert world.connect("cam", clean=False) == [Connack(session_present=True)]
    assert world.closed[old] == "taken over"
    assert [packet.payload for packet in world.got("watch")] == [b"gone"]
    world.apply(world.broker.closed(old, 0))
    world.publish("watch", "cmd")
    assert world.topics("cam") == ["cmd"]


@pytest.mark.parametrize(("ending", "has_will"), [("disconnect", False), ("cut", True), ("garbage", True)])
def test_the_will_follows_every_end_but_a_disconnect(ending: str, has_will: bool) -> None:
    world = World()
    world.connect("watch")
    world.subscribe("watch", ("#", 0))
    world.connect("cam", will=Will(topic="w", payload=b"gone", retain=True))
    if ending == "disconnect":
        world.send("cam", Disconnect())
    elif ending == "cut":
        world.cut("cam")
    else:
        world.send_bytes("cam", b"\xff\x00")
    assert world.topics("watch") == (["w"] if has_will else [])
    world.connect("late")
    assert len(world.subscribe("late", ("w", 0))) == 1 + has_will


def test_keep_alive_is_one_and_a_half_times_and_any_packet_counts() -> None:
    world = World()
    world.connect("watch")
    world.subscribe("watch", ("w", 0))
    world.connect("cam", keep_alive_s=10, will=Will(topic="w", payload=b""))
    world.now_ms = 9_000
    world.send("cam", Pingreq())
    assert world.take("cam") == [Pingresp()]
    while world.broker.deadline_ms is not None and not world.is_closed("cam"):
        world.now_ms = world.broker.deadline_ms
        world.apply(world.broker.tick(world.now_ms))
    assert world.now_ms == 24_000
    assert world.topics("watch") == ["w"]
    assert not world.is_closed("watch")


def test_retained_messages_come_with_the_flag_to_new_subscriptions_only() -> None:
    world = World()
    world.connect("pub")
    world.connect("early")
    world.subscribe("early", ("r/#", 1))
    world.publish("pub", "r/a", b"old", retain=True)
    world.publish("pub", "r/a", b"new", retain=True)
    world.publish("pub", "r/b", b"b", retain=True)
    world.publish("pub", "r/b", b"", retain=True)
    assert [packet.retain for packet in world.got("early")] == [False] * 4
    world.connect("late")
    suback, kept = world.subscribe("late", ("r/+", 0))
    assert isinstance(suback, Suback)
    assert kept == Publish(topic="r/a", payload=b"new", retain=True)
    assert len(world.subscribe("late", ("$share/g/r/+", 1))) == 1


def test_a_share_group_takes_turns_and_passes_over_who_is_away() -> None:
    world = World()
    world.connect("pub")
    for name in ("a", "b", "c"):
        world.connect(name, clean=False)
        world.subscribe(name, ("$share/g/t/+", 1))
    world.connect("plain")
    world.subscribe("plain", ("t/#", 1))
    for index in range(6):
        world.publish("pub", f"t/{index}")
    assert [world.topics(name) for name in ("a", "b", "c")] == [["t/0", "t/3"], ["t/1", "t/4"], ["t/2", "t/5"]]
    assert len(world.got("plain")) == 6
    world.cut("b")
    for index in range(4):
        world.publish("pub", f"t/{index}")
    assert [world.topics(name) for name in ("a", "c")] == [["t/0", "t/2"], ["t/1", "t/3"]]
    for name in ("a", "c"):
        world.cut(name)
    world.publish("pub", "t/waits")
    assert world.broker.session("a") is not None
    back = [packet for packet in world.connect("a", clean=False) if isinstance(packet, Publish)]
    assert back[-1].topic == "t/waits"


def test_what_a_dead_member_of_a_share_group_held_goes_to_another() -> None:
    world = World()
    world.connect("pub")
    for name in ("a", "b"):
        world.connect(name, clean=True)
        world.subscribe(name, ("$share/g/t", 1))
    world.publish("pub", "t", b"0")
    assert len(world.got("a")) == 1
    world.cut("a")
    assert [packet.payload for packet in world.got("b")] == [b"0"]


def test_two_filters_that_match_deliver_once_with_the_higher_qos() -> None:
    world = World()
    world.connect("pub")
    world.connect("sub")
    world.subscribe("sub", ("t/#", 0), ("t/a", 1), ("+/a", 0))
    world.publish("pub", "t/a")
    assert [packet.qos for packet in world.got("sub")] == [1]
    world.send("sub", Unsubscribe(packet_id=4, filters=("t/#", "t/a", "+/a", "never")))
    assert world.take("sub") == [Unsuback(4)]
    world.publish("pub", "t/a")
    assert world.got("sub") == []


def test_a_new_clean_session_forgets_the_old_one() -> None:
    world = World()
    world.connect("pub")
    world.connect("sub", clean=False)
    world.subscribe("sub", ("t", 1))
    world.cut("sub")
    world.publish("pub", "t")
    assert world.connect("sub", clean=True) == [Connack()]
    world.publish("pub", "t")
    assert world.got("sub") == []
