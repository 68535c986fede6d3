"""What of a plan needs more than a target allows, before it runs: each step with its line and the reason.

Without `TheirTables` (no database was asked) tables and columns are not judged, only what no target ever allows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from harness import checks
from harness.cron import cron_of_interval
from harness.dut.simulated import profile_of
from harness.errors import Mistake, did_you_mean
from harness.plan import Plan
from harness.plan_devices import MAC_PREFIX
from harness.plan_steps import (
    ActOn,
    Advance,
    Call,
    Expect,
    Hook,
    Http,
    HttpExchange,
    InsertRows,
    LogSubject,
    MessageSubject,
    Migrate,
    Place,
    PlannedDevice,
    RowsSubject,
    RunSql,
    Send,
    SqlSubject,
    StepPlan,
    Subject,
    UpdateRows,
    Wake,
)
from harness.scenario_faults import LINK_ACTIONS
from harness.scenario_migration import HEAD
from harness.sql_guard import problems
from harness.target import Target
from harness.target_view import TheirTables
from harness.units import duration_text
from server.wire.errors import RemoteProtocolError
from server.wire.topics import parse_uplink

OWN_BENCH: Final = "--bench processes or embedded, with wakestorm's own server"
_WAKE_KEYS: Final = ("next_wake_time", "next_wake")
_IMAGE_STATE: Final = ("image_size", "failed_at", "retry_count", "max_retries")
_SESSION: Final = ("session_id", "wake_timestamp", "status", "ended_at", "hello_digest")
_PAYLOAD: Final = ("payload_id", "received_at", "protocol_state", "payload_status", "is_complete", "image_status")

_Refusal = tuple[Place, str, str]


def refusals_of_target(
    plan: Plan, target: Target, start_default_ms: int, tables: TheirTables | None = None
) -> list[Mistake]:
    """Everything of this plan that the target does not allow, each with its line and the reason."""
    found = [
        *_of_scenario(plan, target, start_default_ms),
        *(refusal for step in (*plan.steps, *plan.watches) for refusal in _of_step(plan, step, target)),
    ]
    if tables is not None:
        steps = [step for step in (*plan.steps, *plan.watches) if isinstance(step, Expect)]
        found += [refusal for step in steps for refusal in _of_rows(step, tables)]
        found += _of_checks(plan, tables)
    return [Mistake(plan.path, place.line, place.path, reason, hint) for place, reason, hint in dict.fromkeys(found)]


def _of_scenario(plan: Plan, target: Target, start_default_ms: int) -> Iterator[_Refusal]:
    nowhere = Place(line=1, path="")
    if plan.revision != HEAD:
        yield nowhere, "the scenario begins at an older schema; the target's is its own", OWN_BENCH
    if plan.servers != 1:
        yield nowhere, f"the scenario wants {plan.servers} servers; how many there are is the target's own", OWN_BENCH
    if plan.start_ms != start_default_ms:
        yield nowhere, "the scenario has a time of its own (start); the target's clock can not be moved", OWN_BENCH
    groups: set[str] = set()
    for device in plan.devices:
        if device.group not in groups:  # the others are like it
            yield from _of_group(device, target, nowhere)
        groups.add(device.group)
        yield from _of_mac(device, nowhere)


def _of_group(device: PlannedDevice, target: Target, place: Place) -> Iterator[_Refusal]:
    dialect = profile_of(device).dialect
    if dialect not in target.devices.dialects:
        allowed = ", ".join(target.devices.dialects)
        yield place, f"{device.group} speaks {dialect}, the target takes {allowed}", "devices.dialects of the target"
    if device.provisioning != "mapped":
        yield place, f"{device.group} is {device.provisioning}: how devices are admitted is the target's own", OWN_BENCH
    if device.cron != cron_of_interval(device.interval_ms):
        yield place, f"{device.group} has a wake schedule that the server would have to know", OWN_BENCH


def _of_mac(device: PlannedDevice, place: Place) -> Iterator[_Refusal]:
    if not device.mac.startswith(MAC_PREFIX) or device.mac[8:] != f"{device.index:04X}":
        reason = f"{device.name} has the id {device.mac}; before a target cameras have ids of a range of their own"
        yield place, reason, "leave out `mac`"


def _of_step(plan: Plan, step: StepPlan, target: Target) -> Iterator[_Refusal]:
    place = step.place
    match step:
        case ActOn(target=what, do=do):
            reason = f"{what}: {do} - the target's own {what} is not to be struck"
            yield Place(line=place.line, path=f"{place.path}.{what}"), reason, OWN_BENCH
        case InsertRows(table=table) | UpdateRows(table=table):
            yield place, f"given: writes rows of {table}; in a target wakestorm only reads", OWN_BENCH
        case RunSql():
            yield place, "given: runs SQL as the schema's owner; in a target wakestorm only reads", OWN_BENCH
        case Migrate():
            yield place, "migrate: the target's schema is its own", OWN_BENCH
        case Call(function=function):
            yield place, f"call: {function} is a function of wakestorm's own schema", OWN_BENCH
        case Hook():
            yield place, "hook: may do anything at all to the bench", OWN_BENCH
        case Http() | Expect(subject=HttpExchange()):
            yield place, "http: speaks the HTTP API of wakestorm's own server", OWN_BENCH
        case Send():
            yield from _of_send(plan, step)
        case Advance(duration_ms=duration_ms):
            yield from _of_wait(place, "advance", duration_ms, target)
            yield from _of_faults(step, target)
        case Wake():
            yield from _of_faults(step, target)
        case Expect(window_ms=window_ms, mode=mode, subject=subject):
            if mode != "eventually":
                yield from _of_wait(place, mode, window_ms, target)
            yield from _of_subject(place, subject)
        case _:
            pass


def _of_wait(place: Place, what: str, duration_ms: int | None, target: Target) -> Iterator[_Refusal]:
    if duration_ms is not None and duration_ms > target.time.wait_max:
        longest = duration_text(target.time.wait_max)
        reason = f"{what} {duration_text(duration_ms)} would take as long in real time; time.wait_max is {longest}"
        yield place, reason, "wakestorm's own server can be moved in time: --bench processes"


def _of_faults(step: Wake | Advance, target: Target) -> Iterator[_Refusal]:
    for fault in step.faults:
        if target.broker.is_tls and fault.action in LINK_ACTIONS:
            yield fault.place, f"{fault.action} strikes bytes of the line, and TLS hides them", "a listener without TLS"


def _of_send(plan: Plan, step: Send) -> Iterator[_Refusal]:
    own = {device.mac for device in plan.devices}
    if step.devices is None:
        try:
            named = parse_uplink(step.topic).device_id
        except RemoteProtocolError:
            named = ""
        if named not in own:
            reason = f"send: {step.topic[:60]} is not the topic of a camera of this scenario"
            yield step.place, reason, "${yard[0].mac} names one"
    try:
        body = json.loads(step.payload or b"null")
    except (ValueError, RecursionError):
        return
    said = {str(body[key]) for key in ("device_id", "device_mac") if key in body} if isinstance(body, dict) else set()
    if said - own:
        yield step.place, f"send: names the device {sorted(said - own)[0]}, which is not of this scenario", OWN_BENCH


def _of_subject(place: Place, subject: Subject) -> Iterator[_Refusal]:
    match subject:
        case LogSubject():
            yield place, "expect log: the target's log is not to be seen", OWN_BENCH
        case SqlSubject(sql=sql) if any(word in sql.lower() for word in ("pg_", "information_schema", "fn_")):
            yield place, "expect sql: asks about wakestorm's own schema", OWN_BENCH
        case MessageSubject(contains=contains, equals=equals) if _says_when(contains) or _says_when(equals):
            yield place, "expect message: a wake time that follows from the scenario's own clock", OWN_BENCH
        case _:
            pass


def _says_when(value: object) -> bool:
    """A wake time as a text stands somewhere in it."""
    if isinstance(value, Mapping):
        is_here = any(isinstance(value.get(key), str) for key in _WAKE_KEYS)
        return is_here or any(_says_when(item) for item in value.values())
    return False


def _of_rows(step: Expect, tables: TheirTables) -> Iterator[_Refusal]:
    match step.subject:
        case RowsSubject(table=table) if table not in tables.columns:
            yield step.place, f"expect rows: the target has no {table}", f"tables.{table} of the target names it"
        case RowsSubject(table=table, where=where, are=are, order_by=order_by):
            known = list(tables.columns[table])
            for name in dict.fromkeys([*where, *(name for row in are or () for name in row), *order_by]):
                if name not in known:
                    hint = f"tables.{table}.columns of the target; there is {did_you_mean(name, known)}"
                    yield step.place, f"expect rows: the target's {table} has no {name}", hint
            yield from _of_values(step.place, table, [where, *(are or ())], tables.target)
        case SqlSubject(sql=sql):
            for problem in problems(sql, tables=tuple(tables.columns)):
                yield step.place, f"expect sql: {problem.reason}", "tables of the target names what there is"
        case _:
            pass


def _of_values(place: Place, table: str, rows: Sequence[Mapping[str, object]], target: Target) -> Iterator[_Refusal]:
    """Where the target's words for a column are listed, the others have no counterpart."""
    names = target.tables.get(table)
    for column, words in {} if names is None else names.values.items():
        for row in rows:
            said = row.get(column)
            for word in said if isinstance(said, list) else [said]:
                if isinstance(word, str) and word not in words:
                    reason = f"expect rows: the target has no {column} {word}"
                    yield place, reason, f"tables.{table}.values.{column} of the target has {', '.join(words)}"


def _of_checks(plan: Plan, tables: TheirTables) -> Iterator[_Refusal]:
    missing = checks_left_out(tables)
    for name in plan.checks:
        if name in missing:
            yield Place(line=1, path="checks"), f"check {name}: {missing[name]}", "checks: [all] takes what there is"


def checks_left_out(tables: TheirTables) -> dict[str, str]:
    """Check -> why this target can not be held to it."""
    target = tables.target
    left = dict(target.checks.skip)
    left["acked_after_commit"] = "only the embedded bench sees each COMMIT"
    if target.database.writer is None:
        left["judge_sees_all"] = "no second role to compare with (database.writer)"
    needs: dict[str, Sequence[tuple[str, tuple[str, ...]]]] = {
        "received_chunks_match": [
            ("device_images", ("received_chunks", "total_chunks")),
            ("device_image_chunks", ("image_id",)),
        ],
        "states_legal": [
            ("device_images", _IMAGE_STATE),
            ("device_wake_sessions", _SESSION),
            ("device_wake_payloads", _PAYLOAD),
        ],
    }
    for check, wanted in needs.items():
        lacking = [
            table if table not in tables.columns else f"{table}.{column}"
            for table, columns in wanted
            for column in columns
            if not tables.has(table, column)
        ]
        if lacking and check not in left:
            left[check] = f"the target has no {', '.join(dict.fromkeys(lacking))}"
    return left


def checks_for(plan: Plan, tables: TheirTables) -> tuple[str, ...]:
    """The checks that are made of this plan, in their usual order."""
    left = checks_left_out(tables)
    wanted = checks.ALL if "all" in plan.checks else plan.checks
    return tuple(name for name in wanted if name not in left)
