"""How the days of a soak pass: a hook of its plan, so that heal, drain and all checks follow as in any scenario.

Each day: arm the day's faults, let the hours pass, wait until every camera sleeps, then judge and measure, and write a
checkpoint where one is due. The first violation ends the days.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.bench import Bench
from harness.expectations import Finding
from harness.nemesis import all_kinds, planned_day
from harness.runner import StepFailed
from harness.soak.bench import QUIET_MS, SoakBench
from harness.soak.checkpoint import Checkpoint, Progressed, add_sample, commit, is_due, samples_of
from harness.soak.checkpoint import begin as begin_draft
from harness.soak.coverage import Coverage
from harness.soak.daily import SAFETY, Daily
from harness.soak.firmware import firmware_of_day
from harness.soak.history import SoakHistory
from harness.soak.machine import Costs, give_back, heap_bytes, rss_bytes
from harness.soak.order import DAY_MS, SoakOrder
from harness.soak.people import acts_of_day, let_people_act
from harness.soak.striking import Striker
from harness.soak.telling import DayEnded, Ticked, Told

HOUR_MS: Final = 3_600_000

REST_WITHIN_MS: Final = HOUR_MS
REST_LOOK_MS: Final = 2_000
"""A day ends at the first instant at which everybody sleeps; a fleet that never does gets no checkpoint."""

SETTLING_MS: Final = 7 * 60_000
"""Statements of a server's connections are forgotten after 5 minutes, timers of a wake sooner: a day on which they were
counted would look larger than one on which they were not."""


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
        self._striker = Striker(bench, setting.coverage)
        self._began = bench.clock.now()

    async def live(self) -> None:
        """Every day, or until told to stop."""
        history = self._setting.history
        self._recall()
        history.on_wake, history.on_strike = self._striker.woken, self._striker.strike
        acting = asyncio.get_running_loop().create_task(self._striker.act_in_turn())
        try:
            for day in range(self._setting.days, self._setting.order.days):
                sample = await self._day(day, acting)
                if is_due(day + 1) and not self._setting.was_stopped:
                    await self._checkpoint(sample)
                else:
                    add_sample(self._setting.folder, sample)
                self._setting.tell(DayEnded(day=day + 1, sample=sample))
                if self._setting.was_stopped:
                    break
        finally:
            history.on_wake = history.on_strike = None
            for dut in self._bench.duts:
                dut.heal()
            if not acting.done():
                await self._striker.outages.join()
            acting.cancel()
        await let_people_act(self._bench, ())

    async def _day(self, day: int, acting: asyncio.Task[None]) -> dict[str, Any]:
        """Returns its sample."""
        bench, order = self._bench, self._setting.order
        self._began = bench.clock.now()
        acts = acts_of_day(order.seed, day, order.devices)
        await let_people_act(bench, acts)
        self._setting.coverage.people.update(act.name for act in acts)
        self._flash(day)
        self._striker.arm(planned_day(order.seed, day, order.devices, order.wakes_per_day, order.chunks))
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
            if is_due(day + 1):
                for dut in bench.duts:
                    dut.heal()  # parking does; an empty battery is renewed by that, and its camera wakes in the middle
            await self._come_to_rest()
        return await self._end_of_day(day)

    def _flash(self, day: int) -> None:
        """Each camera gets that day's firmware; one that does not sleep keeps what it has.

        Who replaces firmware that spoils photos replaces the card too: nobody will ever confirm them, and a few such
        days would fill it for good.
        """
        order = self._setting.order
        for dut, wanted in zip(self._bench.duts, firmware_of_day(order.seed, day, order.devices), strict=True):
            if not dut.is_asleep:
                continue
            dut.mishaps.heal()
            has_spoilt = dut.device.profile.jpeg_without is not None
            dut.flash(
                wanted.profile,
                reconnects_per_wake=wanted.reconnects_per_wake,
                chunk_spacing_ms=wanted.chunk_spacing_ms,
                burst_chunks=wanted.burst_chunks,
            )
            if has_spoilt and dut.profile.jpeg_without is None:
                dut.mishaps.lose_card()

    async def _come_to_rest(self) -> None:
        """Returns at a quiet instant, or where there was none for an hour."""
        bench = self._bench
        until_ms = bench.clock.now_ms() + REST_WITHIN_MS
        while not self._is_quiet() and bench.clock.now_ms() < until_ms:
            await bench.pass_time(bench.clock.now_ms() + REST_LOOK_MS)
        if self._parking is not None and self._parking.is_quiet_for(SETTLING_MS + QUIET_MS):
            await bench.pass_time(bench.clock.now_ms() + SETTLING_MS)

    def _is_quiet(self) -> bool:
        is_quiet = all_asleep(self._bench) if self._parking is None else self._parking.is_quiet
        return is_quiet and not self._striker.to_come

    # -- checkpoints -------------------------------------------------------------------------------------

    async def _checkpoint(self, sample: dict[str, Any]) -> None:
        """Parks the bench and writes everything down. In every run: a resumed one is equal to one that went on.

        With the servers away, what they hold by their age is no part of the memory: that is the figure that is judged.
        """
        bench, setting = self._parking, self._setting
        if bench is None or not self._is_quiet():
            add_sample(setting.folder, sample)
            return
        parked = await bench.park()
        bench.forget_crashed()
        give_back()
        sample["kept_bytes"] = self._heap_bytes()
        add_sample(setting.folder, sample)
        draft = begin_draft(setting.folder, setting.days)
        bench.write_rows(draft)
        progressed = Progressed(
            day=setting.days,
            history_bytes=setting.history.written_bytes(),
            cpu_s=setting.costs.cpu_s(),
            wall_s=setting.costs.wall_s(),
            counts=dict(setting.history.counts),
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
        self._setting.history.counts.update(found.progressed.counts)
        self._setting.days = found.progressed.day
        for sample in samples_of(self._setting.folder, found.progressed.day):
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
                faults=self._striker.struck.total(),
                rss_bytes=rss_bytes(),
            )
        )

    def _heap_bytes(self) -> int:
        """Less the photos on the simulated cards: how many are pending is the day's luck. 0 where nobody can say."""
        on_cards = sum(len(entry.jpeg or b"") for dut in self._bench.duts for entry in dut.device.card.captures)
        return max(0, heap_bytes() - on_cards)

    async def _end_of_day(self, day: int) -> dict[str, Any]:
        await self._bench.settle()
        async with self._bench.exclusive():
            violations = await self._daily.judged()
            sample = await self._daily.measured(self._began)
        if self._parking is not None:
            self._parking.forget_crashed()
        give_back()
        counts = self._setting.history.counts
        sample |= {
            "day": day + 1,
            "wakes": counts["wake"],
            "messages": counts["message"],
            "heap_bytes": self._heap_bytes(),
            "kept_bytes": 0,
            "rss_bytes": rss_bytes(),
            "server_rss_bytes": self._rss_bytes_of(getattr(self._bench, "servers", ())),
            "broker_rss_bytes": self._rss_bytes_of(filter(None, (getattr(self._bench, "broker", None),))),
            "cpu_s": self._setting.costs.cpu_s(),
            "wall_s": self._setting.costs.wall_s(),
            **self._striker.taken(),
        }
        self._setting.days = day + 1
        if violations:
            add_sample(self._setting.folder, sample)
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
        return sample

    @staticmethod
    def _rss_bytes_of(processes: Iterable[Any]) -> int:
        """Of server or broker processes; 0 in a bench that has none."""
        return sum(rss_bytes(process.pid) for process in processes if process.pid is not None)


def all_asleep(bench: Bench) -> bool:
    """Every device sleeps, or has no power."""
    return all(dut.is_asleep for dut in bench.duts)
