"""What flashing a board will do, region by region, and why; pure, so that it can be shown before and tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.dut.build_folder import Region


class Action(StrEnum):
    """What happens to a region."""

    WRITE = "write"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class PlannedRegion:
    """One region, what is done to it and why; `worn`: writes of its sectors from here, one just done included."""

    region: Region
    action: Action
    why: str
    worn: int = 0


def plan_of(
    regions: Sequence[Region],
    same: Mapping[str, bool],
    *,
    force: bool = False,
    kept: Mapping[str, str] | None = None,
    worn: Mapping[str, int] | None = None,
) -> tuple[PlannedRegion, ...]:
    """The plan. `same` says, by name, whether the device's MD5 is the file's; unknown where it was not asked.

    `kept` holds regions that differ and stay all the same, with the reason.
    """
    found = []
    for region in regions:
        if force:
            action, why = Action.WRITE, "--force"
        elif region.name not in same:
            action, why = Action.WRITE, "the device was not asked"
        elif same[region.name]:
            action, why = Action.KEEP, "MD5 is the file's"
        elif kept and region.name in kept:
            action, why = Action.KEEP, kept[region.name]
        else:
            action, why = Action.WRITE, "MD5 is not the file's"
        found.append(PlannedRegion(region, action, why, (worn or {}).get(region.name, 0)))
    return tuple(found)


def to_write(plan: Sequence[PlannedRegion]) -> tuple[Region, ...]:
    """The regions that will be written."""
    return tuple(planned.region for planned in plan if planned.action is Action.WRITE)


def plan_lines(plan: Sequence[PlannedRegion]) -> list[str]:
    """For people: one line for each region, within 80 columns; `3 writes` is the wear of it, counted from here."""
    width = max((len(planned.region.name) for planned in plan), default=0)
    lines = []
    for planned in plan:
        region = planned.region
        worn = f"; {planned.worn} write{'s' * (planned.worn > 1)}" if planned.worn else ""
        flaw = f"; BROKEN: {region.flaw}" if region.flaw else ""
        size = f"{len(region.data):>9,} B"
        words = [f"{planned.action.value:<5}", f"{region.offset:#08x}", size, f"{region.name:<{width}}"]
        lines.append("  ".join([*words, f"{planned.why}{worn}{flaw}"]))
    return lines
