"""Client, links and broker together on the virtual loop: a day of cameras with cuts, the same twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from harness.bench.virtual.loop import VirtualLoop
from harness.bench.virtual.network import MemoryNetwork
from server.mqtt import Delivery, MqttClient, MqttSettings
from simulator.broker import Broker, Dropped, Routed
from simulator.broker_host import BrokerHost
from simulator.link import LinkError, LinkSettings
from simulator.link.raw import RawLink

CAMERAS = 5
WAKES = 12
CHUNKS = 8


@dataclass
class Day:
    """What one run left behind."""

    history: list[str] = field(default_factory=list)
    stored: dict[str, int] = field(default_factory=dict)
    acked: set[str] = field(default_factory=set)
    routed: int = 0


async def camera(name: str, day: Day) -> None:
    """Wakes every hour and sends chunks; a chunk counts once its PUBACK is there."""
    answers = asyncio.Event()
    settings = LinkSettings("broker", 1883, name, ((f"cam/{name}/cmd", 1),), keep_alive_s=10, ack_timeout_s=5)
    await asyncio.sleep(3600)
    for wake in range(WAKES):
        link = RawLink(settings, lambda topic, payload: answers.set(), lambda reason: None)
        try:
            await link.connect()
            for chunk in range(CHUNKS):
                key = f"{name}/{wake}/{chunk}"
                await link.publish(f"cam/{name}/data", key.encode())
                day.acked.add(key)
            answers.clear()
            await link.publish(f"cam/{name}/data", f"{name}/{wake}/hello".encode())
            async with asyncio.timeout(30):
                await answers.wait()
            await link.disconnect()
        except (LinkError, TimeoutError) as error:
            day.history.append(f"{asyncio.get_running_loop().time():.6f} {name} {error!r}")
            link.cut()
        await asyncio.sleep(3600 - asyncio.get_running_loop().time() % 3600)


def run_day() -> Day:
    day = Day()
    loop = VirtualLoop(stall_after_s=5.0)
    seed = iter(range(10**9))
    network = MemoryNetwork(loop, lambda: 500 + next(seed) * 7919 % 2000)

    async def body() -> None:
        def on_event(event: Routed | Dropped) -> None:
            day.routed += isinstance(event, Routed)

        host = BrokerHost(Broker(), on_event=on_event)
        network.listen("broker", 1883, host.protocol)

        def store(delivery: Delivery) -> None:
            """As the server does: durable a little later, an answer, then done."""

            def stored() -> None:
                key = delivery.payload.decode()
                day.stored[key] = day.stored.get(key, 0) + 1
                day.history.append(f"{loop.time():.6f} {key} {delivery.epoch} {delivery.dup}")
                if key.endswith("hello") and client.is_connected:
                    client.publish(f"cam/{key.split('/')[0]}/cmd", b"sleep")
                delivery.done()

            loop.call_later(0.004, stored)

        client = MqttClient(MqttSettings(host="broker", port=1883, client_id="server"), [("cam/+/data", 1)], store)
        await client.start()
        await client.wait_ready()
        cameras = [asyncio.create_task(camera(f"c{number}", day)) for number in range(CAMERAS)]
        for hour in range(WAKES - 2):
            await asyncio.sleep(3600 - loop.time() % 3600 + 0.02 + hour * 0.001)
            if hour % 3 == 0:
                client.abort("database away")
            elif hour % 3 == 1:
                network.cut("broker")
            else:
                host.freeze()
                await asyncio.sleep(hour)
                host.thaw()
        for task in cameras:
            await task
        await client.stop()
        assert host.broker.is_idle
        assert client.stats.reconnects >= 6
        host.stop()

    loop.run_until_complete(body())
    loop.close()
    return day


def test_a_day_with_cuts_loses_nothing_and_repeats_exactly() -> None:
    day = run_day()
    assert day.acked <= set(day.stored)
    assert len(day.acked) > CAMERAS * (WAKES - 8) * CHUNKS
    assert any(copies > 1 for copies in day.stored.values()), "no cut struck an open batch: the test tests nothing"
    assert run_day().history == day.history
