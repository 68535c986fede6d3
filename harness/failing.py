"""From a finding to a failure that explains itself: the place in the YAML, the rows, the device's trace."""

from __future__ import annotations

import json
from typing import Any

from harness.bench import Bench
from harness.events import Failure
from harness.expectations import Finding
from harness.plan import Plan
from harness.plan_steps import Expect, StepPlan
from harness.trace import sequence_lines


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
    who = device or device_of(bench.plan, step)
    return Failure(
        title=title,
        expected=finding.expected,
        found=finding.found,
        rows=tuple(json.loads(json.dumps(row, default=str)) for row in finding.rows),
        step_index=step_index if step is not None else None,
        step_line=step.place.line if step is not None else None,
        path=step.place.path if step is not None else path,
        hint=finding.hint,
        trace=sequence_lines(bench.history, who) if who else (),
    )


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
