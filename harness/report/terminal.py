"""What a person sees: live progress on a terminal, plain lines elsewhere, failures as paragraphs, a summary.

Everything goes to one stream (stderr, from the command line); stdout stays free for results.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness.events import (
    Event,
    ScenarioEnded,
    ScenarioResult,
    ScenarioStarted,
    StepStarted,
    SuiteEnded,
    SuiteStarted,
    reproduce_command,
)
from harness.report.words import (
    counted_verdicts,
    failure_lines,
    found_lines,
    ledger_text,
    left_out_lines,
    printable,
)
from harness.units import duration_text
from harness.verdict import Verdict

STYLES: Final = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.ERROR: "bold magenta",
}
FAILURES_SHOWN_MAX: Final = 20
ALIKE_SHOWN_MAX: Final = 4
"""Failures of one check after another: the first in whole, some more in a line each."""


@dataclass(slots=True)
class _Running:
    name: str
    steps: int
    step: str = "starting"


class TerminalReporter:
    """Progress, failures and summary. `tty` decides between the live display and plain lines."""

    def __init__(self, stream: TextIO, *, tty: bool, color: bool, width: int | None = None) -> None:
        self._tty = tty
        self._console = Console(
            file=stream,
            force_terminal=tty,
            color_system="auto" if color and tty else None,
            width=width,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )
        self._live: Live | None = None
        self._running: dict[str, _Running] = {}
        self._results: list[ScenarioResult] = []
        self._planned = 0
        self._left_out = 0
        self._bench = ""
        self._quarantine: frozenset[str] = frozenset()

    def on_event(self, event: Event) -> None:
        """Shows the event."""
        match event:
            case SuiteStarted():
                self._begin(event)
            case ScenarioStarted():
                self._running[event.scenario] = _Running(event.name, event.steps)
            case StepStarted():
                self._step(event)
            case ScenarioEnded(result=result):
                self._running.pop(result.id, None)
                self._results.append(result)
                self._scenario_line(result)
            case SuiteEnded():
                self._end(event)
            case _:
                pass
        if self._live is not None:
            self._live.update(self._display())

    def close(self) -> None:
        """Gives the terminal back; for a run that ends without SuiteEnded."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _begin(self, event: SuiteStarted) -> None:
        self._planned = len(event.planned)
        self._left_out = len(event.left_out)
        self._bench = event.bench
        self._quarantine = frozenset(event.quarantine)
        plural = "scenario" if self._planned == 1 else "scenarios"
        self._print(f"{self._planned} {plural}, {event.bench} bench, {event.workers} at a time")
        for line in left_out_lines(event.left_out, event.dut, event.bench):
            self._print(line)
        if self._tty:
            self._live = Live(
                self._display(), console=self._console, refresh_per_second=8, transient=True, redirect_stdout=False
            )
            self._live.start()

    def _step(self, event: StepStarted) -> None:
        running = self._running.get(event.scenario)
        if running is not None:
            of = f"/{running.steps}" if running.steps else ""
            running.step = f"step {event.index + 1}{of} {event.kind}"

    def _display(self) -> Group:
        bad = sum(result.verdict is not Verdict.PASS for result in self._results)
        counter = f"{len(self._results)}/{self._planned} done" + (f", {bad} not passed" if bad else "")
        lines = [
            Text(f"  {name}  {state.step}", no_wrap=True, overflow="ellipsis") for name, state in self._running.items()
        ]
        return Group(*lines, Text(counter, style="bold"))

    def _scenario_line(self, result: ScenarioResult) -> None:
        if self._tty and result.verdict is Verdict.PASS:
            return
        took = f"({duration_text(result.wall_s * 1_000)}, {duration_text(result.virtual_ms)} of scenario time)"
        took += ", in quarantine: it decides nothing" if result.id in self._quarantine else ""
        self._print_verdict(f"{result.verdict.value:<13}", result.verdict, f"{result.id}  {took}")

    def _end(self, event: SuiteEnded) -> None:
        self.close()
        bad = [result for result in self._results if result.verdict is not Verdict.PASS]
        for result in bad[:FAILURES_SHOWN_MAX]:
            self._failures(result)
        if len(bad) > FAILURES_SHOWN_MAX:
            self._print(f"\n{len(bad) - FAILURES_SHOWN_MAX} more scenarios that did not pass: see verdict.json")
        not_run = self._planned - len(self._results)
        virtual_ms = sum(result.virtual_ms for result in self._results)
        summary = [
            "",
            ledger_text(self._results),
            f"{duration_text(event.wall_s * 1_000)}, {duration_text(virtual_ms)} of scenario time",
        ]
        if event.interrupted:
            summary.append("stopped before the end")
        if not_run > 0:
            summary.append(f"{not_run} planned but not run")
        spared = sum(result.id in self._quarantine for result in bad)
        if spared:
            summary.append(f"{spared} of those that did not pass are in quarantine, and decide nothing")
        for line in summary:
            self._print(line)
        counted = counted_verdicts(self._results, self._left_out, self._bench)
        self._print_verdict(event.verdict.value, event.verdict, f"  {counted}")

    def _failures(self, result: ScenarioResult) -> None:
        self._print("")
        name = f"{result.name} [{result.case}]" if result.case else result.name
        self._print_verdict(f"{result.verdict.value} ", result.verdict, name)
        alike = 0
        for number, failure in enumerate(result.failures):
            before = result.failures[:number]
            alike = alike + 1 if before and (failure.title, failure.path) == (before[-1].title, before[-1].path) else 0
            if alike == ALIKE_SHOWN_MAX:
                self._print("  and more of this check: verdict.json has them all")
            if alike >= ALIKE_SHOWN_MAX:
                continue
            lines = failure_lines(result, replace(failure, reproduce=""), before)
            for line in found_lines(failure) if alike else lines:
                self._print(f"  {line}".rstrip())
        if result.failures:
            self._print(f"\n  Reproduce: {result.failures[-1].reproduce}")
        else:
            self._print(f"  Reproduce: {reproduce_command(result.id, result.seed, result.bench)}")

    def _print_verdict(self, text: str, verdict: Verdict, rest: str) -> None:
        self._console.print(Text.assemble((text, STYLES[verdict]), printable(rest)), soft_wrap=True)

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)
