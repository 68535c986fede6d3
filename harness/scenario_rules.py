"""What a well-formed scenario may still get wrong: devices, chunks, tables, checks and profiles that are not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.addresses import DEVICE_PLACE, Who, parse_who
from harness.errors import did_you_mean
from harness.matrix import PathMistake, texts_of
from harness.scenario import Scenario
from harness.scenario_acts import ServerStep
from harness.scenario_board_steps import ConsoleStep, FlashStep
from harness.scenario_expect import Expectation, RowsExpectation
from harness.scenario_faults import Fault
from harness.scenario_steps import (
    AdvanceStep,
    ExpectStep,
    GivenStep,
    HttpStep,
    OfflineStep,
    PowerStep,
    SendStep,
    UploadStep,
    WakeStep,
)
from harness.scenario_types import Row
from harness.tables import OLD_TABLES, TABLES
from harness.units import LanguageError, format_duration

DEVICES_MAX: Final = 20_000
"""Most devices of one scenario, over all groups."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that exist outside the language; None leaves a kind of name unchecked."""

    profiles: Sequence[str] | None = None
    misbehaviours: Sequence[str] | None = None
    checks: Sequence[str] | None = None
    tables: Sequence[str] | None = (*TABLES, *OLD_TABLES)


def rule_mistakes(scenario: Scenario, words: Vocabulary) -> list[PathMistake]:
    """Everything that the models alone can not see, in the order of the file."""
    return [*_header(scenario, words), *_steps(scenario, words)]


def place_mistakes(tree: dict[str, Any], scenario: Scenario) -> list[PathMistake]:
    """Places like `${yard[0].mac}` that name no device, or more than one."""
    found: list[PathMistake] = []
    for path, text in texts_of(tree, ""):
        for name, what in DEVICE_PLACE.findall(text):
            term = parse_who(name)[0]
            wrong = list(_who(scenario, (term,), path))
            if not wrong and term.first is None and scenario.devices[name].count > 1:
                wrong = [PathMistake(path, f"{name} names several devices", f"write ${{{name}[0].{what}}}")]
            found += wrong
    return found


def _header(scenario: Scenario, words: Vocabulary) -> Iterator[PathMistake]:
    total = sum(group.count for group in scenario.devices.values())
    if total > DEVICES_MAX:
        yield PathMistake("devices", f"there are {total} devices", f"at most {DEVICES_MAX}")
    macs: set[str] = set()
    for name, group in scenario.devices.items():
        if name == "all":
            yield PathMistake("devices.all", "a group can not be called all", "all names every device")
        base, *misbehaviours = group.profile.split("+")
        yield from _known(base, words.profiles, "profile", f"devices.{name}.profile")
        for word in misbehaviours:
            yield from _known(word, words.misbehaviours, "misbehaviour", f"devices.{name}.profile")
        for mac in group.mac or ():
            if mac in macs:
                yield PathMistake(
                    f"devices.{name}.mac", f"MAC {mac} stands in two groups", "a MAC belongs to one device"
                )
            macs.add(mac)
    for index, check in enumerate(scenario.checks):
        if check != "all":
            yield from _known(check, words.checks, "check", f"checks[{index}]")
    for index, waiver in enumerate(scenario.waive):
        yield from _known(waiver.check, words.checks, "check", f"waive[{index}].check")
        yield from _who(scenario, waiver.who, f"waive[{index}].who")


def _steps(scenario: Scenario, words: Vocabulary) -> Iterator[PathMistake]:
    advanced_ms = 0
    for index, step in enumerate(scenario.steps):
        path = f"steps[{index}]"
        match step:
            case WakeStep():
                yield from _who(scenario, step.wake, f"{path}.wake")
                yield from _faults(scenario, step.faults, path)
            case AdvanceStep():
                yield from _who(scenario, step.of, f"{path}.of")
                yield from _faults(scenario, step.faults, path)
                advanced_ms += step.advance_ms if isinstance(step.advance_ms, int) else 0
                if step.advance_ms == "next_wake" and not scenario.devices:
                    yield PathMistake(f"{path}.advance", "there are no devices that wake", "add devices")
            case OfflineStep():
                yield from _who(scenario, step.offline, f"{path}.offline")
            case GivenStep():
                yield from _given(scenario, step, words, f"{path}.given")
            case SendStep():
                yield from _who(scenario, step.send.from_who, f"{path}.send.from")
            case ExpectStep():
                yield from _expectation(scenario, step.expect, words, f"{path}.expect")
            case ServerStep() if isinstance(step.server.which, int):
                yield from _which(scenario, step.server.which, f"{path}.server.which")
            case HttpStep():
                yield from _which(scenario, step.http.which, f"{path}.http.which")
            case UploadStep():
                yield from _which(scenario, step.upload.which, f"{path}.upload.which")
            case PowerStep():
                yield from _who(scenario, step.power.who, f"{path}.power.who")
            case FlashStep():
                yield from _who(scenario, step.flash.who, f"{path}.flash.who")
            case ConsoleStep():
                yield from _who(scenario, step.console.who, f"{path}.console.who")
            case _:
                pass
    if advanced_ms > scenario.time_limit_ms:
        yield PathMistake(
            "time_limit",
            f"the steps advance by {format_duration(advanced_ms)}, beyond {format_duration(scenario.time_limit_ms)}",
            "raise time_limit",
        )


def _faults(scenario: Scenario, faults: Sequence[Fault], path: str) -> Iterator[PathMistake]:
    for index, fault in enumerate(faults):
        place = f"{path}.faults[{index}]"
        wrong = list(_who(scenario, fault.who, f"{place}.who"))
        yield from wrong
        which = fault.at.which
        if wrong or not isinstance(which, int):
            continue
        for name in scenario.devices if any(term.group is None for term in fault.who) else _groups(fault.who):
            total = scenario.devices[name].image.total_chunks
            if which >= total:
                yield PathMistake(
                    f"{place}.at",
                    f"{name} has no chunk {which}",
                    f"its photos have {total}: chunk[0] to chunk[{total - 1}]",
                )


def _expectation(scenario: Scenario, expect: Expectation, words: Vocabulary, path: str) -> Iterator[PathMistake]:
    yield from _who(scenario, expect.sleeping, f"{path}.sleeping")
    if isinstance(expect.rows, RowsExpectation):
        rows = f"{path}.rows"
        yield from _known(expect.rows.table, words.tables, "table", f"{rows}.table")
        yield from _row(scenario, expect.rows.where, f"{rows}.where")
        for index, row in enumerate(expect.rows.are or ()):
            yield from _row(scenario, row, f"{rows}.are[{index}]")
    if expect.sql is not None:
        yield from _sql(expect.sql, words, f"{path}.sql")
    if expect.message is not None:
        yield from _who(scenario, expect.message.to, f"{path}.message.to")
        yield from _who(scenario, expect.message.from_who, f"{path}.message.from")
    if expect.log is not None:
        yield from _who(scenario, expect.log.device, f"{path}.log.device")
    for name, subject in (("ledger", expect.ledger), ("queue", expect.queue), ("photos", expect.photos)):
        if subject is not None:
            yield from _who(scenario, subject.who, f"{path}.{name}.who")
    if expect.http is not None:
        yield from _which(scenario, expect.http.which, f"{path}.http.which")


def _given(scenario: Scenario, step: GivenStep, words: Vocabulary, path: str) -> Iterator[PathMistake]:
    given = step.given
    if given.table is not None:
        yield from _known(given.table, words.tables, "table", f"{path}.table")
    yield from _row(scenario, given.where or {}, f"{path}.where")
    yield from _row(scenario, given.set_values or {}, f"{path}.set")
    for index, row in enumerate(given.rows or ()):
        yield from _row(scenario, row, f"{path}.rows[{index}]")


def _row(scenario: Scenario, row: Row, path: str) -> Iterator[PathMistake]:
    if "device" not in row:
        return
    try:
        who = parse_who(row["device"])
    except LanguageError as error:
        yield PathMistake(f"{path}.device", error.reason, error.hint)
        return
    yield from _who(scenario, who, f"{path}.device")


def _sql(sql: str, words: Vocabulary, path: str) -> Iterator[PathMistake]:
    from harness.sql_guard import problems

    for problem in problems(sql, tables=words.tables):
        yield PathMistake(path, problem.reason, problem.hint)


def _which(scenario: Scenario, which: int, path: str) -> Iterator[PathMistake]:
    if which >= scenario.servers:
        yield PathMistake(path, f"there is no server {which}", f"servers: {scenario.servers}, counted from 0")


def _groups(who: Who) -> list[str]:
    return list(dict.fromkeys(term.group for term in who if term.group is not None))


def _who(scenario: Scenario, who: Who | None, path: str) -> Iterator[PathMistake]:
    for term in who or ():
        if term.group is None:
            if not scenario.devices:
                yield PathMistake(path, "there are no devices", "add devices")
        elif term.group not in scenario.devices:
            known = tuple(scenario.devices)
            hint = did_you_mean(term.group, known) if known else "the scenario has no devices"
            yield PathMistake(path, f"no devices are called {term.group!r}", hint)
        elif term.last is not None and term.last >= (count := scenario.devices[term.group].count):
            yield PathMistake(path, f"there is no {term.group}[{term.last}]", f"the last is {term.group}[{count - 1}]")


def _known(word: str, known: Sequence[str] | None, kind: str, path: str) -> Iterator[PathMistake]:
    if known is not None and word not in known:
        yield PathMistake(path, f"no {kind} is called {word!r}", did_you_mean(word, list(known)))
