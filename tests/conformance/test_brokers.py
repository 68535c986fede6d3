"""What a broker does, packet by packet: the simulated one must be indistinguishable from mosquitto.

iotcore (rumqttd 0.20) departs from the standard in places; each is said where it is asserted.
"""

from __future__ import annotations

import pytest

from server.wire.mqtt_codec import (
    Disconnect,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Unsuback,
    Unsubscribe,
    Will,
)
from tests.support.conformance import BareClient, BrokerUnderTest, bare_client, numbers, sub_and_pub
from tests.support.scripted_broker import run


async def round_trip(*clients: BareClient) -> None:
    """A round trip on each, so that what was sent before is done."""
    for client in clients:
        client.send(Pingreq())
        assert isinstance(await client.receive(), Pingresp)


def test_qos_1_arrives_once_in_order_and_is_acknowledged(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with broker.running() as at, sub_and_pub(at) as (sub, pub):
            assert (await sub.subscribe((at.topic("+"), 1))).return_codes == (1,)
            for start in (0, 50, 100, 150):
                for number in range(start, start + 50):
                    pub.send(Publish(topic=at.topic("t"), payload=str(number).encode(), qos=1, packet_id=number + 1))
                assert [(await pub.expect(Puback)).packet_id for _ in range(50)] == [*range(start + 1, start + 51)]
                got = await sub.messages(50)
                assert numbers(got) == list(range(start, start + 50))
                assert {(m.qos, m.dup, m.retain) for m in got} == {(1, False, False)}
                assert len({m.packet_id for m in got}) == 50
                sub.ack(*got)

    run(body)


def test_the_lower_qos_of_both_counts(broker: BrokerUnderTest) -> None:
    """iotcore delivers with the QoS of the subscription, also what was published with QoS 0."""

    async def body() -> None:
        async with broker.running() as at, sub_and_pub(at) as (sub, pub):
            await sub.subscribe((at.topic("zero"), 0), (at.topic("one"), 1))
            for topic in ("zero", "one"):
                pub.send(Publish(topic=at.topic(topic), payload=b""))
                await pub.publish(at.topic(topic))
            got = [(m.topic.rpartition("/")[2], m.qos) for m in await sub.messages(4)]
            zero_as = 1 if at.kind == "iotcore" else 0
            assert sorted(got) == [("one", zero_as), ("one", 1), ("zero", 0), ("zero", 0)]

    run(body)


def test_a_cut_with_a_batch_open_delivers_the_open_ones_again(broker: BrokerUnderTest) -> None:
    """iotcore delivers again in order, but without DUP and with ids from 1: an id means nothing after a cut."""

    async def body() -> None:
        async with broker.running() as at, bare_client(at, at.name("pub")) as pub:
            async with bare_client(at, at.name("sub"), clean=False) as sub:
                await sub.subscribe((at.topic("t"), 1))
                await pub.publish(at.topic("t"), b"", count=6)
                first = await sub.messages(6)
                sub.ack(*first[:2])
                await round_trip(sub)
                sub.cut()
            await pub.publish(at.topic("t"), b"6")
            async with bare_client(at, at.name("sub"), clean=False) as sub:
                assert sub.session_present
                again = await sub.messages(5)
                assert numbers(again) == [2, 3, 4, 5, 6]
                if at.kind == "iotcore":
                    assert [(m.dup, m.packet_id) for m in again] == [(False, number) for number in range(1, 6)]
                else:
                    assert [m.dup for m in again] == [True, True, True, True, False]
                    assert [m.packet_id for m in again[:4]] == [m.packet_id for m in first[2:]]
                sub.ack(*again)
                await round_trip(sub)
                await sub.close()
            async with bare_client(at, at.name("sub"), clean=False) as sub:
                await pub.publish(at.topic("t"), b"7")
                assert numbers(await sub.messages(1)) == [7]

    run(body)


def test_an_ack_out_of_order(broker: BrokerUnderTest) -> None:
    """iotcore takes any PUBACK for the oldest message, closes, and never delivers that one again: it is lost.

    This is why the server's client acknowledges strictly in the order of arrival.
    """

    async def body() -> None:
        async with broker.running() as at, bare_client(at, at.name("pub")) as pub:
            async with bare_client(at, at.name("sub"), clean=False) as sub:
                await sub.subscribe((at.topic("t"), 1))
                await pub.publish(at.topic("t"), b"", count=3)
                sub.ack((await sub.messages(3))[2])
                if at.kind == "iotcore":
                    assert await sub.receive() is None
                else:
                    await round_trip(sub)
                sub.cut()
            async with bare_client(at, at.name("sub"), clean=False) as sub:
                await pub.publish(at.topic("t"), b"9")
                expected = [1, 2, 9] if at.kind == "iotcore" else [0, 1, 9]
                assert numbers(await sub.messages(3)) == expected

    run(body)


def test_takeover_ends_the_old_connection_and_keeps_the_session(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with (
            broker.running() as at,
            bare_client(at, at.name("pub")) as pub,
            bare_client(at, at.name("sub"), clean=False) as old,
        ):
            await old.subscribe((at.topic("t"), 1))
            async with bare_client(at, at.name("sub"), clean=False) as new:
                assert new.session_present
                assert await old.receive() is None
                await pub.publish(at.topic("t"), b"1")
                assert numbers(await new.messages(1)) == [1]

    run(body)


@pytest.mark.parametrize("ending", ["disconnect", "cut"])
def test_an_offline_session_gets_everything_in_order(broker: BrokerUnderTest, ending: str) -> None:
    async def body() -> None:
        async with broker.running() as at, bare_client(at, at.name("pub")) as pub:
            async with bare_client(at, at.name("sub"), clean=False) as sub:
                assert not sub.session_present
                await sub.subscribe((at.topic("t"), 1))
                if ending == "cut":
                    sub.cut()
                else:
                    sub.send(Disconnect())
                    assert await sub.receive() is None
            await pub.publish(at.topic("t"), b"", count=100)
            async with bare_client(at, at.name("sub"), clean=False) as sub:
                got = await sub.messages(100)
                assert numbers(got) == list(range(100))
                assert not any(m.dup for m in got)

    run(body)


def test_a_clean_session_is_gone_with_its_connection(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with broker.running() as at, bare_client(at, at.name("pub")) as pub:
            async with bare_client(at, at.name("sub"), clean=True) as sub:
                await sub.subscribe((at.topic("t"), 1))
                await sub.close()
            await pub.publish(at.topic("t"), b"1")
            async with bare_client(at, at.name("sub"), clean=False) as sub:
                assert not sub.session_present
                await sub.subscribe((at.topic("end"), 1))
                await pub.publish(at.topic("end"))
                assert await sub.messages_until(at.topic("end")) == []

    run(body)


def test_retained_messages(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with (
            broker.running() as at,
            bare_client(at, at.name("pub")) as pub,
            bare_client(at, at.name("sub")) as sub,
        ):
            await pub.publish(at.topic("r/a"), b"1", retain=True)
            await pub.publish(at.topic("r/a"), b"2", retain=True)
            await pub.publish(at.topic("r/b"), b"3", retain=True)
            await pub.publish(at.topic("r/b"), b"", retain=True)
            await sub.subscribe((at.topic("r/+"), 1))
            (kept,) = await sub.messages(1)
            assert (kept.payload, kept.retain, kept.topic) == (b"2", True, at.topic("r/a"))
            await pub.publish(at.topic("r/a"), b"4", retain=True)
            (live,) = await sub.messages(1)
            assert (live.payload, live.retain) == (b"4", False)

    run(body)


@pytest.mark.parametrize("ending", ["disconnect", "cut", "garbage"])
def test_the_will(broker: BrokerUnderTest, ending: str) -> None:
    async def body() -> None:
        will = Will(topic=broker.topic("will"), payload=b"gone", qos=1)
        async with (
            broker.running() as at,
            bare_client(at, at.name("watch")) as watch,
            bare_client(at, at.name("pub")) as pub,
        ):
            await watch.subscribe((at.topic("+"), 1))
            async with bare_client(at, at.name("cam"), will=will) as cam:
                if ending == "cut":
                    cam.cut()
                elif ending == "garbage":
                    cam.send_bytes(b"\xf0\x00\xff\xff\xff")
                    assert await cam.receive() is None
                else:
                    cam.send(Disconnect())
                    assert await cam.receive() is None
            if ending != "disconnect":
                assert [m.payload for m in await watch.messages(1)] == [b"gone"]
            await pub.publish(at.topic("end"))
            assert await watch.messages_until(at.topic("end")) == []

    run(body)


def test_big_payloads(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with (
            broker.running() as at,
            bare_client(at, at.name("sub")) as sub,
            bare_client(at, at.name("pub")) as pub,
        ):
            await sub.subscribe((at.topic("t"), 1))
            payload = bytes(range(256)) * 20_000
            await pub.publish(at.topic("t"), payload)
            assert (await sub.messages(1))[0].payload == payload

    run(body)


def test_hundreds_stay_in_flight(broker: BrokerUnderTest) -> None:
    """iotcore sends 100 and then waits for acknowledgements, whatever `max_inflight_count` says."""

    async def body() -> None:
        async with broker.running() as at, sub_and_pub(at) as (sub, pub):
            window = 100 if at.kind == "iotcore" else 500
            await sub.subscribe((at.topic("t"), 1))
            await pub.publish(at.topic("t"), b"", count=window + 1)
            got = await sub.messages(window)
            assert len({m.packet_id for m in got}) == window
            sub.ack(*got)
            assert numbers(await sub.messages(1)) == [window]

    run(body)


def test_overlapping_filters(broker: BrokerUnderTest) -> None:
    """iotcore delivers once for each filter, which the standard allows (3.3.5); the others once."""

    async def body() -> None:
        async with broker.running() as at, sub_and_pub(at) as (sub, pub):
            await sub.subscribe((at.topic("t"), 1), (at.topic("+"), 1))
            await pub.publish(at.topic("t"), b"1")
            assert len(await sub.messages(2 if at.kind == "iotcore" else 1))
            await pub.publish(at.topic("end"))
            assert await sub.messages_until(at.topic("end")) == []

    run(body)


def test_unsubscribe(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with (
            broker.running() as at,
            bare_client(at, at.name("sub")) as sub,
            bare_client(at, at.name("pub")) as pub,
        ):
            await sub.subscribe((at.topic("t"), 1), (at.topic("end"), 1))
            sub.send(Unsubscribe(packet_id=7, filters=(at.topic("t"),)))
            assert await sub.expect(Unsuback) == Unsuback(7)
            await pub.publish(at.topic("t"))
            await pub.publish(at.topic("end"))
            assert await sub.messages_until(at.topic("end")) == []

    run(body)


def test_qos_2_is_delivered_once(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with (
            broker.running() as at,
            bare_client(at, at.name("sub")) as sub,
            bare_client(at, at.name("pub")) as pub,
        ):
            await sub.subscribe((at.topic("t"), 2))
            packet = Publish(topic=at.topic("t"), payload=b"1", qos=2, packet_id=9)
            pub.send(packet)
            assert await pub.expect(Pubrec) == Pubrec(9)
            pub.send(Pubrel(9))
            assert await pub.expect(Pubcomp) == Pubcomp(9)
            (got,) = await sub.messages(1)
            assert got.qos == 2
            sub.send(Pubrec(got.packet_id or 0))
            assert await sub.expect(Pubrel) == Pubrel(got.packet_id or 0)
            sub.send(Pubcomp(got.packet_id or 0))
            await round_trip(sub)

    run(body)


def test_a_repeated_publish_is_routed_again(broker: BrokerUnderTest) -> None:
    """QoS 1 is at least once: no broker drops on DUP. iotcore hands the publisher's DUP on, against 3.3.1.1."""

    async def body() -> None:
        async with broker.running() as at, sub_and_pub(at) as (sub, pub):
            await sub.subscribe((at.topic("t"), 1))
            for dup in (False, True):
                pub.send(Publish(topic=at.topic("t"), payload=b"1", qos=1, dup=dup, packet_id=5))
                assert await pub.expect(Puback) == Puback(5)
            got = await sub.messages(2)
            assert [m.dup for m in got] == [False, at.kind == "iotcore"]

    run(body)


def test_malformed_bytes_end_the_connection_only(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with broker.running() as at, bare_client(at, at.name("sub")) as sub:
            await sub.subscribe((at.topic("t"), 1))
            async with bare_client(at, at.name("bad")) as bad:
                bad.send_bytes(b"\x32\x03\x00\x01a")
                assert await bad.receive() is None
            async with bare_client(at, at.name("good")) as good:
                await good.publish(at.topic("t"), b"1")
            assert numbers(await sub.messages(1)) == [1]

    run(body)
