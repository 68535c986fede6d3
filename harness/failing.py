"""From a finding to a failure that explains itself: the place in the YAML, the rows, the device's trace."""

from __future__ import annotations

import json
from typing import Any, Final

from harness.bench import Bench
from harness.events import Failure
from harness.expectations import Finding
from harness.plan import Plan
from harness.plan_steps import Expect, StepPlan
from harness.sequence import ENDS, HARMLESS, moves_of, stamp, with_moment
from harness.sequence_text import text_diagram
from harness.units import duration_text

TRACE_LINES_MAX: Final = 32
AWAKE_NAMED_MAX: Final = 3


def failure_of(
    bench: Bench,
    title: str,
    finding: Finding,
    step: StepPlan | None,
    step_index: int,
    *,
    device: str = "",
    path: str = "",
) -> Failure:
    """The failure; `path` names a check where no step failed, `device` is the one it is about."""
    who = device or finding.device or device_of(bench.plan, step)
    is_never = isinstance(step, Expect) and step.mode == "never"
    t_ms = bench.clock.elapsed_ms() if finding.t_ms is None else finding.t_ms
    moves = moves_of(bench.history.with_asides(), who)
    if finding.t_ms is not None:
        moves = with_moment([move for move in moves if move.tone != "bad"], t_ms, "here it did not hold")
    return Failure(
        title=title,
        expected=f"never {finding.expected}" if is_never else finding.expected,
        found=finding.found,
        rows=tuple(json.loads(json.dumps(row, default=str)) for row in finding.rows),
        columns=finding.columns,
        t_ms=t_ms,
        step_index=step_index if step is not None else None,
        step_line=step.place.line if step is not None else None,
        path=step.place.path if step is not None else path,
        hint="; ".join(filter(None, (finding.hint, *circumstances(bench, step)))),
        device=who,
        trace=text_diagram(moves, TRACE_LINES_MAX) if who else (),
    )


def circumstances(bench: Bench, step: StepPlan | None) -> list[str]:
    """What explains a look that failed: who was struck and is still down, and who had not finished."""
    down: dict[str, tuple[str, int]] = {}
    for record in bench.history.of_kind("server"):
        action = str(record.fields.get("action", ""))
        if action.startswith(HARMLESS):
            down.pop(record.who, None)
        elif action.startswith(ENDS):
            down[record.who] = (action, record.t_ms)
    said = (
        [f"{who}: {action} at {stamp(t_ms)}, and not up again" for who, (action, t_ms) in down.items()] if step else []
    )
    if isinstance(step, Expect) and step.mode == "now":
        awake = [dut.planned.name for dut in bench.duts if not dut.is_asleep][:AWAKE_NAMED_MAX]
        said += [f"{', '.join(awake)}: awake at this moment, where `eventually: 5m` would wait"] if awake else []
    return said


def title_of(step: StepPlan) -> str:
    """What a step's failure is called."""
    if not isinstance(step, Expect):
        return f"the step {type(step).__name__.lower()} failed"
    what = type(step.subject).__name__.removesuffix("Subject").removesuffix("Exchange").lower()
    match step.mode:
        case "eventually":
            return f"expect {what}: it did not come true within {duration_text(step.window_ms or 0)}"
        case "always":
            return f"expect {what}: it did not hold always"
        case "never":
            return f"expect {what}: it did happen"
        case _:
            return f"expect {what}: it does not hold now"


def device_of(plan: Plan, step: StepPlan | None) -> str:
    """The device that a failed step is about, or the first."""
    devices = plan.devices
    numbers: Any = None
    ids: Any = None
    if isinstance(step, Expect):
        subject: Any = step.subject
        numbers = next((found for name in ("to", "sender", "devices") if (found := getattr(subject, name, None))), None)
        ids = (getattr(subject, "where", None) or {}).get("device_id")
    if numbers:
        return str(devices[numbers[0]].name)
    wanted = ids if isinstance(ids, list) else [ids]
    return next((device.name for device in devices if device.device_id in wanted), devices[0].name if devices else "")
