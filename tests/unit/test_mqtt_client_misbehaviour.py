"""Whatever a broker does wrong costs the server's client a connection, never a message and never its life."""

from __future__ import annotations

import pytest

from server.wire.mqtt_codec import (
    Connack,
    Connect,
    Publish,
    Pubrel,
    Suback,
    Subscribe,
    encode,
)
from tests.support.scripted_broker import message, ready, run, setting, skip


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (encode(Connack(return_code=5)), "refused: CONNECT: not authorised (return code 5)"),
        (encode(Connack(return_code=2)), "refused: CONNECT: client id rejected (return code 2)"),
        (encode(message(1)), "lost: the broker sent a PUBLISH before its CONNACK"),
        (b"HTTP/1.1 400 Bad Request\r\n", "lost: the broker sent no MQTT"),
        (encode(Connack())[:2], "lost: closed by the broker inside a packet"),
        (b"", "lost: closed by the broker"),
    ],
)
def test_a_refused_connect_is_said_and_tried_again(answer: bytes, state: str) -> None:
    async def body() -> None:
        async with setting() as (broker, client, inbox):
            for _ in range(2):
                peer = await broker.next_peer()
                await peer.expect(Connect)
                peer.send_bytes(answer)
                await peer.close()
            peer = await ready(broker, client)
            told = [told for told in inbox.states if told.startswith(("refused", "lost"))]
            assert len(told) == 2
            assert all(each.startswith(state) for each in told)

    run(body)


def test_a_refused_subscription_is_said_and_tried_again() -> None:
    async def body() -> None:
        async with setting() as (broker, client, inbox):
            peer = await broker.next_peer()
            await peer.expect(Connect)
            peer.send(Connack())
            subscribe = await peer.expect(Subscribe)
            peer.send(Suback(packet_id=subscribe.packet_id, return_codes=(0x80, 0)))
            assert await inbox.wait_state("refused") == "refused: SUBSCRIBE to a/#"
            await ready(broker, client)

    run(body)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\x00",
        b"\x30\xff\xff\xff\xff\xff",
        encode(Subscribe(packet_id=1, filters=(("a", 0),))),
        encode(Pubrel(4)),
        encode(Suback(packet_id=9, return_codes=(0,))),
        encode(Publish(topic="a/b", payload=b"", qos=2, packet_id=3)),
        encode(Connack()),
    ],
)
def test_misbehaviour_costs_the_connection_only(garbage: bytes) -> None:
    async def body() -> None:
        async with setting() as (broker, client, inbox):
            peer = await ready(broker, client)
            peer.send_bytes(encode(message(1)) + garbage + encode(message(2)))
            await inbox.wait_state("lost")
            assert [delivery.packet_id for delivery in inbox.deliveries] == [1], "the good message was lost"
            assert await peer.receive() is None
            await ready(broker, client)

    run(body)


def test_a_close_inside_a_packet_is_named() -> None:
    async def body() -> None:
        async with setting() as (broker, client, inbox):
            peer = await ready(broker, client)
            peer.send_bytes(encode(message(1))[:-1])
            await peer.close()
            assert await inbox.wait_state("lost") == "lost: closed by the broker inside a packet"
            assert inbox.deliveries == []

    run(body)


def test_a_broker_that_accepts_and_says_nothing_is_left_after_the_timeout() -> None:
    async def body() -> None:
        async with setting(connect_timeout_s=10) as (broker, client, inbox):
            silent = await broker.next_peer()
            await silent.expect(Connect)
            skip(10)
            assert await inbox.wait_state("lost") == "lost: no answer within 10 s"
            await ready(broker, client)

    run(body)
