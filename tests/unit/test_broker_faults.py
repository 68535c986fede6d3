"""The simulated broker when something goes wrong: faults, full queues, access rules, clients that break the rules."""

from __future__ import annotations

import pytest

from server.wire.mqtt_codec import (
    Connack,
    Connect,
    Decoder,
    Pingreq,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Will,
    encode,
)
from simulator.broker import Broker, BrokerLimits, CloseConnection, Dropped, Effect, Routed
from tests.support.broker_world import World


def test_redelivery_without_dup_is_a_fault_that_can_be_had() -> None:
    world = World(redelivers_with_dup=False)
    world.connect("pub")
    world.connect("sub", clean=False)
    world.subscribe("sub", ("t", 1))
    world.publish("pub", "t")
    for dup in (False, True):
        world.take("sub")
        world.apply(world.broker.redeliver("sub", dup=dup))
        assert [packet.dup for packet in world.got("sub")] == [dup]
    world.cut("sub")
    assert [packet.dup for packet in world.connect("sub", clean=False) if isinstance(packet, Publish)] == [False]


def test_a_full_queue_drops_and_still_acknowledges_the_publisher() -> None:
    world = World(limits=BrokerLimits(queue_max=2))
    world.connect("pub")
    world.connect("sub", clean=False)
    world.subscribe("sub", ("t/#", 1))
    world.cut("sub")
    for index in range(3):
        world.publish("pub", f"t/{index}")
    assert world.take("pub") == [Puback(100)] * 3
    assert world.events[-1] == Dropped(topic="t/2", client_id="sub", reason="queue full")
    world.connect("sub", clean=False)
    assert sum(isinstance(event, Routed) for event in world.events) == 3


def test_a_connection_without_connect_is_closed() -> None:
    broker = Broker()
    broker.opened(1, 0)
    assert broker.deadline_ms == 60_000
    assert broker.tick(59_999) == []
    assert broker.tick(60_000) == [CloseConnection(1, "no CONNECT")]
    assert broker.deadline_ms is None


def test_access_rules_decide_for_each_way() -> None:
    def access(client_id: str, action: str, topic: str) -> bool:
        return (client_id, action, topic) not in {
            ("cam", "publish", "other/cmd"),
            ("cam", "subscribe", "#"),
            ("cam", "receive", "secret"),
        }

    world = World(access=access, authenticate=lambda packet: 0 if packet.username != "thief" else 5)
    assert world.connect("thief", username="thief") == [Connack(return_code=5)]
    assert world.is_closed("thief")
    world.connect("cam")
    assert world.subscribe("cam", ("#", 1), ("+", 1)) == [Suback(packet_id=1, return_codes=(0x80, 1))]
    world.publish("cam", "other/cmd")
    assert world.take("cam") == [Puback(100)]
    assert world.events == [Dropped(topic="other/cmd", client_id="cam", reason="not allowed to publish")]
    world.publish("cam", "secret")
    assert world.got("cam") == []


def test_freeze_keeps_everything_for_the_thaw() -> None:
    world = World()
    world.connect("pub", keep_alive_s=1)
    world.connect("sub", clean=False)
    world.subscribe("sub", ("t/#", 1))
    world.broker.freeze()
    world.broker.freeze()
    world.publish("pub", "t/1")
    world.publish("pub", "t/2")
    world.cut("sub")
    assert world.connect("sub", clean=False) == []
    assert world.broker.deadline_ms is None
    world.now_ms = 99_000
    world.apply(world.broker.tick(world.now_ms))
    world.apply(world.broker.thaw(world.now_ms))
    assert world.take("pub") == [Puback(100), Puback(100)]
    assert world.topics("sub") == ["t/1", "t/2"]
    assert not world.is_closed("pub")


def test_lost_sessions_are_lost_without_a_will() -> None:
    world = World()
    world.connect("watch")
    world.subscribe("watch", ("#", 1))
    world.connect("sub", clean=False, will=Will(topic="w", payload=b""))
    world.subscribe("sub", ("t", 1))
    world.publish("watch", "t", retain=True)
    world.take("watch")
    world.apply(world.broker.lose_sessions("sub"))
    assert world.closed[world.numbers["sub"]] == "session lost"
    assert world.got("watch") == []
    assert world.connect("sub", clean=False) == [Connack(session_present=False)]
    world.apply(world.broker.lose_sessions())
    assert world.is_closed("watch")
    world.connect("late")
    assert len(world.subscribe("late", ("t", 1))) == 1, "a retained message survived"


def test_disconnect_all_is_a_restart_with_persistence() -> None:
    world = World()
    world.connect("pub")
    world.connect("sub", clean=False)
    world.subscribe("sub", ("t", 1))
    world.publish("pub", "t")
    world.apply(world.broker.disconnect_all("restart"))
    assert world.is_closed("pub")
    assert len(world.connect("sub", clean=False)) == 2
    assert world.broker.client_ids == ["sub"]


@pytest.mark.parametrize(
    "data",
    [
        encode(Connect(client_id="cam")),
        encode(Suback(packet_id=1, return_codes=(0,))),
        encode(Connack()),
        b"\x00\x00",
    ],
)
def test_a_client_that_breaks_the_protocol_is_closed_alone(data: bytes) -> None:
    world = World()
    world.connect("good")
    world.connect("cam")
    world.send_bytes("cam", data + encode(Publish(topic="t", payload=b"")))
    assert world.is_closed("cam")
    assert not world.is_closed("good")
    assert world.events == []


def test_other_versions_and_empty_ids_are_answered_as_the_standard_says() -> None:
    world = World()
    world.connect("x")
    for data, answer in (
        (b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00", Connack(return_code=1)),
        (b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x00\x00\x00", Connack(return_code=2)),
        (encode(Pingreq()), None),
    ):
        world.next_number += 1
        number = world.numbers["raw"] = world.next_number
        world.inbox[number], world.decoders[number] = [], Decoder()
        world.apply(world.broker.opened(number, 0))
        world.send_bytes("raw", data)
        assert world.take("raw") == ([answer] if answer is not None else [])
        assert world.is_closed("raw")
    assert world.connect("") == [Connack()]
    assert world.broker.client_ids == ["x", "auto-1"]


def test_what_happens_depends_on_nothing_but_what_came() -> None:
    def story() -> list[Effect]:
        broker = Broker(limits=BrokerLimits(in_flight_max=3))
        effects: list[Effect] = []
        for number in range(1, 6):
            effects += broker.opened(number, number)
            hello = encode(Connect(client_id=f"c{number}", keep_alive_s=number)) + encode(
                Subscribe(packet_id=1, filters=(("$share/g/#", 1), (f"t/{number % 2}/#", 1)))
            )
            effects += broker.received(number, hello, number)
        for index in range(40):
            packet = Publish(topic=f"t/{index % 3}/x", payload=b"", qos=1, packet_id=index + 1)
            effects += broker.received(index % 5 + 1, encode(packet), 100 + index)
        return effects + broker.closed(2, 200) + broker.tick(3_000)

    assert story() == story()


def test_a_limit_of_queues_strikes_sessions_that_are_there_and_new_ones_until_it_is_taken_back() -> None:
    world = World()
    world.connect("pub")
    for name in ("old", "new"):
        if name == "new":
            world.broker.limit_queues(1)
        world.connect(name, clean=False)
        world.subscribe(name, ("t/#", 1))
        world.cut(name)
    world.publish("pub", "t/0")
    world.publish("pub", "t/1")
    dropped = [event.client_id for event in world.events if isinstance(event, Dropped)]
    assert dropped == ["old", "new"]
    world.broker.limit_queues(None)
    world.publish("pub", "t/2")
    assert len([event for event in world.events if isinstance(event, Dropped)]) == 2
