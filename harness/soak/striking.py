"""Carries out the nemesis' schedule of a day on a bench, and counts what struck.

Faults of devices are armed for their wake. Outages begin at a moment of somebody's wake and take their turn, one after
another, each with its own heal.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from harness.bench import Bench
from harness.fault_signs import signs_of_device
from harness.nemesis import DeviceFault, Outage, Planned, WifiDown
from harness.plan_steps import ActOn, Place, PlannedDevice, PlannedFault
from harness.soak.coverage import Coverage
from server.wire.dialects import DIALECTS
from simulator.catalogue import row_named
from simulator.profile import profile_named

WIFI_DOWN_MS: Final = 60_000
"""Longer than all tries of one wake."""

_RESTARTING: Final = ("counter_reset", "card_loss")
_FORGETS_TIME: Final = "unset-clock"

NOWHERE: Final = Place(line=0, path="nemesis")


class Striker:
    """`struck` counts the day's faults by kind; `to_come` outages have not ended yet."""

    def __init__(self, bench: Bench, coverage: Coverage) -> None:
        self.outages: asyncio.Queue[Outage] = asyncio.Queue()
        self.to_come = 0
        self.struck: Counter[str] = Counter()
        self._bench = bench
        self._coverage = coverage
        self._duts = {dut.planned.name: dut for dut in bench.duts}
        self._of_wake: dict[tuple[int, int], list[Planned]] = {}
        self._wakes_before: list[int] = []
        self._seen: set[tuple[str, int, str]] = set()
        self._windows: list[tuple[str, int, int]] = []

    def arm(self, planned: Iterable[Planned]) -> None:
        """The day's faults; those of devices are armed by number of the wake from now."""
        self._of_wake = {}
        self._seen = set()
        self._wakes_before = [dut.wakes for dut in self._bench.duts]
        of_device: dict[int, list[PlannedFault]] = {}
        for item in planned:
            self._of_wake.setdefault((item.device, item.wake), []).append(item)
            if isinstance(item, DeviceFault) and self._can(item):
                of_device.setdefault(item.device, []).append(fault_to_arm(item))
        for number, dut in enumerate(self._bench.duts):
            dut.arm(of_device.get(number, ()))
            dut.set_wifi(up=True)

    def _can(self, fault: DeviceFault) -> bool:
        """Whether the bench has a line that such a fault can strike, and the promise holds that it is judged by."""
        dut = self._bench.duts[fault.device]
        if fault.action == "corrupt_bytes" and not (_says_hash(dut.planned) and dut.planned.chunk_size_bytes >= 1_000):
            return False
        if fault.action in _RESTARTING and _FORGETS_TIME in dut.planned.profile:
            return False  # two photos of one name and one second of 1970 are one photo to everybody
        is_of_line = fault.event == "link" or fault.action == "corrupt_bytes"
        return not is_of_line or dut.mishaps.line is not None

    def _may(self, outage: Outage) -> bool:
        """Whether the bench can do that to what it shares with nobody, and there are several cameras for a herd."""
        if outage.target == "fleet":
            return len(self._bench.duts) > 1
        if self._bench.kind == "embedded":
            return True
        if outage.which:
            return False
        is_of_cluster = outage.target == "database" and outage.do != "stop"
        return not is_of_cluster and not row_named(f"{outage.target}_{outage.do}").not_processes

    def taken(self) -> dict[str, Any]:
        """The day's `faults` by kind, and the `windows` of its outages: kind, from and to in ms since the start."""
        found = {"faults": dict(sorted(self.struck.items())), "windows": self._windows}
        self._coverage.faults.update(self.struck)
        self.struck.clear()
        self._windows = []
        return found

    def _count(self, item: Planned) -> None:
        self.struck[item.kind] += 1
        self._coverage.signs[item.sign] += 1

    # -- called as things happen -------------------------------------------------------------------------

    def woken(self, who: str, wake: int) -> None:
        """A wake begins: it may find no Wi-Fi, and an outage may begin some moments into it."""
        dut, clock = self._duts[who], self._bench.clock
        number = dut.planned.number
        items = self._of_wake.get((number, wake - self._wakes_before[number]), [])
        is_down = any(isinstance(item, WifiDown) for item in items)
        dut.set_wifi(up=not is_down)
        if is_down:  # not for longer: firmware that hangs boots again and again, until its battery is empty
            clock.call_at(clock.now_ms() + WIFI_DOWN_MS, partial(dut.set_wifi, up=True))
        for item in items:
            if isinstance(item, WifiDown):
                self._count(item)
            elif isinstance(item, Outage) and self._may(item):
                self.to_come += 1
                clock.call_at(clock.now_ms() + item.after_ms, partial(self.outages.put_nowait, item))
        self._coverage.signs.update(signs_of_device(dut.planned))

    def strike(self, who: str, address: str) -> None:
        """A message was struck, or a fault that lasts began: which of the wake's faults it was, by its address.

        `action.lasting` is the address of one that lasts.
        """
        event, _, direction = address.rpartition(".")
        event = event.partition("[")[0]
        dut = self._duts[who]
        number = dut.planned.number
        for item in self._of_wake.get((number, dut.wakes - self._wakes_before[number]), []):
            if not isinstance(item, DeviceFault):
                continue
            at = item.action if item.direction == "lasting" else item.event
            if (at, item.direction) == (event, direction):
                strike = (who, dut.wakes, item.kind)
                if strike not in self._seen:  # an order is many strikes, and one fault
                    self._seen.add(strike)
                    self._count(item)

    async def act_in_turn(self) -> None:
        """Outages, for ever. A server that joins stays while others come, and leaves when it is its turn to."""
        bench = self._bench
        while True:
            outage = await self.outages.get()
            began_ms = bench.clock.elapsed_ms()
            if outage.do != "leaves":
                self._count(outage)
            if outage.target == "fleet":
                for dut in bench.duts:
                    dut.wake("timer")
            elif outage.do == "joins":
                await bench.act(_act_on(outage, "start"))
                self.to_come += 1
                leaves = replace(outage, do="leaves", after_ms=began_ms)
                bench.clock.call_at(bench.clock.now_ms() + outage.for_ms, partial(self.outages.put_nowait, leaves))
            elif outage.do == "leaves":
                await bench.act(_act_on(outage, "stop"))
                self._windows.append(("server joins", outage.after_ms, began_ms))
            else:
                await self._last(outage)
                self._windows.append((outage.kind, began_ms, bench.clock.elapsed_ms()))
            self.to_come -= 1
            self.outages.task_done()

    async def _last(self, outage: Outage) -> None:
        bench = self._bench
        await bench.act(_act_on(outage, outage.do, dict(outage.settings)))
        await bench.pass_time(bench.clock.now_ms() + outage.for_ms)
        if outage.undo:
            await bench.act(_act_on(outage, outage.undo))


def _says_hash(planned: PlannedDevice) -> bool:
    """Whether a flipped bit of its photos can be refused."""
    return DIALECTS[profile_named(planned.profile).dialect].sends_sha256


def _act_on(outage: Outage, do: str, settings: dict[str, Any] | None = None) -> ActOn:
    """On one server: the one that always serves, or the one that comes and goes."""
    target: Any = outage.target
    which = (outage.which or 0) if target == "server" else None
    return ActOn(
        place=NOWHERE, note=None, target=target, do=do, which=which, heal_after_ms=None, settings=settings or {}
    )


def fault_to_arm(fault: DeviceFault) -> PlannedFault:
    """The same, as a scenario's plan would have it."""
    return PlannedFault(
        place=NOWHERE,
        devices=(fault.device,),
        event=fault.event,
        direction=fault.direction,
        which=fault.which,
        action=fault.action,
        parameters=dict(fault.parameters),
        times=fault.times,
        wake=fault.wake,
        from_ms=fault.from_ms,
        for_ms=fault.for_ms,
    )
