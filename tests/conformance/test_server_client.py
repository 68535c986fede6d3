"""The server's client against every broker: nothing lost, nothing acknowledged before `done()`, whatever is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from server.mqtt import MqttClient, MqttSettings
from simulator.broker import Broker
from tests.support.conformance import BrokerUnderTest, bare_client, sub_and_pub
from tests.support.scripted_broker import Inbox, run


@asynccontextmanager
async def server(at: BrokerUnderTest, *filters: str, **changes: Any) -> AsyncIterator[tuple[MqttClient, Inbox]]:
    inbox = Inbox()
    options: dict[str, Any] = {"reconnect_min_s": 0.01, **changes}
    settings = MqttSettings(host=at.host, port=at.port, client_id=at.name("server"), **options)
    wanted = [(topic_filter, 1) for topic_filter in filters or (at.topic("+"),)]
    client = MqttClient(settings, wanted, inbox.on_delivery, on_state=inbox.on_state)
    await client.start()
    await client.wait_ready()
    try:
        yield client, inbox
    finally:
        await client.stop()


def payloads(inbox: Inbox, start: int = 0) -> list[int]:
    return [int(delivery.payload) for delivery in inbox.deliveries[start:]]


def test_a_failing_batch_is_delivered_again_after_abort(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with broker.running() as at, sub_and_pub(at) as (_, pub), server(at) as (client, inbox):
            await pub.publish(at.topic("t"), b"", count=20)
            for delivery in (await inbox.wait_count(20))[:5]:
                delivery.done()
            client.publish(at.topic("other"), b"20")
            await client.wait_published()
            await inbox.wait_count(21)
            client.abort("database away")
            again = (await inbox.wait_count(37))[21:]
            assert payloads(inbox, 21) == list(range(5, 21))
            assert [delivery.dup for delivery in again] == [at.kind != "iotcore"] * 16
            assert {delivery.epoch for delivery in again} == {2}
            for delivery in again:
                delivery.done()

    run(body)


def test_done_out_of_order_loses_nothing_on_any_broker(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with broker.running() as at, sub_and_pub(at) as (_, pub), server(at) as (client, inbox):
            await pub.publish(at.topic("t"), b"", count=50)
            for delivery in reversed(await inbox.wait_count(50)):
                delivery.done()
            await pub.publish(at.topic("t"), b"50")
            (await inbox.wait_count(51))[50].done()
            await pub.publish(at.topic("t"), b"51")
            await inbox.wait_count(52)
            client.abort("cut")
            await inbox.wait_count(53)
            assert payloads(inbox) == [*range(52), 51]

    run(body)


def test_cuts_with_batches_open_are_at_least_once(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with broker.running() as at, sub_and_pub(at) as (_, pub):
            async with server(at) as (client, inbox):
                for _ in range(4):
                    inbox.deliveries.clear()
                    await pub.publish(at.topic("t"), b"", count=60)
                    for delivery in (await inbox.wait_count(60))[:20]:
                        delivery.done()
                    client.abort("cut")  # the 20 acknowledgements may or may not have left
                    await inbox.wait(lambda: payloads(inbox)[60:][-1:] == [59])
                    assert payloads(inbox, 60) in (list(range(60)), list(range(20, 60)))
                    for delivery in inbox.deliveries[60:]:
                        delivery.done()
            async with server(at) as (_, inbox):
                await pub.publish(at.topic("t"), b"99")
                (await inbox.wait_count(1))[0].done()
                assert payloads(inbox) == [99]

    run(body)


def test_takeover_by_another_server_hands_over_what_is_open(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with (
            broker.running() as at,
            sub_and_pub(at) as (_, pub),
            server(at, reconnect_min_s=60) as (_first, first_inbox),
        ):
            await pub.publish(at.topic("t"), b"", count=3)
            old = list(await first_inbox.wait_count(3))
            async with server(at) as (second, inbox):
                assert (await first_inbox.wait_state("lost")).startswith("lost")
                for delivery in old:
                    delivery.done()
                for delivery in await inbox.wait_count(3):
                    delivery.done()
                assert payloads(inbox) == [0, 1, 2]
                assert second.stats.acked == 3

    run(body)


def test_our_publish_is_repeated_after_a_cut(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with broker.running() as at, sub_and_pub(at) as (sub, _), server(at, at.topic("x")) as (client, _inbox):
            await sub.subscribe((at.topic("out"), 1))
            client.publish(at.topic("out"), b"1")
            client.abort("before it left")
            await client.wait_ready()
            await client.wait_published()
            client.publish(at.topic("out"), b"2")
            got = await sub.messages(2)
            assert [message.payload for message in got] == [b"1", b"2"]
            assert client.stats.published_again == 1

    run(body)


def test_back_pressure_holds_the_broker_back(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with (
            broker.running() as at,
            sub_and_pub(at) as (_, pub),
            server(at, in_flight_max=20) as (_mqtt, inbox),
        ):
            total = 400
            publishing = asyncio.create_task(pub.publish(at.topic("t"), b"", count=total))
            acked = 0
            while acked < total:
                await inbox.wait_count(acked + 1)
                for delivery in inbox.deliveries[acked:]:
                    delivery.done()
                    acked += 1
            await publishing
            assert payloads(inbox) == list(range(total))

    run(body)


def test_redelivery_without_dup_on_the_same_connection() -> None:
    """Only the simulated broker can be made to do this; each copy needs its own PUBACK."""

    async def body() -> None:
        own = BrokerUnderTest("simulated", prefix="r")
        async with own.running() as at, sub_and_pub(at) as (_, pub), server(at) as (_mqtt, inbox):
            assert at.simulated is not None
            broker: Broker = at.simulated.broker
            await pub.publish(at.topic("t"), b"", count=3)
            await inbox.wait_count(3)
            for dup in (False, True):
                at.simulated.apply(broker.redeliver(at.name("server"), dup=dup))
            got = await inbox.wait_count(9)
            assert [delivery.dup for delivery in got] == [False] * 6 + [True] * 3
            for delivery in got:
                delivery.done()
            await pub.publish(at.topic("t"), b"3")
            (await inbox.wait_count(10))[9].done()
            assert payloads(inbox, 9) == [3]

    run(body)


def test_lost_sessions_and_a_frozen_broker_are_survived() -> None:
    async def body() -> None:
        async with BrokerUnderTest("simulated", prefix="l").running() as at:
            async with server(at) as (client, inbox):
                assert at.simulated is not None
                at.simulated.apply(at.simulated.broker.lose_sessions(at.name("server")))
                await inbox.wait_state("lost")
                await client.wait_ready()
                at.simulated.freeze()
                client.publish(at.topic("t"), b"1")
                at.simulated.thaw()
                (await inbox.wait_count(1))[0].done()
                await client.wait_published()
            async with bare_client(at, at.name("server"), clean=False) as after:
                assert after.session_present

    run(body)
