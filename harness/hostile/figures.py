"""The figures of `wakestorm bench hostile`: each attack once, with what was counted and what the aim is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.bench.brokers import missing_reason
from harness.hostile import brokers
from harness.hostile.isolation import Matrix, isolation

Tell = Callable[[str], None]

CELLS_MIN: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One attack. `found` says what happened, `aim` what should, `holds` whether it did; `details` name what did not.

    `holds` None: it could not be measured here, and `found` says why.
    """

    id: str
    title: str
    found: str
    aim: str
    holds: bool | None
    details: tuple[str, ...] = ()


async def doors_simulated() -> Figure:
    """S1 on the simulated broker."""
    async with brokers.simulated() as place:
        return _isolated("S1 simulated", await isolation(place))


async def doors_mosquitto() -> Figure:
    """S1 on a real mosquitto, with the files that `broker-config` writes."""
    reason = missing_reason("mosquitto", os.environ)
    if reason is not None:
        return Figure(id="S1 mosquitto", title=_ISOLATION, found=reason, aim=_ISOLATED, holds=None)
    with tempfile.TemporaryDirectory(prefix="wakestorm-hostile-") as folder:
        async with brokers.mosquitto(Path(folder)) as place:
            return _isolated("S1 mosquitto", await isolation(place))


_ISOLATION = "A device and a newcomer against all that is another device's"
_ISOLATED = f"{CELLS_MIN:,} cells or more, 0 allowed"


def _isolated(name: str, matrix: Matrix) -> Figure:
    return Figure(
        id=name,
        title=_ISOLATION,
        found=f"{matrix.cells:,} cells, {len(matrix.allowed)} allowed",
        aim=_ISOLATED,
        holds=not matrix.allowed and matrix.cells >= CELLS_MIN,
        details=tuple(matrix.allowed),
    )


ATTACKS: tuple[Callable[[], Awaitable[Figure]], ...] = (doors_simulated, doors_mosquitto)


async def figures(tell: Tell) -> list[Figure]:
    """All of them, one after the other."""
    found = []
    for attack in ATTACKS:
        tell(f"{(attack.__doc__ or '').splitlines()[0]}")
        found.append(await attack())
    return found


def shown(found: list[Figure]) -> list[str]:
    """Lines for a terminal of 80 columns."""
    lines: list[str] = []
    for figure in found:
        verdict = {True: "ok", False: "WRONG", None: "not measured"}[figure.holds]
        lines += [f"{figure.id:<14}{figure.title}", f"  {verdict}: {figure.found} (aim: {figure.aim})"]
        lines += [f"    {detail}" for detail in figure.details[:20]]
    return lines
