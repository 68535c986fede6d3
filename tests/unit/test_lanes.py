"""Lanes: each device keeps its order, a batch has a size and one kind of message, and idle means idle."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from server.batch import Item
from server.lanes import BATCH_MESSAGES_MAX, Lanes

MACS = [f"B8F8620000{number:02X}" for number in range(6)]


def message(mac: str, number: int = 0) -> Item:
    return Item(topic=f"ESP32CAM/{mac}/data", payload=b"%d" % number)


def run(body: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(body, 10))


@given(st.integers(1, 4), st.lists(st.sampled_from(MACS), max_size=40))
def test_a_devices_messages_keep_their_order_in_one_lane(count: int, arrivals: list[str]) -> None:
    async def body() -> None:
        lanes = Lanes(count)
        for number, mac in enumerate(arrivals):
            lanes.put(message(mac, number))
        assert len(lanes) == len(arrivals)
        home: dict[str, int] = {}
        came: list[tuple[str, int]] = []
        for lane in range(count):
            while lanes._queues[lane]:
                for item in await lanes.take(lane):
                    mac = str(item.topic).split("/")[1]
                    assert home.setdefault(mac, lane) == lane
                    came.append((mac, int(item.payload)))
                lanes.done(lane)
        for mac in MACS:
            wanted = [number for number, sender in enumerate(arrivals) if sender == mac]
            assert [number for sender, number in came if sender == mac] == wanted
        assert lanes.is_idle

    run(body())


def test_a_look_at_a_device_goes_the_lane_of_its_messages() -> None:
    async def body() -> None:
        lanes = Lanes(4)
        for mac in MACS:
            lanes.put(message(mac))
            lanes.put(Item(topic=None, mac=mac))
        for lane in range(4):
            macs = [item.mac or str(item.topic).split("/")[1] for item in lanes._queues[lane]]
            assert macs[::2] == macs[1::2]

    run(body())


def test_a_batch_has_a_size_and_a_message_over_http_is_one_of_its_own() -> None:
    async def body() -> None:
        lanes = Lanes(1)
        for number in range(BATCH_MESSAGES_MAX + 3):
            lanes.put(message(MACS[0], number))
        asked = message(MACS[1])
        asked.answer = asyncio.get_running_loop().create_future()
        lanes.put(asked)
        lanes.put(message(MACS[0]))
        sizes = []
        while len(lanes):
            batch = await lanes.take(0)
            sizes.append(len(batch))
            assert (asked in batch) == (len(sizes) == 3)
            lanes.done(0)
        assert sizes == [BATCH_MESSAGES_MAX, 3, 1, 1]

    run(body())


def test_it_is_idle_when_the_last_batch_of_the_last_lane_is_done() -> None:
    async def body() -> None:
        lanes = Lanes(2)
        assert lanes.is_idle
        for mac in MACS:
            lanes.put(message(mac))
        await lanes.take(0)
        await lanes.take(1)
        assert not len(lanes) and not lanes.is_idle
        lanes.done(0)
        assert not lanes.is_idle  # a batch of the other lane is under way
        lanes.put(message(MACS[0]))
        lanes.done(1)
        assert not lanes.is_idle  # what arrived meanwhile
        lane = lanes._lane_of(message(MACS[0]))
        await lanes.take(lane)
        lanes.done(lane)
        await lanes.wait_idle()

    run(body())


def test_who_waits_for_a_batch_gets_what_comes_later_and_nothing_of_what_was_cleared() -> None:
    async def body() -> None:
        lanes = Lanes(1)
        gone = message(MACS[0], 1)
        lanes.put(gone)
        assert lanes.clear() == [gone] and not len(lanes)
        waiting = asyncio.ensure_future(lanes.take(0))
        await asyncio.sleep(0)
        assert not waiting.done()
        lanes.put(message(MACS[0], 2))
        assert [item.payload for item in await waiting] == [b"2"]

    run(body())
