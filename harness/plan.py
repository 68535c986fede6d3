"""Scenario, case and seed to a plan: pure, and the same for the same input.

The plan's own types are in `plan_steps`, its devices in `plan_devices`; this file translates the steps. Expectations
that watch the whole scenario (`always: true`, `never: true`) leave the order of steps for `Plan.watches`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from harness.plan_devices import Fleet, fleet_of
from harness.plan_expect import is_watch, planned_expectation, planned_http, planned_range
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
    Place,
    PlannedDevice,
    PlannedFault,
    Power,
    RunSql,
    Send,
    StepPlan,
    Talk,
    Target,
    UpdateRows,
    Wake,
)
from harness.plan_upload import planned_upload
from harness.scenario import Case, LoadedScenario, Scenario
from harness.scenario_acts import Act, BrokerStep, DatabaseStep, ServerStep, StoreStep
from harness.scenario_board_steps import ConsoleStep, FlashStep
from harness.scenario_faults import LINK_ACTIONS, Fault
from harness.scenario_steps import (
    AdvanceStep,
    CallStep,
    ExpectStep,
    GivenStep,
    HookStep,
    HttpStep,
    MigrateStep,
    OfflineStep,
    PowerStep,
    SendStep,
    UploadStep,
    WakeStep,
)
from harness.scenario_types import Scalar, Step

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWaiver:
    """A check that may fail for these devices, and why."""

    check: str
    because: str
    devices: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run, whole: everything the runner needs, and nothing it would have to look up."""

    scenario: str
    """The file's path as it was given, without its suffix."""
    case: str
    """`[k=3,how=cut]`, or nothing."""
    values: Mapping[str, Scalar]
    name: str
    path: str
    covers: tuple[str, ...]
    tags: tuple[str, ...]
    seed: int
    start_ms: int
    """Since 1970-01-01 UTC."""
    time_limit_ms: int
    revision: str
    """Where the schema begins; at another than `head` no server runs at first."""
    servers: int
    devices: tuple[PlannedDevice, ...]
    steps: tuple[StepPlan, ...]
    watches: tuple[Expect, ...]
    checks: tuple[str, ...]
    waivers: tuple[PlannedWaiver, ...]
    drain_wakes: int

    @property
    def devices_with_line_faults(self) -> frozenset[int]:
        """Numbers of the devices whose connections something happens to, byte by byte."""
        faults = [fault for step in self.steps if isinstance(step, Wake | Advance) for fault in step.faults]
        return frozenset(number for fault in faults if fault.action in LINK_ACTIONS for number in fault.devices)

    @property
    def id(self) -> str:
        """File and case: `scenarios/resume/cut[k=3]`."""
        return self.scenario + self.case


def plans_of(loaded: LoadedScenario, seed: int | None = None) -> list[Plan]:
    """One plan for every case of the file; `seed` overrides the file's."""
    return [plan_of(loaded, case, seed) for case in loaded.cases]


def plan_of(loaded: LoadedScenario, case: Case, seed: int | None = None, macs: Sequence[str] = ()) -> Plan:
    """The plan of one case; `macs` take the place of the devices' own, in order, as far as they go."""
    scenario = case.model
    compiler = _Compiler(scenario, loaded.lines, macs)
    compiled = [compiler.step(index, step) for index, step in enumerate(scenario.steps)]
    return Plan(
        scenario=loaded.path.with_suffix("").as_posix(),
        case=case.id,
        values=case.values,
        name=scenario.name,
        path=loaded.path.as_posix(),
        covers=tuple(scenario.covers),
        tags=tuple(scenario.tags),
        seed=scenario.seed if seed is None else seed,
        start_ms=(scenario.start - _EPOCH) // timedelta(milliseconds=1),
        time_limit_ms=scenario.time_limit_ms,
        revision=scenario.revision,
        servers=scenario.servers,
        devices=compiler.fleet.devices,
        steps=tuple(step for step in compiled if not is_watch(step)),
        watches=tuple(step for step in compiled if isinstance(step, Expect) and is_watch(step)),
        checks=tuple(scenario.checks),
        waivers=tuple(
            PlannedWaiver(check=waiver.check, because=waiver.because, devices=compiler.fleet.numbers_or_all(waiver.who))
            for waiver in scenario.waive
        ),
        drain_wakes=scenario.drain.wakes,
    )


class _Compiler:
    """Translates steps one by one."""

    def __init__(self, scenario: Scenario, lines: Mapping[str, int], macs: Sequence[str]) -> None:
        self.fleet: Fleet = fleet_of(scenario, macs)
        self.lines = lines

    def step(self, index: int, step: Step) -> StepPlan:
        path = f"steps[{index}]"
        place = Place(line=self.lines.get(path, 1), path=path)
        match step:
            case FlashStep() | ConsoleStep():
                return self._of_boards(step, place)
            case WakeStep() | AdvanceStep() | OfflineStep() | PowerStep():
                return self._of_devices(step, place)
            case GivenStep():
                return self._given(step, place)
            case SendStep():
                return self._send(step, place)
            case ExpectStep():
                return planned_expectation(step.expect, self.fleet, place, step.note)
            case ServerStep() | BrokerStep() | DatabaseStep() | StoreStep():
                return _act_on(step, place)
            case MigrateStep(migrate=migration):
                sql = None if migration.sql is None else self.fleet.filled(migration.sql)
                ways: dict[str, str | None] = {"to": migration.to, "sql": sql, "stamp": migration.stamp}
                return Migrate(place=place, note=step.note, fails=migration.fails, **ways)
            case CallStep():
                return self._call(step, place)
            case HttpStep():
                return Http(place=place, note=step.note, exchange=planned_http(step.http, self.fleet))
            case UploadStep():
                return Http(place=place, note=step.note, exchange=planned_upload(step.upload, self.fleet))
            case HookStep():
                module, function = step.hook.split(":")
                args = self.fleet.filled(dict(step.args))
                return Hook(place=place, note=step.note, module=module, function=function, args=args)
        raise AssertionError(f"a step without translation: {step!r}")

    def _of_devices(self, step: WakeStep | AdvanceStep | OfflineStep | PowerStep, place: Place) -> StepPlan:
        match step:
            case WakeStep():
                return Wake(
                    place=place,
                    note=step.note,
                    devices=self.fleet.numbers(step.wake),
                    faults=self._faults(step.faults, place),
                    wait=step.wait,
                    wifi_up=step.wifi == "up",
                )
            case AdvanceStep():
                return Advance(
                    place=place,
                    note=step.note,
                    duration_ms=step.advance_ms if isinstance(step.advance_ms, int) else None,
                    devices=self.fleet.numbers_or_all(step.of),
                    faults=self._faults(step.faults, place),
                )
            case OfflineStep():
                devices = self.fleet.numbers(step.offline)
                return Offline(place=place, note=step.note, devices=devices, wakes=step.wakes)
            case PowerStep():
                return Power(
                    place=place,
                    note=step.note,
                    devices=self.fleet.numbers(step.power.who),
                    do=step.power.do,
                    restore_after_ms=step.power.for_ms,
                )

    def _of_boards(self, step: FlashStep | ConsoleStep, place: Place) -> StepPlan:
        match step:
            case FlashStep(flash=flash):
                devices = self.fleet.numbers(flash.who)
                return Flash(place=place, note=step.note, devices=devices, firmware=flash.firmware, force=flash.force)
            case ConsoleStep(console=console):
                return Talk(
                    place=place,
                    note=step.note,
                    devices=self.fleet.numbers(console.who),
                    write=None if console.write is None else self.fleet.filled(console.write),
                    pattern=console.contains or console.matches,
                    is_literal=console.contains is not None,
                    within_ms=console.within_ms,
                    allow=tuple(console.allow),
                )

    def _faults(self, faults: Sequence[Fault], place: Place) -> tuple[PlannedFault, ...]:
        return tuple(self._fault(fault, f"{place.path}.faults[{index}]") for index, fault in enumerate(faults))

    def _fault(self, fault: Fault, path: str) -> PlannedFault:
        action = fault.do.name
        settings = getattr(fault.do, action).model_dump()
        if action == "reorder" and settings["by"] is None and settings["order"] is None:
            settings["by"] = 1
        return PlannedFault(
            place=Place(line=self.lines.get(path, 1), path=path),
            devices=self.fleet.numbers(fault.who),
            event=fault.at.event,
            direction=fault.at.direction,
            which=fault.at.which,
            action=action,
            parameters=settings,
            times=None if fault.times == "all" else fault.times,
            wake=fault.wake,
            from_ms=fault.from_ms,
            for_ms=fault.for_ms,
        )

    def _given(self, step: GivenStep, place: Place) -> StepPlan:
        given = step.given
        if given.sql is not None:
            return RunSql(place=place, note=step.note, sql=self.fleet.filled(given.sql))
        assert given.table is not None, "the model asks for a table"
        if given.rows is not None:
            rows = tuple(self.fleet.row(row) for row in given.rows)
            return InsertRows(place=place, note=step.note, table=given.table, rows=rows)
        return UpdateRows(
            place=place,
            note=step.note,
            table=given.table,
            where=self.fleet.row(given.where or {}),
            values=self.fleet.row(given.set_values or {}),
        )

    def _send(self, step: SendStep, place: Place) -> Send:
        send = step.send
        payload: bytes | None = None
        if "json_body" in send.model_fields_set:
            payload = json.dumps(self.fleet.filled(send.json_body), ensure_ascii=False).encode()
        elif send.text is not None:
            payload = str(self.fleet.filled(send.text)).encode()
        elif send.base64_body is not None:
            payload = base64.b64decode(send.base64_body)
        return Send(
            place=place,
            note=step.note,
            devices=self.fleet.numbers_or_none(send.from_who),
            topic=self.fleet.filled(send.topic),
            payload=payload,
            size_bytes=send.size_bytes,
            times=send.times,
            within_ms=send.within_ms,
            qos=send.qos,
            retain=send.retain,
        )

    def _call(self, step: CallStep, place: Place) -> Call:
        call = step.call
        named = isinstance(call.args, dict)
        return Call(
            place=place,
            note=step.note,
            function=call.function,
            args=() if named else tuple(self.fleet.filled(list(call.args))),
            named_args=self.fleet.filled(call.args) if named else {},
            returns=None if call.returns is None else tuple(self.fleet.filled(call.returns)),
            count=planned_range(call.count),
        )


def _act_on(step: ServerStep | BrokerStep | DatabaseStep | StoreStep, place: Place) -> ActOn:
    match step:
        case ServerStep(server=server):
            which = None if server.which == "all" else server.which
            return _acting(step, place, "server", server.do, server, which)
        case BrokerStep(broker=broker):
            return _acting(step, place, "broker", broker.do, broker, None)
        case DatabaseStep(database=database):
            return _acting(step, place, "database", database.do, database, None)
        case StoreStep(store=store):
            return _acting(step, place, "store", store.do, store, None)


def _acting(step: Step, place: Place, target: Target, do: str, act: Act, which: int | None) -> ActOn:
    settings = act.settings if target != "server" else {k: v for k, v in act.settings.items() if k != "which"}
    return ActOn(
        place=place,
        note=step.note,
        target=target,
        do=do,
        which=which,
        heal_after_ms=act.for_ms,
        settings=settings,
    )
