"""Results and events for the tests of reports: one of each verdict, with fixed values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from harness.events import (
    Counts,
    Event,
    Failure,
    ScenarioEnded,
    ScenarioResult,
    ScenarioStarted,
    StepEnded,
    StepStarted,
    SuiteEnded,
    SuiteStarted,
)
from harness.ledger import CaptureFact, LedgerTotals, StoredFact, reconciled
from harness.verdict import Verdict

FILE = "scenarios/resume/cut.yaml"
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)

PASSED = ScenarioResult(
    id=f"{FILE}::chunk-5",
    file=FILE,
    case="chunk-5",
    name="A cut transfer resumes",
    verdict=Verdict.PASS,
    seed=4211,
    bench="embedded",
    tags=("resume", "smoke"),
    covers=("seed-001/test-2",),
    wall_s=0.25,
    virtual_ms=10_800_000,
    counts=Counts(wakes=2, images_captured=1, images_stored=1, messages=25),
    ledger=LedgerTotals(captured=1, stored=1, recovered=1),
    history_sha256="ab" * 32,
)
FAILURE = Failure(
    title="rows of device_images are not as expected",
    expected="1 row: status complete, received_chunks 10",
    found="1 row: status receiving, received_chunks 6",
    rows=({"image_name": "image_1.jpg", "status": "receiving", "received_chunks": 6, "timeout_reason": None},),
    step_index=3,
    step_line=17,
    path="steps[3].expect.rows",
    hint="the resume was answered with SNAP",
    columns=("status", "received_chunks"),
    device="yard[0]",
    excerpt=("  16 |   - advance: next_wake", "> 17 |   - expect: {rows: {}}"),
    trace=("00:00:00.010 |-- HELLO ------>|", "00:00:00.020 |<-- SNAP -------|"),
    reproduce=f"wakestorm run {FILE}::chunk-6 --seed 4211",
)
FAILED = replace(
    PASSED,
    id=f"{FILE}::chunk-6",
    case="chunk-6",
    verdict=Verdict.FAIL,
    failures=(FAILURE,),
    ledger=LedgerTotals(captured=1, lost=1),
)
UNDECIDED = replace(
    PASSED, id="scenarios/b.yaml", file="scenarios/b.yaml", case="", name="B & <c>", verdict=Verdict.INCONCLUSIVE
)


def suite_events(*results: ScenarioResult, planned: tuple[str, ...] | None = None) -> list[Event]:
    """The events of a suite that runs `results` one after another."""
    ids = planned if planned is not None else tuple(result.id for result in results)
    events: list[Event] = [SuiteStarted(planned=ids, bench="embedded", seed=None, workers=2)]
    for result in results:
        events.append(ScenarioStarted(scenario=result.id, name=result.name, steps=4))
        events.append(StepStarted(scenario=result.id, index=0, kind="wake", line=11))
        events.append(StepEnded(scenario=result.id, index=0, kind="wake", virtual_ms=500))
        history = '{"kind":"header","scenario":"?","seed":4211}\n{"kind":"info","t_ms":0,"who":"runner"}\n'
        capture = CaptureFact(device="yard[0]", image_name="image_1.jpg", captured_at=NOON, sha256="aa", size_bytes=9)
        row = StoredFact(
            device="yard[0]", wire_image_name="image_1.jpg", captured_at=NOON, status="complete", sha256="aa", offers=2
        )
        events.append(ScenarioEnded(result=result, history_jsonl=history, ledger=reconciled([capture], [row])))
    worst = Verdict.FAIL if any(result.verdict is Verdict.FAIL for result in results) else Verdict.PASS
    events.append(SuiteEnded(verdict=worst, wall_s=1.5))
    return events
