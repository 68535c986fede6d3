"""Which faults of the catalogue a plan has, by the signs of their rows. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.plan import Plan
from harness.plan_steps import ActOn, Advance, Offline, PlannedDevice, Power, StepPlan, Wake

HERD_DEVICES_MIN: Final = 10
"""So many that wake in one instant are a herd."""


def signs_of(plan: Plan) -> frozenset[str]:
    """The sign of everything that goes wrong in this plan: see `FaultRow.sign`."""
    found = {sign for step in plan.steps for sign in _of_step(step)}
    found |= {sign for device in plan.devices for sign in signs_of_device(device)}
    if plan.servers > 1:
        found.add("servers:several")
    for step in plan.steps:
        if isinstance(step, Wake) and len(step.devices) >= HERD_DEVICES_MIN:
            found.add("fleet:herd")
    return frozenset(found)


def _of_step(step: StepPlan) -> Iterator[str]:
    match step:
        case Wake(faults=faults) | Advance(faults=faults):
            for fault in faults:
                yield f"action:{fault.action}"
            if isinstance(step, Wake) and not step.wifi_up:
                yield "wifi:down"
        case Offline():
            yield "wifi:down"
        case Power(do=do):
            yield f"power:{do}"
        case ActOn(target=target, do=do):
            yield f"step:{target}:{do}"
        case _:
            pass


def signs_of_device(device: PlannedDevice) -> Iterator[str]:
    """What its firmware and its traits bring along."""
    base, *words = device.profile.split("+")
    yield f"base:{base}"
    yield from (f"profile:{word}" for word in words)
    yield from (f"trait:{name}" for name in device.traits)
