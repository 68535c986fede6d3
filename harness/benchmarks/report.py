"""What every measurement gives: medians of several runs, the machine they ran on, and ratios to a saved run."""

from __future__ import annotations

import hashlib
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.errors import UsageError
from harness.machine import architecture, own_cpu_s, python_version, version

CALIBRATION_BYTES: Final = 1 << 20
CALIBRATION_ROUNDS: Final = 40


class Machine(msgspec.Struct, kw_only=True, frozen=True):
    """Where it ran. `load` is the load average before; `sha256_mb_per_cpu_s` says how fast a CPU second was then."""

    processor: str
    cores: int
    memory_gb: float
    kernel: str
    architecture: str
    python: str
    wakestorm: str
    load: float
    sha256_mb_per_cpu_s: float


class Measurement(msgspec.Struct, kw_only=True, frozen=True):
    """One figure: the median, and the values of all runs. `aim`: what DESIGN and issue want, None where nothing."""

    name: str
    unit: str
    median: float
    values: list[float]
    is_better: str = "higher"
    aim: float | None = None


class BenchReport(msgspec.Struct, kw_only=True, frozen=True):
    """All figures of one command. `mistakes`: what was not right; the figures prove nothing then."""

    bench: str
    machine: Machine
    settings: dict[str, Any]
    measurements: list[Measurement]
    notes: list[str] = []
    mistakes: list[str] = []


def measured(
    name: str, unit: str, values: Sequence[float], *, is_better: str = "higher", aim: float | None = None
) -> Measurement:
    """A figure from the values of its runs."""
    kept = [round(value, 3) for value in values]
    return Measurement(
        name=name, unit=unit, median=round(statistics.median(kept), 3), values=kept, is_better=is_better, aim=aim
    )


def this_machine() -> Machine:
    """Reads /proc; computes hashes for some 30 ms."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        kernel=platform.release(),
        architecture=architecture(),
        python=python_version(),
        wakestorm=version(),
        load=round(os.getloadavg()[0], 2),
        sha256_mb_per_cpu_s=_sha256_rate(),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _sha256_rate() -> float:
    data = bytes(CALIBRATION_BYTES)
    began_s = own_cpu_s()
    for _ in range(CALIBRATION_ROUNDS):
        hashlib.sha256(data).digest()
    return round(CALIBRATION_ROUNDS * CALIBRATION_BYTES / 1e6 / max(own_cpu_s() - began_s, 1e-6), 1)


def saved_report(path: Path) -> BenchReport:
    """A report that `--save` wrote. Raises UsageError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=BenchReport)
    except OSError as error:
        raise UsageError(f"--compare {path}: {error.strerror or error}") from error
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise UsageError(f"--compare {path}: no report of `wakestorm bench --save`: {error}") from error


def as_json(report: BenchReport) -> str:
    """Indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()


def shown(report: BenchReport, saved: BenchReport | None = None) -> list[str]:
    """The report as lines for people; with the ratio to a saved one."""
    machine = report.machine
    lines = [
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gb:g} GB; Linux {machine.kernel}; "
        f"Python {machine.python}",
        f"load {machine.load:g} before the start; SHA-256 at {machine.sha256_mb_per_cpu_s:,.0f} MB per CPU second",
        "",
    ]
    width = max((len(item.name) for item in report.measurements), default=0)
    before = {item.name: item for item in saved.measurements} if saved is not None else {}
    for item in report.measurements:
        spread = f"({_number(min(item.values))} to {_number(max(item.values))})" if len(item.values) > 1 else ""
        aim = "" if item.aim is None else f"  aim {_number(item.aim)}"
        line = f"{item.name:<{width}}  {_number(item.median):>9} {item.unit} {spread}{aim}"
        lines.append(line.rstrip() + _ratio(item, before))
    if saved is not None:
        lines += _saved_machine(machine, saved)
    lines += [f"note: {note}" for note in report.notes]
    return lines + [f"WRONG {mistake}" for mistake in report.mistakes]


def _ratio(item: Measurement, before: Mapping[str, Measurement]) -> str:
    old = before.get(item.name)
    if old is None or not old.median:
        return ""
    ratio = item.median / old.median
    is_better = ratio > 1 if item.is_better == "higher" else ratio < 1
    word = "same" if 0.97 <= ratio <= 1.03 else "better" if is_better else "worse"
    return f"  x{ratio:.2f} of {_number(old.median)} ({word})"


def _saved_machine(now: Machine, saved: BenchReport) -> list[str]:
    then = saved.machine
    ratio = now.sha256_mb_per_cpu_s / max(then.sha256_mb_per_cpu_s, 0.1)
    lines = [f"the saved run: load {then.load:g}; a CPU second is worth x{ratio:.2f} of one then, by SHA-256"]
    if (now.processor, now.cores) != (then.processor, then.cores):
        lines.append(f"the saved run was on another machine: {then.processor}, {then.cores} cores")
    return lines


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


Tell = Callable[[str], None]
