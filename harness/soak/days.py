"""How the days of a soak pass: a hook of its plan, so that heal, drain and all checks follow as in any scenario.

Each day: arm the day's faults, let the hours pass, wait until every camera sleeps, then judge and measure, and write a
checkpoint where one is due. Outages begin at a moment of somebody's wake and take their turn, one after another, each
with its own heal. The first violation ends the days.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from harness.bench import Bench
from harness.expectations import Finding
from harness.nemesis import DeviceFault, Outage, Planned, WifiDown, all_kinds, planned_day
from harness.plan_steps import ActOn, Place, PlannedFault
from harness.runner import StepFailed
from harness.soak.bench import SoakBench
from harness.soak.checkpoint import Checkpoint, Progressed, commit, is_due
from harness.soak.checkpoint import begin as begin_draft
from harness.soak.coverage import Coverage
from harness.soak.daily import SAFETY, Daily
from harness.soak.history import SoakHistory
from harness.soak.machine import Costs, rss_bytes
from harness.soak.order import DAY_MS, SoakOrder
from harness.soak.telling import DayEnded, Ticked, Told

HOUR_MS: Final = 3_600_000
WIFI_DOWN_MS: Final = 60_000
"""Longer than all tries of one wake."""

NOWHERE: Final = Place(line=0, path="nemesis")


REST_WITHIN_MS: Final = HOUR_MS
REST_LOOK_MS: Final = 2_000
"""A day ends at the first instant at which everybody sleeps; a fleet that never does gets no checkpoint."""


@dataclass(slots=True)
class Setting:
    """What the hook can not get from its bench; `begin` puts it here, one soak a process.

    `folder` is where checkpoints are written, `resumed` the one to go on from.
    """

    order: SoakOrder
    history: SoakHistory
    tell: Callable[[Told], None]
    is_stopping: Callable[[], bool]
    costs: Costs
    folder: Path
    resumed: Checkpoint | None = None
    days: int = 0
    was_stopped: bool = False
    coverage: Coverage = field(default_factory=lambda: Coverage(all_kinds()))
    samples: list[dict[str, Any]] = field(default_factory=list)


_settings: list[Setting] = []


def begin(setting: Setting) -> None:
    """The next `live` of this process uses that."""
    _settings[:] = [setting]


async def live(bench: Bench) -> None:
    """The hook of the plan of a soak. Raises StepFailed at the first day with a violation."""
    await _Life(bench, _settings[-1]).live()


class _Life:
    """The days of one fleet."""

    def __init__(self, bench: Bench, setting: Setting) -> None:
        self._bench = bench
        any_bench: Any = bench
        self._parking = any_bench if isinstance(any_bench, SoakBench) else None
        self._setting = setting
        self._daily = Daily(bench, setting.history)
        self._duts = {dut.planned.name: dut for dut in bench.duts}
        self._of_wake: dict[tuple[int, int], list[Planned]] = {}
        self._wakes_before: list[int] = []
        self._outages: asyncio.Queue[Outage] = asyncio.Queue()
        self._struck: Counter[str] = Counter()
        self._seen_strikes: set[tuple[str, int, str]] = set()
        self._began = bench.clock.now()
        self._to_come = 0
        """Outages that have not ended yet."""

    async def live(self) -> None:
        """Every day, or until told to stop."""
        history = self._setting.history
        self._recall()
        history.on_wake, history.on_strike = self._woken, self._strike
        acting = asyncio.get_running_loop().create_task(self._act_in_turn())
        try:
            for day in range(self._setting.days, self._setting.order.days):
                await self._day(day, acting)
                if is_due(day + 1) and not self._setting.was_stopped:
                    await self._checkpoint()
                self._setting.tell(DayEnded(day=day + 1, sample=self._setting.samples[-1]))
                if self._setting.was_stopped:
                    break
        finally:
            history.on_wake = history.on_strike = None
            for dut in self._bench.duts:
                dut.heal()
            if not acting.done():
                await self._outages.join()
            acting.cancel()

    async def _day(self, day: int, acting: asyncio.Task[None]) -> None:
        bench, order = self._bench, self._setting.order
        self._began = bench.clock.now()
        self._arm(planned_day(order.seed, day, order.devices, order.wakes_per_day, order.chunks))
        if day == 0:
            for dut in bench.duts:
                dut.wake("poweron")
        for hour in range(DAY_MS // HOUR_MS):
            await bench.pass_time(bench.clock.start_ms + day * DAY_MS + (hour + 1) * HOUR_MS)
            self._tell_hour(day * 24 + hour + 1)
            if acting.done():
                acting.result()
            if self._setting.is_stopping():
                self._setting.was_stopped = True
                break
        else:
            await self._come_to_rest()
        await self._end_of_day(day)

    async def _come_to_rest(self) -> None:
        """Returns at a quiet instant, or where there was none for an hour."""
        bench = self._bench
        until_ms = bench.clock.now_ms() + REST_WITHIN_MS
        while not self._is_quiet() and bench.clock.now_ms() < until_ms:
            await bench.pass_time(bench.clock.now_ms() + REST_LOOK_MS)

    def _is_quiet(self) -> bool:
        is_quiet = all_asleep(self._bench) if self._parking is None else self._parking.is_quiet
        return is_quiet and not self._to_come

    # -- checkpoints -------------------------------------------------------------------------------------

    async def _checkpoint(self) -> None:
        """Parks the bench and writes everything down. In every run: a resumed one is equal to one that went on."""
        bench, setting = self._parking, self._setting
        if bench is None or not self._is_quiet():
            return
        parked = await bench.park()
        draft = begin_draft(setting.folder, setting.days)
        bench.write_rows(draft)
        progressed = Progressed(
            day=setting.days,
            history_bytes=setting.history.written_bytes(),
            cpu_s=setting.costs.cpu_s(),
            wall_s=setting.costs.wall_s(),
            counts=dict(setting.history.counts),
            samples=setting.samples,
        )
        life = {"daily": self._daily.memory(), "coverage": setting.coverage.memory()}
        commit(draft, progressed, parked, life)
        await bench.unpark()

    def _recall(self) -> None:
        """Goes on where the checkpoint was written."""
        found, bench = self._setting.resumed, self._parking
        if found is None or bench is None:
            return
        self._daily.recall(found.life["daily"])
        self._setting.coverage.recall(found.life["coverage"])
        self._setting.samples[:] = found.progressed.samples
        self._setting.history.counts.update(found.progressed.counts)
        self._setting.days = found.progressed.day
        for sample in found.progressed.samples:
            self._setting.tell(DayEnded(day=sample["day"], sample=sample, is_past=True))
        bench.recall()

    # -- telling and judging -----------------------------------------------------------------------------

    def _tell_hour(self, hours: int) -> None:
        counts = self._setting.history.counts
        self._setting.tell(
            Ticked(
                hours=hours,
                wakes=counts["wake"],
                images_captured=counts["capture"],
                faults=self._struck.total(),
                rss_bytes=rss_bytes(),
            )
        )

    async def _end_of_day(self, day: int) -> None:
        await self._bench.settle()
        async with self._bench.exclusive():
            violations = await self._daily.judged()
            sample = await self._daily.measured(self._began)
        gc.collect()
        counts = self._setting.history.counts
        sample |= {
            "day": day + 1,
            "wakes": counts["wake"],
            "messages": counts["message"],
            "rss_bytes": rss_bytes(),
            "cpu_s": self._setting.costs.cpu_s(),
            "wall_s": self._setting.costs.wall_s(),
            "faults": dict(sorted(self._struck.items())),
        }
        self._setting.samples.append(sample)
        self._setting.coverage.faults.update(self._struck)
        self._struck.clear()
        self._setting.days = day + 1
        if violations:
            self._setting.tell(DayEnded(day=day + 1, sample=sample))
            name, violation = violations[0]
            found = "; ".join(f"{check}: {item.device} {item.text}" for check, item in violations[:10])
            finding = Finding(
                holds=False,
                expected=f"safety at the end of day {day + 1}: {', '.join(SAFETY)}",
                found=found,
                rows=tuple(dict(row) for row in violation.rows),
            )
            raise StepFailed(f"day {day + 1}, check {name}", finding)

    # -- faults ------------------------------------------------------------------------------------------

    def _arm(self, planned: Iterable[Planned]) -> None:
        """The day's faults; those of devices are armed by number of the wake from now."""
        self._of_wake = {}
        self._seen_strikes = set()
        self._wakes_before = [dut.wakes for dut in self._bench.duts]
        of_device: dict[int, list[PlannedFault]] = {}
        for item in planned:
            self._of_wake.setdefault((item.device, item.wake), []).append(item)
            if isinstance(item, DeviceFault):
                of_device.setdefault(item.device, []).append(_planned_fault(item))
        for number, dut in enumerate(self._bench.duts):
            dut.arm(of_device.get(number, ()))
            dut.set_wifi(up=True)

    def _planned_for(self, who: str) -> list[Planned]:
        dut = self._duts[who]
        number = dut.planned.number
        return self._of_wake.get((number, dut.wakes - self._wakes_before[number]), [])

    def _woken(self, who: str, wake: int) -> None:
        """A wake begins: it may find no Wi-Fi, and an outage may begin some moments into it."""
        dut = self._duts[who]
        number = dut.planned.number
        items = self._of_wake.get((number, wake - self._wakes_before[number]), [])
        is_down = any(isinstance(item, WifiDown) for item in items)
        dut.set_wifi(up=not is_down)
        if is_down:  # not for longer: firmware that hangs boots again and again, until its battery is empty
            up_at_ms = self._bench.clock.now_ms() + WIFI_DOWN_MS
            self._bench.clock.call_at(up_at_ms, partial(dut.set_wifi, up=True))
        self._struck.update(item.kind for item in items if isinstance(item, WifiDown))
        for item in items:
            if isinstance(item, Outage):
                self._to_come += 1
                at_ms = self._bench.clock.now_ms() + item.after_ms
                self._bench.clock.call_at(at_ms, partial(self._outages.put_nowait, item))

    def _strike(self, who: str, address: str) -> None:
        """A message was struck: which of the wake's faults it was, by its address."""
        event, _, direction = address.rpartition(".")
        event = event.partition("[")[0]
        for item in self._planned_for(who):
            if isinstance(item, DeviceFault) and (item.event, item.direction) == (event, direction):
                strike = (who, self._duts[who].wakes, item.kind)
                self._struck[item.kind] += strike not in self._seen_strikes  # an order is many strikes, and one fault
                self._seen_strikes.add(strike)

    async def _act_in_turn(self) -> None:
        while True:
            outage = await self._outages.get()
            self._struck[outage.kind] += 1
            await self._bench.act(_act_on(outage.target, outage.do))
            await self._bench.pass_time(self._bench.clock.now_ms() + outage.for_ms)
            if outage.undo:
                await self._bench.act(_act_on(outage.target, outage.undo))
            self._to_come -= 1
            self._outages.task_done()


def all_asleep(bench: Bench) -> bool:
    """Every device sleeps, or has no power."""
    return all(dut.is_asleep for dut in bench.duts)


def _act_on(target: Any, do: Any) -> ActOn:
    return ActOn(place=NOWHERE, note=None, target=target, do=do, which=None, heal_after_ms=None)


def _planned_fault(fault: DeviceFault) -> PlannedFault:
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
    )
