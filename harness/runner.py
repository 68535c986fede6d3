"""Interprets a plan on a bench: the one orchestrator. Steps in order, then heal, drain, check.

Nothing here knows which bench it runs on, and nothing asserts while a step goes on: an expectation is a question that
`expectations` answers. `always` and `never` are asked after every COMMIT of a server and every message; `eventually`
as well, until its limit. The first step that fails ends the steps; heal, drain and checks follow all the same.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import board_steps, checks
from harness.bench import Bench
from harness.blaming import blame_of
from harness.errors import InternalError, WakestormError
from harness.events import Failure
from harness.evidence import Evidence
from harness.expectations import Finding, World, evaluate, http_finding, is_from_database
from harness.failing import failure_of, title_of
from harness.gathering import gathered, image_rows, ledger_of
from harness.migrating import heal, migrate
from harness.observe import ObservationTimedOut, Observer
from harness.plan import Plan
from harness.plan_steps import (
    ActOn,
    Advance,
    Call,
    Expect,
    Flash,
    Hook,
    Http,
    InsertRows,
    Migrate,
    Offline,
    Power,
    RunSql,
    Send,
    StepPlan,
    Talk,
    UpdateRows,
    Wake,
)
from harness.rows import call_function, give
from harness.sending import send
from harness.verdict import Verdict


class StepFailed(Exception):
    """A step did not do what it says; carries the finding."""

    def __init__(self, title: str, finding: Finding) -> None:
        super().__init__(title)
        self.title = title
        self.finding = finding


class TimeLimitReached(WakestormError):
    """The scenario's time_limit of scenario time is over."""


@dataclass(slots=True)
class Watch:
    """An `always` or `never` expectation on watch; `until_ms` None: to the end."""

    index: int
    expect: Expect
    since: int
    until_ms: int | None
    finding: Finding | None = None


class Runner:
    """Runs one plan. `failures` and `evidence` stand after `run`."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.plan: Plan = bench.plan
        self.failures: list[Failure] = []
        self.verdict = Verdict.PASS
        self.evidence: Evidence | None = None
        self._observer = Observer(bench.reader, bench.clock.now)
        self._world = World(bench, self._observer, self._ledger)
        self._since = 0
        self._step_index = 0
        self._watches = [Watch(-1, expect, -1, None) for expect in self.plan.watches]

    # -- the whole -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Steps, heal, drain, checks."""
        if self._watches:
            self.bench.on_commit.append(self._look_after_commit)
        for dut in self.bench.duts:
            dut.heal()
        await self._steps()
        try:
            await self._heal_and_drain()
            await self._look_once_more()
        except StepFailed as failed:
            if failed.title not in [failure.title for failure in self.failures]:  # a board stays in trouble
                self._fail(failed.title, failed.finding, None)
        self._judge_watches()
        await self._check()

    async def _steps(self) -> None:
        for index, step in enumerate(self.plan.steps):
            if not await self._try(index, step):
                return

    async def _try(self, index: int, step: StepPlan) -> bool:
        """One step; False where it ends the steps."""
        self._step_index = index
        self._note("invoke", step, index)
        if not isinstance(step, Expect):
            self._since = len(self.bench.history)
        try:
            await self._step(index, step)
            self._look_at_boards()
            if (elapsed_ms := self.bench.clock.elapsed_ms()) > self.plan.time_limit_ms:
                raise TimeLimitReached(f"{elapsed_ms} ms of {self.plan.time_limit_ms} ms are over")
        except StepFailed as failed:
            self._note("fail", step, index)
            self._fail(failed.title, failed.finding, step)
            return False
        except ObservationTimedOut as error:
            self._note("info", step, index)
            self._inconclusive(str(error), step)
            return False
        except WakestormError as error:
            self._note("fail", step, index)
            finding = Finding(holds=False, expected="the step to work", found=str(error))
            self._fail(type(error).__name__, finding, step, error=error)
            return False
        self._note("ok", step, index)
        return True

    def _note(self, kind: Any, step: StepPlan, index: int) -> None:
        name = type(step).__name__.lower()
        self.bench.history.append(self.bench.clock.elapsed_ms(), kind, "runner", step=name, index=index)

    async def _step(self, index: int, step: StepPlan) -> None:
        bench = self.bench
        match step:
            case Wake():
                await self._wake(step)
            case Advance():
                self._arm(step.devices, step.faults)
                await self._advance(step)
            case Offline():
                await self._offline(step)
            case InsertRows() | UpdateRows() | RunSql():
                await give(bench, step)
            case Send():
                await send(bench, step)
            case ActOn():
                await bench.act(step)
            case Migrate():
                self._demand("a migration", await migrate(bench, step))
            case Call():
                await self._call(step)
            case Http():
                self._demand("an HTTP exchange", await http_finding(bench, step.exchange))
            case Power():
                self._power(step)
            case Flash():
                await board_steps.flash(bench, step)
            case Talk():
                await board_steps.talk(bench, step)
            case Hook():
                await self._hook(step)
            case Expect():
                await self._expect(index, step)

    # -- steps -----------------------------------------------------------------------------------------

    def _arm(self, devices: Sequence[int], faults: Sequence[Any]) -> None:
        for number in sorted({*devices, *(device for fault in faults for device in fault.devices)}):
            if faults:
                self.bench.duts[number].arm(faults)

    async def _wake(self, step: Wake) -> None:
        self._arm(step.devices, step.faults)
        duts = [self.bench.duts[number] for number in step.devices]
        for dut in duts:
            dut.set_wifi(up=step.wifi_up)
            dut.wake("button")
        if step.wait:
            await self._wait_asleep(step.devices)
            for dut in duts:
                dut.set_wifi(up=True)

    async def _wait_asleep(self, devices: Sequence[int]) -> None:
        """Returns when these devices sleep and the servers have worked off what they sent."""
        bench = self.bench
        limit_ms = min((bench.duts[number].wake_limit_ms for number in devices), default=0)
        until_ms = bench.clock.now_ms() + limit_ms
        while awake := [bench.duts[number] for number in devices if not bench.duts[number].is_asleep]:
            if not await bench.changes.wait(bench.clock, until_ms):
                names = ", ".join(dut.planned.name for dut in awake)
                expected = f"asleep within {limit_ms // 1000} s"
                finding = Finding(holds=False, expected=expected, found=f"still awake: {names}")
                raise StepFailed("devices do not sleep", finding)
            self._look_at_boards()
        await bench.settle()

    async def _advance(self, step: Advance) -> None:
        if step.duration_ms is not None:
            await self.bench.pass_time(self.bench.clock.now_ms() + step.duration_ms)
            return
        duts = [self.bench.duts[number] for number in step.devices]
        if all(dut.next_wake_ms is None for dut in duts):
            await self._wait_asleep(step.devices)  # in real time one may be about to fall asleep
        if not (due := [dut.next_wake_ms for dut in duts if dut.next_wake_ms is not None]):
            raise StepFailed("advance: next_wake", Finding(holds=False, expected="a next wake", found="none"))
        await self.bench.pass_time(max(due))

    async def _offline(self, step: Offline) -> None:
        duts = [self.bench.duts[number] for number in step.devices]
        for dut in duts:
            dut.set_wifi(up=False)
        for _ in range(step.wakes):
            for dut in duts:
                if dut.is_asleep and dut.next_wake_ms is None:
                    dut.wake("poweron")  # nothing else would ever wake it
            due = [dut.next_wake_ms for dut in duts if dut.next_wake_ms is not None]
            await self.bench.pass_time(max(due, default=self.bench.clock.now_ms()))
            await self._wait_asleep(step.devices)
        for dut in duts:
            dut.set_wifi(up=True)

    def _power(self, step: Power) -> None:
        for dut in (self.bench.duts[number] for number in step.devices):
            match step.do:
                case "loss":
                    dut.power_loss(step.restore_after_ms)
                case "restore":
                    dut.wake("poweron")
                case "reset":
                    dut.reset()

    async def _call(self, step: Call) -> None:
        rows = await call_function(self.bench, step)
        self._since = len(self.bench.history)
        self._demand(f"call {step.function}", rows)

    async def _hook(self, step: Hook) -> None:
        function = getattr(importlib.import_module(step.module), step.function)
        result = function(self.bench, **step.args)
        if hasattr(result, "__await__"):
            result = await result
        if result is False:
            raise StepFailed(f"hook {step.function}", Finding(holds=False, expected="not False", found="False"))

    def _look_at_boards(self) -> None:
        """The fail list of every console is active in every step."""
        if (trouble := board_steps.trouble(self.bench)) is not None:
            raise StepFailed(*trouble)

    def _demand(self, title: str, finding: Finding) -> None:
        if not finding.holds:
            raise StepFailed(title, finding)

    # -- expectations ------------------------------------------------------------------------------------

    async def _expect(self, index: int, step: Expect) -> None:
        since = -1 if step.since_start else self._since
        match step.mode:
            case "now":
                await self.bench.settle()
                self._demand(title_of(step), await self._look(step, since))
            case "eventually":
                await self._eventually(step, since)
            case _:
                until_ms = None if step.window_ms is None else self.bench.clock.now_ms() + step.window_ms
                self._watches.append(Watch(index, step, since, until_ms))
                if self._look_after_commit not in self.bench.on_commit:
                    self.bench.on_commit.append(self._look_after_commit)

    async def _look(self, step: Expect, since: int) -> Finding:
        if is_from_database(step.subject):
            async with self.bench.exclusive():
                return await evaluate(self._world, step.subject, since)
        return await evaluate(self._world, step.subject, since)

    async def _eventually(self, step: Expect, since: int) -> None:
        clock = self.bench.clock
        until_ms = clock.now_ms() + (step.window_ms or 0)
        while True:
            finding = await self._look(step, since)
            if finding.holds:
                return
            if clock.now_ms() >= until_ms:
                raise StepFailed(title_of(step), finding)
            self._look_at_boards()
            await self.bench.changes.wait(clock, until_ms)

    async def _look_after_commit(self) -> None:
        """After a COMMIT, before the next transaction: every watch is asked."""
        for watch in self._watches:
            if watch.finding is None and self._is_on(watch):
                await self._ask(watch)

    def _is_on(self, watch: Watch) -> bool:
        return watch.until_ms is None or self.bench.clock.now_ms() <= watch.until_ms

    async def _ask(self, watch: Watch) -> None:
        finding = await evaluate(self._world, watch.expect.subject, watch.since)
        if finding.holds == (watch.expect.mode == "never"):
            watch.finding = finding.at(self.bench.clock.elapsed_ms())

    async def _look_once_more(self) -> None:
        async with self.bench.exclusive():
            for watch in self._watches:
                if watch.finding is None and watch.until_ms is None:
                    await self._ask(watch)

    def _judge_watches(self) -> None:
        for watch in self._watches:
            if watch.finding is not None:
                self._fail(title_of(watch.expect), watch.finding, watch.expect)

    # -- heal, drain, check --------------------------------------------------------------------------------

    async def _heal_and_drain(self) -> None:
        """Every fault ends; then each device has so many wakes to get its queue empty (design 6.4: two)."""
        bench = self.bench
        bench.history.append(bench.clock.elapsed_ms(), "info", "runner", phase="heal")
        everybody = range(len(bench.duts))
        for dut in bench.duts:
            dut.heal()
        await heal(bench)
        await self._wait_asleep(everybody)
        for _ in range(self.plan.drain_wakes):
            woken = [dut for dut in bench.duts if dut.wakes]
            due = [dut.next_wake_ms for dut in woken if dut.next_wake_ms is not None]
            if due:
                await self.bench.pass_time(max(due))
                await self._wait_asleep(everybody)
            if not any(dut.pending for dut in bench.duts):
                break  # every queue is empty, sooner than demanded
        for dut in bench.duts:
            dut.rest()
        await bench.finish_sessions()

    async def _ledger(self) -> Any:
        return ledger_of(self.bench, await image_rows(self.bench, self._observer))

    async def _check(self) -> None:
        for text in self.bench.server_failures():
            self._fail("a server ended by itself", Finding(holds=False, expected="it serves", found=text), None)
            self.failures.insert(0, self.failures.pop())  # what else is wrong may well come of it
        async with self.bench.exclusive():
            evidence = self.evidence = await gathered(self.bench, self._observer)
        names = checks.ALL if "all" in self.plan.checks else self.plan.checks
        for name in names:
            try:
                violations = importlib.import_module(f"harness.checks.{name}").check(evidence)
            except Exception as error:
                raise InternalError(f"the check {name} crashed: {type(error).__name__}: {error}") from error
            for violation in violations:
                if not self._is_waived(name, violation.device):
                    finding = Finding(
                        holds=False,
                        expected=checks.CATALOGUE[name],
                        found=violation.text,
                        rows=tuple(dict(row) for row in violation.rows),
                    )
                    self._fail(f"check {name}", finding, None, device=violation.device, path=name)
        bad = [failure.path for failure in self.failures]
        self.bench.history.append(self.bench.clock.elapsed_ms(), "check", "runner", checks=list(names), failed=bad)

    def _is_waived(self, check: str, device: str) -> bool:
        numbers = {planned.number for planned in self.plan.devices if planned.name == device}
        return any(
            waiver.check == check and (not device or numbers <= set(waiver.devices)) for waiver in self.plan.waivers
        )

    # -- failures ------------------------------------------------------------------------------------------

    def _inconclusive(self, why: str, step: StepPlan) -> None:
        self._fail("nothing was proved", Finding(holds=False, expected="an answer", found=why), step)
        self.verdict = Verdict.INCONCLUSIVE

    def _fail(
        self,
        title: str,
        finding: Finding,
        step: StepPlan | None,
        *,
        device: str = "",
        path: str = "",
        error: BaseException | None = None,
    ) -> None:
        self.verdict = Verdict.FAIL if self.verdict is Verdict.PASS else self.verdict
        blame = blame_of(step, error, board_steps.blames(self.bench))
        failure = failure_of(self.bench, title, finding, step, self._step_index, device=device, path=path)
        self.failures.append(replace(failure, blame=blame.value))
