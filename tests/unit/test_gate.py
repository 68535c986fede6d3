"""The gate: one transaction at a time, in the order of asking, whoever is cancelled or crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from harness.bench.virtual.gate import Gate, GateError
from harness.bench.virtual.incarnation import running_as
from harness.bench.virtual.loop import VirtualLoop
from harness.bench.virtual.network import MemoryNetwork


def play(body: Callable[[MemoryNetwork], Awaitable[None]]) -> None:
    """Runs `body` on a virtual loop with a network."""
    loop = VirtualLoop()

    async def main() -> None:
        await body(MemoryNetwork(loop, lambda: 0))

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


def test_the_gate_lets_one_in_at_a_time_in_the_order_of_asking() -> None:
    async def body(network: MemoryNetwork) -> None:
        gate, log = Gate(), list[str]()

        async def committed() -> None:
            log.append(f"commit {gate.is_held}")

        gate.on_commit.append(committed)

        async def work(name: str, fails: bool) -> None:
            async with gate.hold():
                log.append(f"{name} in")
                await asyncio.sleep(1)
                log.append(f"{name} out")
                if fails:
                    raise ValueError

        tasks = [asyncio.create_task(work(name, name == "b")) for name in "abcd"]
        await asyncio.sleep(0.5)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert log == ["a in", "a out", "commit True", "b in", "b out", "d in", "d out", "commit True"]
        assert not gate.is_held
        assert gate.passed == 2

    play(body)


def test_the_gate_says_when_it_would_wait_for_itself() -> None:
    async def body(network: MemoryNetwork) -> None:
        gate = Gate()

        async def waits_for_itself() -> None:
            async with gate.hold():
                pass

        async with gate.hold():
            with pytest.raises(GateError):
                await waits_for_itself()
        gate.on_commit.append(waits_for_itself)
        with pytest.raises(GateError, match="not gated"):
            async with gate.hold():
                pass
        assert not gate.is_held

    play(body)


@pytest.mark.parametrize("cancel_at_turn", range(4))
def test_the_gate_survives_a_waiter_that_is_cancelled_at_any_moment(cancel_at_turn: int) -> None:
    async def body(network: MemoryNetwork) -> None:
        gate, release = Gate(), asyncio.Event()
        entered: list[str] = []

        async def work(name: str) -> None:
            async with gate.hold():
                entered.append(name)
                await release.wait()

        tasks = [asyncio.create_task(work(name)) for name in "abc"]
        await asyncio.sleep(1)
        release.set()
        for _ in range(cancel_at_turn):
            await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert entered[0] == "a" and entered[-1] == "c"
        assert not gate.is_held

    play(body)


def test_a_crashed_holder_and_a_crashed_waiter_are_forgotten() -> None:
    async def body(network: MemoryNetwork) -> None:
        gate, log = Gate(), list[str]()

        async def work(name: str) -> None:
            async with gate.hold():
                log.append(name)
                await asyncio.sleep(10)

        with running_as("server#1", "server"):
            asyncio.create_task(work("dead holder"))  # noqa: RUF006
            asyncio.create_task(work("dead waiter"))  # noqa: RUF006
        alive = asyncio.create_task(work("alive"))
        await asyncio.sleep(1)
        network.fence("server#1")
        assert gate.is_held
        gate.forget("server#1")
        await alive
        assert log == ["dead holder", "alive"]
        assert not gate.is_held

    play(body)
