"""The faults that a scenario has armed for one device: which wake each is for, and what they make of its messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.plan_steps import PlannedFault
from simulator.fault import (
    ArmedFault,
    AtStep,
    Begin,
    Deliver,
    FaultAddress,
    FaultChain,
    LastingFault,
    LinkAction,
    fault_named,
)


def fault_of(fault: PlannedFault) -> Any:
    """The catalogue's fault for a planned one, as a message meets it."""
    settings = dict(fault.parameters)
    match fault.action:
        case "power_loss":
            settings = {"back_after_ms": settings.get("for_ms")}
        case "delay":
            settings = {"delay_ms": settings.get("for_ms")}
        case "reorder":
            settings = {key: value for key, value in settings.items() if value is not None}
        case _:
            pass
    made = fault_named(fault.action, **settings)
    return AtStep(fault.action, made, fault.for_ms) if isinstance(made, LastingFault) else made


def struck(actions: Sequence[LinkAction], event: str, payload: bytes) -> list[Any] | None:
    """What the faults did with a message, in words for the history; None where it passed as it was."""
    match actions:
        case [Deliver(parcel=parcel, after_ms=0)] if parcel.payload == payload and parcel.point.event == event:
            return None
        case [Deliver(parcel=parcel, after_ms=after_ms)] if parcel.point.event == event:
            return ["change"] if parcel.payload != payload else ["delay", f"{after_ms} ms"]
    what = [type(action).__name__.lower() for action in actions]
    return what if len(what) < 4 else [what[0], len(what)]


@dataclass(slots=True)
class ArmedFaults:
    """A device's fault chain, with the wakes that its faults are meant for."""

    chain: FaultChain
    _planned: list[tuple[PlannedFault, int]] = field(default_factory=list)
    _done: list[PlannedFault] = field(default_factory=list)
    _of_one_wake: list[tuple[int, ArmedFault]] = field(default_factory=list)
    _wakes_struck: dict[int, int] = field(default_factory=dict)

    def arm(self, faults: Sequence[PlannedFault], wakes: int) -> list[LinkAction]:
        """These faults strike from now on, counted from `wakes`; returns what the former ones held back."""
        freed = self.heal()
        self._planned = [(fault, wakes) for fault in faults]
        return freed

    def heal(self) -> list[LinkAction]:
        """No fault strikes any more; returns what was held back."""
        self._planned = []
        self._done = []
        self._of_one_wake = []
        self._wakes_struck = {}
        return self.chain.heal()

    def lasting_for(self, wakes: int) -> list[tuple[int, Begin]]:
        """What begins in this wake by itself: (so long after the wake, what)."""
        found: list[tuple[int, Begin]] = []
        for index, (fault, wakes_before) in enumerate(self._planned):
            is_due = fault.wake is None or wakes == wakes_before + fault.wake
            struck = self._wakes_struck.get(index, 0)
            if fault.direction == "lasting" and is_due and (fault.times is None or struck < fault.times):
                self._wakes_struck[index] = struck + 1
                made = fault_named(fault.action, **fault.parameters)
                found.append((fault.from_ms, Begin(fault.action, made, fault.for_ms)))
        return found

    def for_wake(self, wakes: int) -> FaultChain:
        """The chain, with what is meant for this wake armed, each once; that of an earlier wake strikes no more."""
        for wake, armed in self._of_one_wake:
            if wake != wakes:
                armed.uses_left = 0
        for fault, wakes_before in self._planned:
            is_due = fault.wake is None or wakes == wakes_before + fault.wake
            if is_due and fault.direction != "lasting" and fault not in self._done:
                self._done.append(fault)
                address = FaultAddress(fault.event, fault.direction, fault.which)
                armed = self.chain.arm(address, fault_of(fault), fault.times)
                if fault.wake is not None:
                    self._of_one_wake.append((wakes, armed))
        return self.chain
