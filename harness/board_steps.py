"""What the runner does with boards: flash them, talk on their consoles, and look whether one is in trouble."""

from __future__ import annotations

import asyncio

from harness.bench import Bench
from harness.blame import Blame
from harness.expectations import Finding
from harness.plan_steps import Flash, Talk


async def flash(bench: Bench, step: Flash) -> None:
    """Flash these boards side by side. Raises ConsoleError or FlashFailed, each with its blame."""
    await asyncio.gather(*(bench.duts[number].flash(step.firmware, force=step.force) for number in step.devices))
    await bench.settle()


async def talk(bench: Bench, step: Talk) -> None:
    """Type a line and wait for one, on each console. Raises ConsoleError."""
    for number in step.devices:
        bench.duts[number].allow(step.allow)
    await asyncio.gather(
        *(
            bench.duts[number].talk(step.write, step.pattern, literal=step.is_literal, within_s=step.within_ms / 1000)
            for number in step.devices
            if step.write is not None or step.pattern is not None
        )
    )


def trouble(bench: Bench) -> tuple[str, Finding] | None:
    """What the first board that is in trouble says of it, as a title and a finding."""
    for dut in bench.duts:
        found = dut.trouble
        if found is not None:
            expected = "a console without a line of the fail list, and a port that stays"
            return found.message, Finding(holds=False, expected=expected, found=str(found))
    return None


def blames(bench: Bench) -> set[Blame]:
    """Whom the boards in trouble blame."""
    return {dut.trouble.blame for dut in bench.duts if dut.trouble is not None}
