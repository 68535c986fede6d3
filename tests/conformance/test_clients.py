"""Every client against every broker: the same stories, so that ours is wrong where paho and gmqtt are not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.conformance import BrokerUnderTest, bare_client, numbers, sub_and_pub
from tests.support.consumers import CONSUMERS, Consumer
from tests.support.scripted_broker import run

every_client = pytest.mark.parametrize("client", CONSUMERS)


@asynccontextmanager
async def connected(client: str, at: BrokerUnderTest, client_id: str, topic_filter: str) -> AsyncIterator[Consumer]:
    consumer = CONSUMERS[client]()
    await consumer.connect(at, at.name(client_id), at.topic(topic_filter))
    try:
        yield consumer
    finally:
        await consumer.disconnect()


@every_client
def test_everything_arrives_once_and_in_order(broker: BrokerUnderTest, client: str) -> None:
    async def body() -> None:
        async with broker.running() as at, sub_and_pub(at) as (_, pub), connected(client, at, "c", "+") as consumer:
            await pub.publish(at.topic("t"), b"", count=300)
            assert [int(payload) for payload in await consumer.arrivals.payloads(300)] == list(range(300))

    run(body)


@pytest.mark.parametrize("client", ["ours", "raw", "paho"])
def test_what_was_acknowledged_never_comes_again(broker: BrokerUnderTest, client: str) -> None:
    """Not gmqtt: it acknowledges from a task of its own, so leaving right after the handler loses the PUBACKs."""

    async def body() -> None:
        async with broker.running() as at, sub_and_pub(at) as (_, pub):
            async with connected(client, at, "c", "+") as consumer:
                await pub.publish(at.topic("t"), b"a", count=20)
                await consumer.arrivals.payloads(20)
            await pub.publish(at.topic("t"), b"offline")
            async with connected(client, at, "c", "+") as consumer:
                await pub.publish(at.topic("t"), b"online")
                assert await consumer.arrivals.payloads(2) == [b"offline", b"online"]

    run(body)


@every_client
def test_a_client_publishes(broker: BrokerUnderTest, client: str) -> None:
    async def body() -> None:
        async with broker.running() as at, sub_and_pub(at) as (sub, _), connected(client, at, "c", "cmd") as consumer:
            await sub.subscribe((at.topic("t"), 1))
            for number in range(30):
                await consumer.publish(at.topic("t"), str(number).encode())
            assert numbers(await sub.messages(30)) == list(range(30))

    run(body)


@every_client
def test_a_big_payload(broker: BrokerUnderTest, client: str) -> None:
    async def body() -> None:
        async with broker.running() as at, connected(client, at, "c", "t") as consumer:
            payload = bytes(range(256)) * 8_000
            await consumer.publish(at.topic("t"), payload)
            assert await consumer.arrivals.payloads(1) == [payload]

    run(body)


@every_client
def test_retained_and_live(broker: BrokerUnderTest, client: str) -> None:
    async def body() -> None:
        async with broker.running() as at, sub_and_pub(at) as (_, pub):
            await pub.publish(at.topic("t"), b"kept", retain=True)
            async with connected(client, at, "c", "t") as consumer:
                await consumer.arrivals.payloads(1)
                await pub.publish(at.topic("t"), b"live")
                assert await consumer.arrivals.payloads(2) == [b"kept", b"live"]

    run(body)


@pytest.mark.parametrize("client", ["raw", "paho"])
def test_a_link_that_is_taken_over_says_so(broker: BrokerUnderTest, client: str) -> None:
    async def body() -> None:
        async with (
            broker.running() as at,
            connected(client, at, "c", "t") as consumer,
            bare_client(at, at.name("c"), clean=False),
        ):
            await consumer.arrivals.wait(lambda: len(consumer.arrivals.lost) == 1)

    run(body)
