"""What a run tells the world while it goes on: the runner emits, reporters consume. Pure data.

Every event is plain JSON data (`to_json`, `from_json`), so that it crosses a process border unchanged.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from harness.detail import Detail
from harness.jsonable import json_line
from harness.ledger import LedgerEntry, LedgerTotals
from harness.verdict import Verdict

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One thing that was not as expected. `step_index` counts from 0, `step_line` is the line in the YAML file."""

    title: str
    expected: str
    found: str
    rows: tuple[Row, ...] = ()
    columns: tuple[str, ...] = ()
    """Those that the expectation names; they are shown first."""
    t_ms: int | None = None
    """Scenario time at which it was found."""
    step_index: int | None = None
    step_line: int | None = None
    path: str = ""
    """Place in the document, such as `steps[3].expect.rows`; the check's name for an always-on check."""
    hint: str = ""
    device: str = ""
    """The device that the trace is of."""
    trace: tuple[str, ...] = ()
    """What happened with the device as a sequence diagram in text, one line each."""
    excerpt: tuple[str, ...] = ()
    """The lines of the YAML around `step_line`, which is marked."""
    reproduce: str = ""
    blame: str = ""
    """Where to look first: firmware, server, board, cable or harness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a scenario did."""

    wakes: int = 0
    images_captured: int = 0
    images_stored: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioResult:
    """The end of one scenario. `id` is the file, with `::case` for a case of a matrix."""

    id: str
    file: str
    name: str
    verdict: Verdict
    seed: int
    bench: str
    case: str = ""
    tags: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    wall_s: float = 0.0
    virtual_ms: int = 0
    counts: Counts = field(default_factory=Counts)
    ledger: LedgerTotals = field(default_factory=LedgerTotals)
    history_sha256: str = ""
    attempt: int = 1
    """Which attempt this is; above 1 the ones before did not pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A scenario of a folder that these devices or this bench can not play; `hint` says how to run it."""

    scenario: str
    reason: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteStarted:
    """`planned`: ids of all scenarios, in plan order; `left_out` are not among them."""

    planned: tuple[str, ...]
    bench: str
    seed: int | None
    workers: int = 1
    dut: str = "simulated"
    left_out: tuple[LeftOut, ...] = ()
    quarantine: tuple[str, ...] = ()
    """Ids of scenarios that run and decide no verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioStarted:
    """A worker took the scenario up."""

    scenario: str
    name: str
    steps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """`kind` is the step's key in the YAML (`wake`, `expect`, ...), `line` its line there."""

    scenario: str
    index: int
    kind: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """`virtual_ms`: scenario time at the end of the step, since its start."""

    scenario: str
    index: int
    kind: str
    virtual_ms: int = 0
    ok: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioEnded:
    """The result, with the history (JSON lines) and the ledger that it rests on."""

    result: ScenarioResult
    history_jsonl: str = ""
    ledger: tuple[LedgerEntry, ...] = ()
    detail: Detail | None = None
    """Only of a scenario that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """An attempt that did not pass, and is not the last one."""

    result: ScenarioResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteEnded:
    """The whole suite's verdict; `interrupted` by the user, or stopped early by `--max-failures`."""

    verdict: Verdict
    wall_s: float
    interrupted: bool = False


Event = SuiteStarted | ScenarioStarted | StepStarted | StepEnded | ScenarioEnded | AttemptFailed | SuiteEnded

_TYPES: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (SuiteStarted, ScenarioStarted, StepStarted, StepEnded, ScenarioEnded, AttemptFailed, SuiteEnded)
}


class Reporter(Protocol):
    """A consumer of events. It gets every event once, in order, from one thread."""

    def on_event(self, event: Event) -> None:
        """Takes one event in; must not change it."""
        ...


def to_json(event: Event) -> bytes:
    """One line of JSON, without line feed: the event's fields and its type as `event`."""
    builtins = {"event": type(event).__name__, **msgspec.to_builtins(event)}
    return json_line(builtins).encode("utf-8")


def from_json(data: bytes) -> Event:
    """The event that `to_json` wrote; raises msgspec.ValidationError or KeyError for anything else."""
    fields = msgspec.json.decode(data)
    kind = _TYPES[fields.pop("event")]
    event: Event = msgspec.convert(fields, kind)
    return event


def reproduce_command(
    scenario_id: str, seed: int, bench: str = "embedded", dut: str = "simulated", target: str = ""
) -> str:
    """The one command that runs the scenario again."""
    command = f"wakestorm run {shlex.quote(scenario_id)} --seed {seed}"
    command = command if bench == "embedded" else f"{command} --bench {bench}"
    command = f"{command} --target {shlex.quote(target)}" if target else command
    return command if dut == "simulated" else f"{command} --dut {shlex.quote(dut)}"
