"""The server's MQTT client against a scripted broker: order of acks, epochs, redelivery, keep-alive, stop."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from server.mqtt import Delivery, MqttClient, MqttSettings, NotConnected
from server.wire.errors import LocalProtocolError
from server.wire.mqtt_codec import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Subscribe,
)
from tests.support.scripted_broker import ScriptedBroker, message, ready, run, setting, skip


def test_connect_and_subscribe_carry_the_settings() -> None:
    async def body() -> None:
        async with setting(username="u", password="p", clean_session=False) as (broker, client, _):
            peer = await broker.next_peer()
            assert not client.is_connected
            assert await peer.expect(Connect) == Connect(
                client_id="server", clean_session=False, keep_alive_s=30, username="u", password=b"p"
            )
            peer.send(Connack(session_present=True))
            subscribe = await peer.grant()
            assert subscribe.filters == (("a/#", 1), ("b", 0))
            await client.wait_ready()
            assert client.is_ready

    run(body)


def test_pubacks_leave_in_the_order_of_arrival() -> None:
    async def body() -> None:
        async with setting() as (broker, client, inbox):
            peer = await ready(broker, client)
            peer.send(*(message(packet_id) for packet_id in (5, 3, 9)))
            first, second, third = await inbox.wait_count(3)
            third.done()
            second.done()
            second.done()
            client.publish("probe", b"", qos=0)
            assert isinstance(await peer.receive(), Publish), "an ack overtook the first delivery"
            first.done()
            assert [await peer.expect(Puback) for _ in range(3)] == [Puback(5), Puback(3), Puback(9)]
            assert client.stats.acked == 3

    run(body)


def test_what_is_published_before_done_reaches_the_broker_before_the_puback() -> None:
    async def body() -> None:
        async with setting() as (broker, client, inbox):
            peer = await ready(broker, client)
            peer.send(message(1))
            (delivery,) = await inbox.wait_count(1)
            client.publish("device/ack", b"done")
            delivery.done()
            assert (await peer.expect(Publish)).topic == "device/ack"
            await peer.expect(Puback)

    run(body)


def test_qos_0_needs_no_ack_and_blocks_nothing() -> None:
    async def body() -> None:
        async with setting() as (broker, client, inbox):
            peer = await ready(broker, client)
            peer.send(Publish(topic="b", payload=b"0"), message(2))
            _, second = await inbox.wait_count(2)
            second.done()
            assert await peer.expect(Puback) == Puback(2)

    run(body)


def test_done_after_the_loss_acknowledges_nothing_on_the_new_connection() -> None:
    async def body() -> None:
        async with setting() as (broker, client, inbox):
            peer = await ready(broker, client)
            peer.send(message(1), message(2))
            old = list(await inbox.wait_count(2))
            peer.cut()
            peer = await ready(broker, client)
            peer.send(message(1, dup=True, payload=b"other"), message(2, dup=True))
            new = (await inbox.wait_count(4))[2:]
            assert [delivery.dup for delivery in new] == [True, True]
            assert new[0].epoch > old[0].epoch
            for delivery in old:
                delivery.done()
            new[0].done()
            client.publish("probe", b"", qos=0)
            assert await peer.expect(Puback) == Puback(1)
            assert (await peer.expect(Publish)).topic == "probe"
            assert client.stats.done_too_late == 2

    run(body)


def test_abort_drops_the_connection_and_what_was_gathered() -> None:
    async def body() -> None:
        async with setting() as (broker, client, inbox):
            peer = await ready(broker, client)
            peer.send(message(1), message(2))
            delivery, _ = await inbox.wait_count(2)
            delivery.done()
            client.abort("database away")
            assert not client.is_connected
            assert client.in_flight == 0
            assert await peer.receive() is None
            assert await inbox.wait_state("lost") == "lost: database away"
            with pytest.raises(NotConnected):
                client.publish("x", b"")
            await ready(broker, client)
            assert client.stats.reconnects == 1

    run(body)


def test_unacknowledged_publishes_are_sent_again_with_dup_in_order() -> None:
    async def body() -> None:
        async with setting() as (broker, client, inbox):
            peer = await ready(broker, client)
            for index in range(3):
                client.publish(f"p/{index}", b"", retain=index == 2)
            sent = [await peer.expect(Publish) for _ in range(3)]
            peer.send(Puback(sent[0].packet_id or 0))
            peer.send(message(7))
            await inbox.wait_count(1)
            assert client.outgoing == 2
            await peer.close()
            peer = await broker.next_peer()
            await peer.expect(Connect)
            peer.send(Connack())
            again = [await peer.expect(Publish) for _ in range(2)]
            assert [(packet.topic, packet.dup, packet.packet_id, packet.retain) for packet in again] == [
                (packet.topic, True, packet.packet_id, packet.retain) for packet in sent[1:]
            ]
            client.publish("p/new", b"")
            await peer.grant()
            new = await peer.expect(Publish)
            assert not new.dup
            assert new.packet_id not in {packet.packet_id for packet in again}
            peer.send(*(Puback(packet.packet_id or 0) for packet in [*again, new, new]))
            await client.wait_published()
            assert client.stats.publish_acked == 4

    run(body)


def test_a_thousand_in_flight_pause_reading_and_go_on() -> None:
    async def body() -> None:
        async with setting(in_flight_max=1000) as (broker, client, inbox):
            peer = await ready(broker, client)
            payload = bytes(4096)
            for packet_id in range(1, 3001):
                peer.send(message(packet_id, payload=payload))
            await inbox.wait_count(1000)
            assert client.stats.reading_pauses == 1
            seen = len(inbox.deliveries)
            assert seen < 1100, "reading went on above the limit"
            for _ in range(3):
                skip(100.0)  # silence while paused is no dead connection
                await peer.expect(Pingreq)
            assert client.is_connected
            acked = 0
            while acked < 3000:
                for delivery in inbox.deliveries[acked:]:
                    delivery.done()
                    acked += 1
                if acked < 3000:
                    await inbox.wait_count(acked + 1)
            assert [(await peer.expect(Puback)).packet_id for _ in range(3000)] == list(range(1, 3001))
            assert client.stats.losses == 0

    run(body)


def test_pings_keep_the_connection_and_silence_ends_it() -> None:
    async def body() -> None:
        async with setting(keep_alive_s=30) as (broker, client, inbox):
            peer = await ready(broker, client)
            skip(15)
            await peer.expect(Pingreq)
            peer.send(Pingresp(), message(1))
            await inbox.wait_count(1)
            skip(15)
            await peer.expect(Pingreq)
            assert client.is_connected
            skip(15)
            assert await inbox.wait_state("lost") == "lost: no answer to PINGREQ within 15 s"
            await ready(broker, client)

    run(body)


def test_the_wait_between_tries_doubles_up_to_its_limit() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        tried: list[float] = []
        tries = asyncio.Event()

        def on_state(state: str) -> None:
            if state == "connecting":
                tried.append(loop.time())
                if len(tried) == 6:
                    tries.set()

        settings = MqttSettings(
            host="127.0.0.1", port=1, client_id="c", reconnect_min_s=100, reconnect_max_s=600, connect_timeout_s=5
        )
        client = MqttClient(settings, [], lambda delivery: None, on_state=on_state)
        await client.start()
        while not tries.is_set():
            skip(1)
            await asyncio.sleep(0.0001)
        await client.stop()
        waits = [later - earlier for earlier, later in pairwise(tried)]
        assert waits == pytest.approx([100, 200, 400, 600, 600], abs=10)

    run(body)


def test_a_handler_that_fails_loses_no_message() -> None:
    async def body() -> None:
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
        async with ScriptedBroker() as broker:
            got: list[bool] = []

            def on_delivery(delivery: Delivery) -> None:
                got.append(delivery.dup)
                if len(got) == 1:
                    raise ValueError("broken handler")
                delivery.done()

            settings = MqttSettings(host="127.0.0.1", port=broker.port, client_id="c", reconnect_min_s=0.001)
            client = MqttClient(settings, [("a/#", 1)], on_delivery)
            await client.start()
            peer = await ready(broker, client)
            peer.send(message(1))
            assert await peer.receive() is None
            peer = await ready(broker, client)
            peer.send(message(1, dup=True))
            assert await peer.expect(Puback) == Puback(1)
            assert got == [False, True]
            assert isinstance(reported[0]["exception"], ValueError)
            await client.stop()

    run(body)


def test_stop_waits_for_pubacks_then_disconnects() -> None:
    async def body() -> None:
        async with setting() as (broker, client, inbox):
            peer = await ready(broker, client)
            client.publish("p", b"last words")
            stop = asyncio.create_task(client.stop())
            packet = await peer.expect(Publish)
            peer.send(message(1))
            await inbox.wait_count(1)
            assert client.is_connected, "left before its words were acknowledged"
            peer.send(Puback(packet.packet_id or 0))
            assert isinstance(await peer.receive(), Disconnect)
            assert await peer.receive() is None
            await stop
            await client.stop()
            assert inbox.states[-1] == "stopped"
            assert not client.is_connected

    run(body)


def test_stop_before_the_suback_still_hands_over_the_acks() -> None:
    async def body() -> None:
        async with setting() as (broker, client, inbox):
            peer = await broker.next_peer()
            await peer.expect(Connect)
            peer.send(Connack(session_present=True), message(1))
            (await inbox.wait_count(1))[0].done()
            stop = asyncio.create_task(client.stop())
            await peer.expect(Subscribe)
            assert await peer.expect(Puback) == Puback(1)
            assert isinstance(await peer.receive(), Disconnect)
            for _ in range(50):  # turns of the loop, in which a client that closes by itself is done
                await asyncio.sleep(0)
            assert not stop.done(), "closed before the broker had read everything"
            await peer.close()
            await stop

    run(body)


@pytest.mark.parametrize("packets", [(), (Connack(),)])
def test_stop_while_connecting(packets: tuple[Packet, ...]) -> None:
    async def body() -> None:
        async with setting() as (broker, client, _):
            peer = await broker.next_peer()
            await peer.expect(Connect)
            peer.send(*packets)
            await client.stop()

    run(body)


def test_mistakes_of_ours_are_raised_where_they_are_made() -> None:
    settings = MqttSettings(host="127.0.0.1", port=1, client_id="", clean_session=False)
    with pytest.raises(LocalProtocolError):
        MqttClient(settings, [], lambda delivery: None)
    settings = MqttSettings(host="127.0.0.1", port=1, client_id="c")
    for wrong in (("a", 2), ("a#", 1)):
        with pytest.raises(LocalProtocolError):
            MqttClient(settings, [wrong], lambda delivery: None)
    with pytest.raises(NotConnected):
        MqttClient(settings, [], lambda delivery: None).publish("a", b"")
