"""The two links against brokers that vanish, stand still or refuse: errors come as LinkError, in time."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any

import pytest

from harness.bench.brokers import BrokerProcess
from server.wire.mqtt_codec import Publish, encode
from simulator.broker import Broker
from simulator.link import FleetLink, Link, LinkError, LinkSettings
from simulator.link.paho import PahoLink
from simulator.link.raw import RawLink
from tests.support.conformance import BrokerUnderTest, bare_client
from tests.support.consumers import Arrivals
from tests.support.scripted_broker import run, skip

every_link = pytest.mark.parametrize("make", [RawLink, PahoLink])


def link_to(make: Any, port: int, arrivals: Arrivals, **changes: Any) -> Link:
    settings = LinkSettings("127.0.0.1", port, "cam", (("cam/+", 1),), **{"ack_timeout_s": 10.0, **changes})
    link: Link = make(settings, arrivals.add, arrivals.add_lost)
    return link


@every_link
def test_nobody_listens(make: Any) -> None:
    async def body() -> None:
        link = link_to(make, 1, Arrivals())
        for _ in range(2):
            with pytest.raises(LinkError):
                await link.connect()
        with pytest.raises(LinkError):
            await link.publish("t", b"")
        await link.disconnect()
        link.cut()

    run(body)


@every_link
@pytest.mark.parametrize("wrong", ["connect", "subscribe"])
def test_the_broker_refuses(make: Any, wrong: str) -> None:
    async def body() -> None:
        options: dict[str, Any] = {"authenticate": lambda packet: 5} if wrong == "connect" else {"access": deny}
        async with BrokerUnderTest("simulated").running(**options) as at:
            arrivals = Arrivals()
            with pytest.raises(LinkError, match="refused"):
                await link_to(make, at.port, arrivals).connect()
            assert arrivals.lost == []

    run(body)


def deny(client_id: str, action: str, topic: str) -> bool:
    return action != "subscribe"


@every_link
def test_a_frozen_broker_gives_no_puback_in_time(make: Any) -> None:
    async def body() -> None:
        async with BrokerUnderTest("simulated").running() as at:
            assert at.simulated is not None
            link = link_to(make, at.port, Arrivals())
            await link.connect()
            at.simulated.freeze()
            publishing = asyncio.create_task(link.publish("t", b""))
            await asyncio.sleep(0)
            skip(11)
            with pytest.raises(LinkError, match="no PUBACK within 10 s"):
                await publishing
            link.cut()

    run(body)


@every_link
def test_a_cut_sends_nothing_more_and_the_will_follows(make: Any) -> None:
    async def body() -> None:
        async with BrokerUnderTest("simulated", prefix="x").running() as at, bare_client(at, "watch") as watch:
            assert at.simulated is not None
            await watch.subscribe(("t", 1))
            arrivals = Arrivals()
            link = link_to(make, at.port, arrivals)
            await link.connect()
            assert "cam" in at.simulated.broker.client_ids
            publishing = [asyncio.create_task(link.publish("never", b"", qos=1)) for _ in range(2)]
            await asyncio.sleep(0)
            link.cut()
            for each in await asyncio.gather(*publishing, return_exceptions=True):
                assert isinstance(each, LinkError)
            with pytest.raises(LinkError):
                await link.publish("t", b"")
            assert arrivals.lost == []
            await link.connect()
            await link.publish("t", b"back")
            assert (await watch.messages(1))[0].payload == b"back"
            await link.disconnect()
            assert arrivals.lost == []

    run(body)


@every_link
def test_publishes_may_overlap(make: Any) -> None:
    async def body() -> None:
        async with BrokerUnderTest("simulated").running() as at:
            arrivals = Arrivals()
            link = link_to(make, at.port, arrivals)
            await link.connect()
            await asyncio.gather(*(link.publish("cam/x", str(n).encode(), qos=n % 2) for n in range(200)))
            assert [int(payload) for payload in await arrivals.payloads(200)] == list(range(200))
            await link.disconnect()

    run(body)


def test_the_raw_link_can_send_what_paho_forbids() -> None:
    async def body() -> None:
        async with BrokerUnderTest("simulated").running() as at:
            arrivals = Arrivals()
            link = RawLink(LinkSettings("127.0.0.1", at.port, "cam", (("cam/+", 1),)), arrivals.add, arrivals.add_lost)
            await link.connect()
            again = encode(Publish(topic="cam/x", payload=b"1", qos=1, packet_id=3, dup=True))
            link.send_packet(again + again)
            assert await arrivals.payloads(2) == [b"1", b"1"]
            link.send_packet(b"\x00\x00")
            await arrivals.wait(lambda: bool(arrivals.lost))
            with pytest.raises(LinkError):
                link.send_packet(again)

    run(body)


@every_link
def test_a_real_broker_that_dies_is_a_lost_link(make: Any, real_broker: BrokerProcess) -> None:
    async def body() -> None:
        arrivals = Arrivals()
        link = link_to(make, real_broker.port, arrivals)
        await link.connect()
        await link.publish("t", b"")
        real_broker.pause()
        publishing = asyncio.create_task(link.publish("t", b""))
        await asyncio.sleep(0)
        real_broker.kill()
        with pytest.raises(LinkError):
            await publishing
        await arrivals.wait(lambda: len(arrivals.lost) == 1)
        with pytest.raises(LinkError):
            await link.connect()
        real_broker.start()
        await link.connect()
        await link.publish("t", b"")
        await link.disconnect()

    run(body)


def test_the_simulated_broker_is_left_by_its_own_keep_alive_only() -> None:
    """The link's pings run on the loop's clock, and so does the broker's patience."""

    async def body() -> None:
        async with BrokerUnderTest("simulated").running() as at:
            assert at.simulated is not None
            broker: Broker = at.simulated.broker
            arrivals = Arrivals()
            link = link_to(RawLink, at.port, arrivals, keep_alive_s=20)
            await link.connect()
            for _ in range(6):
                skip(10)
                await link.publish("t", b"")
            assert broker.client_ids == ["cam"]
            at.simulated.freeze()
            for _ in range(2):
                skip(10)
                await asyncio.sleep(0.001)
            await arrivals.wait(lambda: bool(arrivals.lost))
            assert arrivals.lost == ["no answer to PINGREQ"]

    run(body)


@every_link
def test_posted_messages_arrive_in_order_and_are_told_when_all_are_acked(make: Any, broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with broker.running() as at:
            arrivals = Arrivals()
            topic = at.topic("t")
            settings = LinkSettings(at.host, at.port, at.name("cam"), ((topic, 1),), source_host="127.0.0.9")
            link: FleetLink = make(settings, arrivals.add, arrivals.add_lost)
            with pytest.raises(LinkError):
                link.post(topic, [b"early"], lambda: None)
            await link.connect()
            acked: list[int] = []
            all_acked = asyncio.Event()

            def one_acked(start: int) -> None:
                acked.append(start)
                if len(acked) == 3:
                    all_acked.set()

            for start in range(0, 60, 20):
                payloads = [str(number).encode() * 700 for number in range(start, start + 20)]
                link.post(topic, payloads, partial(one_acked, start))
            got = await arrivals.payloads(60)
            await all_acked.wait()
            assert got == [str(number).encode() * 700 for number in range(60)]
            assert acked == [0, 20, 40]
            await link.disconnect()
            with pytest.raises(LinkError):
                link.post(topic, [b"late"], lambda: None)

    run(body)


@every_link
def test_posted_messages_of_a_cut_link_are_never_told_acked(make: Any) -> None:
    async def body() -> None:
        async with BrokerUnderTest("simulated").running() as at:
            assert at.simulated is not None
            link: FleetLink = make(LinkSettings("127.0.0.1", at.port, "cam"), lambda *_: None, lambda _: None)
            await link.connect()
            at.simulated.freeze()
            acked: list[str] = []
            link.post("t", [b"1", b"2"], lambda: acked.append("old"))
            link.cut()
            at.simulated.thaw()
            await link.connect()
            done = asyncio.Event()
            link.post("t", [b"3"], done.set)
            await done.wait()
            assert acked == []
            link.cut()

    run(body)


def test_four_hundred_paho_links_share_one_loop_and_no_thread() -> None:
    """More than paho's own threads could serve: `loop_start` stops at 339 clients."""

    async def body() -> None:
        async with BrokerUnderTest("simulated").running() as at:
            threads = threading.active_count()
            links = [
                PahoLink(LinkSettings("127.0.0.1", at.port, f"cam{number}"), lambda *_: None, lambda _: None)
                for number in range(400)
            ]
            for start in range(0, 400, 100):
                await asyncio.gather(*(link.connect() for link in links[start : start + 100]))
            await asyncio.gather(*(link.publish("t", b"x") for link in links))
            assert threading.active_count() == threads
            for link in links:
                link.cut()

    run(body)


def raw_link(at: BrokerUnderTest, what: str, arrivals: Arrivals) -> RawLink:
    return RawLink(LinkSettings(at.host, at.port, at.name(what)), arrivals.add, arrivals.add_lost)


def test_half_a_packet_and_rst_leave_nothing_behind(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with broker.running() as at, bare_client(at, at.name("watch")) as watch:
            await watch.subscribe((at.topic("#"), 1))
            link = raw_link(at, "cam", Arrivals())
            for _ in range(3):
                await link.connect()
                link.publish_part(at.topic("torn"), b"x" * 5_000)
                link.cut()
            await link.connect()
            await link.publish(at.topic("whole"), b"y")
            (message,) = await watch.messages(1)
            assert (message.topic, message.payload) == (at.topic("whole"), b"y")
            link.cut()

    run(body)


def test_a_first_packet_that_says_dup_is_delivered(broker: BrokerUnderTest) -> None:
    """iotcore hands the publisher's DUP on to subscribers, which MQTT 3.3.1.1 forbids: DUP proves nothing there."""

    async def body() -> None:
        async with broker.running() as at, bare_client(at, at.name("watch")) as watch:
            await watch.subscribe((at.topic("t"), 1))
            link = raw_link(at, "cam", Arrivals())
            await link.connect()
            link.publish_as(at.topic("t"), b"1", packet_id=7, dup=True)
            (message,) = await watch.messages(1)
            assert (message.payload, message.dup) == (b"1", at.kind == "iotcore")
            await link.disconnect()

    run(body)


def test_a_packet_id_used_again_in_flight_is_two_messages(broker: BrokerUnderTest) -> None:
    async def body() -> None:
        async with broker.running() as at, bare_client(at, at.name("watch")) as watch:
            await watch.subscribe((at.topic("t"), 1))
            link = raw_link(at, "cam", Arrivals())
            await link.connect()
            for payload in (b"1", b"2", b"3"):
                link.publish_as(at.topic("t"), payload, packet_id=7)
            assert [message.payload for message in await watch.messages(3)] == [b"1", b"2", b"3"]
            await link.publish(at.topic("t"), b"4")
            await link.disconnect()

    run(body)
