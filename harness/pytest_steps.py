"""A scenario played from Python, step by step: what stands behind `bench.open`.

Each step is one of the language, checked and compiled as in a file, so the same steps give the same history; between
two of them Python looks at rows and decides. Scenario time passes in steps only (embedded bench).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from harness.errors import BenchUnavailable, ScenarioError, UsageError
from harness.events import Failure, ScenarioEnded, from_json
from harness.jobs import AskRows, Done, DoStep, NoMoreSteps, Rows, Told, Unavailable
from harness.loader import load_bytes
from harness.plan import Plan, plans_of
from harness.playing import Player
from harness.pytest_scenarios import refuse_what_can_not_be, report_lines
from harness.run_one import BenchKind, blank_result
from harness.verdict import Verdict
from harness.yaml_reader import read_yaml

FILE: Final = Path("steps.yaml")
_NAME: Final = "Steps from Python"


class SteppedBench:
    """`with bench.open(...) as cameras:` wakes, advances and expects; at its end faults heal, cameras drain, and the
    checks judge. Whatever does not hold is an AssertionError with the report. `ended` is the outcome, afterwards."""

    def __init__(
        self, player: Player, kind: BenchKind, scenario: Mapping[str, Any] | str, *, seed: int | None = None
    ) -> None:
        self._player = player
        self._kind = kind
        self._seed = seed
        self._scenario = _head_of(scenario)
        self._steps: list[dict[str, Any]] = []
        self._has_failed = False
        self.elapsed_ms = 0
        """Scenario time since the beginning, after the last step."""
        self.ended: ScenarioEnded | None = None

    def __enter__(self) -> Self:
        self._worker, self._job = self._player.begin(self._plan([]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        if self._has_failed or error is not None:
            self._player.drop(self._worker, self._job)
            return
        self._worker.connection.send(NoMoreSteps())
        self.ended = self._player.end(self._worker, self._job)
        if self.ended.result.verdict is not Verdict.PASS:
            raise AssertionError("\n".join(report_lines(self.ended.result)))

    # -- steps -----------------------------------------------------------------------------------------

    def wake(self, devices: str, **more: Any) -> None:
        """Wakes cameras and waits until they sleep: `wake("yard", faults=[...])`."""
        __tracebackhide__ = True
        self.step(wake=devices, **more)

    def advance(self, duration: str, **more: Any) -> None:
        """Lets scenario time pass: `advance("3h")`, `advance("next_wake")`."""
        __tracebackhide__ = True
        self.step(advance=duration, **more)

    def expect(self, **subject: Any) -> None:
        """Judges: `expect(rows={...}, eventually="5m")`. With `always` or `never` from here to the end."""
        __tracebackhide__ = True
        self.step(expect=subject)

    def step(self, **keys: Any) -> None:
        """Any step of the language: `step(server="crash")`, `step(send={...})`. Raises UsageError for a mistake,
        AssertionError where it does not hold; after that nothing more can be done."""
        __tracebackhide__ = True
        if self._has_failed:
            raise UsageError("a step has failed: this bench does no more")
        plan = self._plan([*self._steps, keys])
        refuse_what_can_not_be(plan, self._kind)
        self._steps.append(keys)
        done = self._answer(DoStep(plan), Done)
        self.elapsed_ms = done.elapsed_ms
        if done.failures:
            self._has_failed = True
            raise AssertionError(self._told(done.failures))

    # -- looking ---------------------------------------------------------------------------------------

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of one SELECT of the read-only role, by column. Raises ValueError where it can not be answered."""
        __tracebackhide__ = True
        answer = self._answer(AskRows(sql), Rows)
        if answer.trouble:
            raise ValueError(answer.trouble)
        return list(answer.rows)

    @property
    def text(self) -> str:
        """The scenario of all steps so far, as a file that `wakestorm run` plays."""
        return _as_text(self._scenario, self._steps)

    # -- below -----------------------------------------------------------------------------------------

    def _plan(self, steps: list[dict[str, Any]]) -> Plan:
        __tracebackhide__ = True
        shown = steps or [{"advance": "1s"}]  # a scenario has steps; the first real one takes its place
        try:
            plans = plans_of(load_bytes(_as_text(self._scenario, shown).encode(), FILE), self._seed)
        except ScenarioError as error:
            raise UsageError(str(error)) from None
        if len(plans) > 1:
            raise UsageError("a matrix has no place where steps come one by one", hint="use a loop of Python's")
        return plans[0] if steps else replace(plans[0], steps=(), watches=())

    def _answer(self, question: Any, kind: type[Any]) -> Any:
        __tracebackhide__ = True
        connection = self._worker.connection
        try:
            connection.send(question)
            while True:
                match connection.recv():
                    case Unavailable(message=message, hint=hint):
                        self._has_failed = True
                        raise BenchUnavailable(message, hint=hint)
                    case Told(event=event) if isinstance(ended := from_json(event), ScenarioEnded):
                        self._has_failed = True
                        raise AssertionError("\n".join([*report_lines(ended.result), self._player.errors()]))
                    case answer if isinstance(answer, kind):
                        return answer
        except (EOFError, ConnectionError):
            self._has_failed = True
            raise AssertionError(f"the bench ended by itself\n{self._player.errors()}") from None

    def _told(self, failures: tuple[Failure, ...]) -> str:
        blank = blank_result(self._job.plan, self._job.around)
        result = replace(blank, verdict=Verdict.FAIL, failures=failures)
        return "\n".join([*report_lines(result), "", f"The same as a scenario file, {FILE}:", "", self.text])


def _head_of(scenario: Mapping[str, Any] | str) -> dict[str, Any]:
    """The keys of a scenario without steps, from a mapping or a text."""
    if isinstance(scenario, str):
        tree = read_yaml(scenario.encode(), str(FILE))
        if tree.mistakes or not isinstance(tree.value, dict):
            words = "; ".join(str(mistake) for mistake in tree.mistakes) or "not a mapping"
            raise UsageError(f"bench.open: {words}", hint="the keys of a scenario, such as devices: {yard: {count: 2}}")
        scenario = tree.value
    if "steps" in scenario:
        raise UsageError("bench.open takes a scenario without steps", hint="bench.run plays a whole one")
    return {"version": 1, "name": _NAME, **scenario}


def _as_text(scenario: Mapping[str, Any], steps: list[dict[str, Any]]) -> str:
    """YAML with a line for each key and each step; JSON is YAML's flow style."""
    head = [f"{key}: {json.dumps(value)}" for key, value in scenario.items()]
    return "\n".join([*head, "steps:", *(f"  - {json.dumps(step)}" for step in steps), ""])
