"""Shared subscriptions (`$share/group/filter`): where brokers differ most, each on its own broker."""

from __future__ import annotations

import pytest

from simulator.broker import BrokerLimits
from tests.support.conformance import BrokerUnderTest, bare_client, numbers, sub_and_pub
from tests.support.scripted_broker import run


def test_a_share_group_gets_each_message_once(own_broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with own_broker.running() as at, sub_and_pub(at) as (a, pub), bare_client(at, at.name("b")) as b:
            for member in (a, b):
                await member.subscribe((f"$share/{at.prefix}/{at.topic('+')}", 1), (at.name("end"), 1))
            await pub.publish(at.topic("t"), b"", count=20)
            await pub.publish(at.name("end"))
            got = [numbers(await member.messages_until(at.name("end"))) for member in (a, b)]
            assert sorted(got[0] + got[1]) == list(range(20))
            assert abs(len(got[0]) - len(got[1])) <= 2

    run(body)


@pytest.mark.parametrize("shares_with_absent", [False, True])
def test_a_share_group_with_a_dead_member(own_broker: BrokerUnderTest, shares_with_absent: bool) -> None:
    """mosquitto keeps half for the dead one's session; iotcore passes over it. The simulated broker can do both."""

    async def body() -> None:
        if own_broker.kind != "simulated" and shares_with_absent != (own_broker.kind == "mosquitto"):
            pytest.skip("this broker cannot be told to")
        limits = BrokerLimits(shares_with_absent=shares_with_absent)
        async with own_broker.running(limits=limits) as at, sub_and_pub(at) as (b, pub):
            share, end = f"$share/{at.prefix}/{at.topic('+')}", at.name("end")
            async with bare_client(at, at.name("a"), clean=False) as a:
                await a.subscribe((share, 1), (end, 1))
                await b.subscribe((share, 1), (end, 1))
                await a.close()
                assert await a.receive() is None
            await pub.publish(at.topic("t"), b"", count=10)
            await pub.publish(end)
            living = numbers(await b.messages_until(end))
            async with bare_client(at, at.name("a"), clean=False) as a:
                waited = numbers(await a.messages_until(end))
            assert sorted(living + waited) == list(range(10))
            assert len(waited) == (5 if shares_with_absent else 0)

    run(body)


def test_what_a_member_held_comes_again_when_it_is_back(own_broker: BrokerUnderTest) -> None:
    """iotcore dies instead: rumqttd 0.20 panics ("group must exists") when the last member of a group goes.

    A share group on iotcore is no configuration to rely on. If this test fails there, upstream has mended it.
    """

    async def body() -> None:
        async with own_broker.running() as at, bare_client(at, at.name("pub")) as pub:
            share, end = f"$share/{at.prefix}/{at.topic('+')}", at.name("end")
            async with bare_client(at, at.name("a"), clean=False) as a:
                await a.subscribe((share, 1), (end, 1))
                await pub.publish(at.topic("t"), b"", count=5)
                assert numbers(await a.messages(5)) == list(range(5))
                a.cut()
            if at.kind == "iotcore":
                assert await pub.receive() is None
                return
            await pub.publish(end)
            async with bare_client(at, at.name("a"), clean=False) as a:
                await a.subscribe((share, 1))
                assert numbers(await a.messages_until(end)) == list(range(5))

    run(body)
