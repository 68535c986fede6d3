"""A fleet on a clock that moves while it is read: nobody who falls due in between sleeps for ever."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from simulator.device_states import State
from simulator.fleet import Fleet, FleetPlan
from simulator.fleet_camera import WAITS
from simulator.link import LinkError, LinkSettings, OnLost, OnMessage
from simulator.profile import profile_named

READING_TAKES_S = 0.001


class SlowClockLoop(asyncio.SelectorEventLoop):
    """Each look at its clock takes a millisecond, waiting takes no real time; raises where nothing is left to do."""

    def __init__(self) -> None:
        self._now_s = 100.0
        super().__init__(_Jumping(self._jump))

    def time(self) -> float:
        self._now_s += READING_TAKES_S
        return self._now_s

    def _jump(self, wait_s: float | None) -> None:
        if wait_s is None:
            raise RuntimeError("the fleet waits for nothing")
        self._now_s += wait_s


class _Jumping(selectors.DefaultSelector):
    def __init__(self, jump: Callable[[float | None], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[Any]:
        self._jump(timeout)
        return super().select(0)


class NoBroker:
    """A link that never connects."""

    def __init__(self, settings: LinkSettings, on_message: OnMessage, on_lost: OnLost) -> None:
        pass

    async def connect(self) -> None:
        raise LinkError("no broker")

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1) -> None:
        raise LinkError("not connected")

    def publish_part(self, topic: str, payload: bytes) -> None:
        raise LinkError("not connected")

    def post(self, topic: str, payloads: Sequence[bytes], on_acked: Callable[[], None]) -> None:
        raise LinkError("not connected")

    async def disconnect(self) -> None:
        pass

    def leave(self, on_left: Callable[[], None]) -> None:
        on_left()

    def cut(self) -> None:
        pass


class Silent(NoBroker):
    """A link whose broker takes everything and never says a word."""

    async def connect(self) -> None:
        pass

    def post(self, topic: str, payloads: Sequence[bytes], on_acked: Callable[[], None]) -> None:
        pass


def plan_of(**changes: Any) -> FleetPlan:
    plan: dict[str, Any] = {
        "devices": 1,
        "seed": 1,
        "profile": profile_named("esp32s3-cam@3.5.0"),
        "interval_ms": 40,
        "spread_ms": 12,
        "length_ms": 100,
        "start_ms": 1_800_000_000_000,
        "host": "127.0.0.1",
        "port": 1,
    }
    return FleetPlan(**plan | changes)


@pytest.mark.parametrize("seed", [0, 1, 6])
def test_a_camera_that_falls_due_while_the_clock_is_read_wakes(seed: int) -> None:
    async def body() -> Fleet:
        fleet = Fleet(plan_of(seed=seed), NoBroker, lambda index, photo: None)
        await fleet.run()
        return fleet

    with asyncio.Runner(loop_factory=SlowClockLoop) as runner:
        fleet = runner.run(body())
    counts = fleet.counts()
    assert counts.wakes >= 3 and counts.asleep == 1 and counts.not_begun == 0


def test_who_is_cut_off_is_named_with_what_it_waited_for() -> None:
    async def body() -> Fleet:
        fleet = Fleet(plan_of(devices=3), Silent, lambda index, photo: None)
        running = asyncio.create_task(fleet.run())
        await asyncio.sleep(1)
        fleet.abandon()
        await running
        return fleet

    with asyncio.Runner(loop_factory=SlowClockLoop) as runner:
        fleet = runner.run(body())
    assert fleet.unfinished == dict.fromkeys(range(3), "an answer to HELLO")


def test_every_state_of_an_awake_camera_has_words() -> None:
    assert set(WAITS) == set(State) - {State.OFF, State.SLEEPING}
