"""Runs of the harness, by reading their folders: `runs/<name>/verdict.json` (a published schema) and what is beside."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

import msgspec

from server.offload import Offload

FILES: Final = {
    "report.html": "text/html; charset=utf-8",
    "soak.html": "text/html; charset=utf-8",
    "verdict.json": "application/json",
    "junit.xml": "text/xml",
    "ledger.csv": "text/csv; charset=utf-8",
}
"""What is shown of a run's folder, with its type."""

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
_NAME: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
_LATEST: Final = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One thing that was not as expected."""

    title: str
    expected: str = ""
    found: str = ""
    blame: str = ""
    reproduce: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One case of a run."""

    id: str
    verdict: str
    name: str = ""
    wall_s: float = 0.0
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many cases ended how."""

    passed: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    not_run: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is read of verdict.json."""

    verdict: str
    bench: str = ""
    seed: int | None = None
    wall_s: float = 0.0
    counts: Counts = field(default_factory=Counts)
    scenarios: tuple[Scenario, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run in the list. `verdict`: PASS, FAIL, INCONCLUSIVE, ERROR, or UNREADABLE."""

    name: str
    verdict: str
    bench: str
    wall_s: float
    passed: int
    failed: int
    inconclusive: int
    error: int
    not_run: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail(Run):
    """A run with its cases, those that did not pass first."""

    scenarios: tuple[Scenario, ...]


class Runs:
    """The folder of runs; without one there are none."""

    def __init__(self, folder: Path | None, offload: Offload) -> None:
        self._folder = folder
        self._offload = offload

    async def listed(self, limit: int, after: str | None = None) -> tuple[list[Run], str | None]:
        """A page, the newest name first, and the name that the next one begins after."""
        return await self._offload.call(lambda: self._listed(limit, after))

    async def run(self, name: str) -> RunDetail | None:
        """One run; None where there is none."""
        return await self._offload.call(lambda: self._run(name))

    async def file(self, name: str, file_name: str) -> bytes | None:
        """A file of FILES; None where there is none."""
        return await self._offload.call(lambda: self._file(name, file_name))

    def _listed(self, limit: int, after: str | None) -> tuple[list[Run], str | None]:
        if self._folder is None or not self._folder.is_dir():
            return [], None
        names = sorted((entry.name for entry in self._folder.iterdir()), reverse=True)
        rows: list[Run] = []
        for name in names:
            if after is not None and name >= after:
                continue
            if (folder := self._place(name)) is None:
                continue
            if len(rows) == limit:
                return rows, rows[-1].name
            rows.append(_run_of(name, _read(folder), folder))
        return rows, None

    def _run(self, name: str) -> RunDetail | None:
        folder = self._place(name)
        if folder is None:
            return None
        verdict = _read(folder)
        run = _run_of(name, verdict, folder)
        scenarios = sorted(verdict.scenarios if verdict else (), key=lambda case: (case.verdict == "PASS", case.id))
        return RunDetail(**{each.name: getattr(run, each.name) for each in fields(Run)}, scenarios=tuple(scenarios))

    def _file(self, name: str, file_name: str) -> bytes | None:
        folder = self._place(name)
        if folder is None or file_name not in FILES:
            return None
        path = folder / file_name
        if path.is_symlink() or not path.is_file() or path.stat().st_size > FILE_BYTES_MAX:
            return None
        return path.read_bytes()

    def _place(self, name: str) -> Path | None:
        """A run's own folder: no link, no way out of the folder of runs."""
        if self._folder is None or name == _LATEST or _NAME.fullmatch(name) is None:
            return None
        folder = self._folder / name
        return folder if not folder.is_symlink() and (folder / "verdict.json").is_file() else None


def _read(folder: Path) -> Verdict | None:
    try:
        return msgspec.json.decode((folder / "verdict.json").read_bytes(), type=Verdict)
    except (OSError, ValueError):
        return None


def _run_of(name: str, verdict: Verdict | None, folder: Path) -> Run:
    counts = verdict.counts if verdict else Counts()
    return Run(
        name=name,
        verdict=verdict.verdict if verdict else "UNREADABLE",
        bench=verdict.bench if verdict else "",
        wall_s=verdict.wall_s if verdict else 0.0,
        passed=counts.passed,
        failed=counts.failed,
        inconclusive=counts.inconclusive,
        error=counts.error,
        not_run=counts.not_run,
        files=tuple(file for file in FILES if (folder / file).is_file()),
    )
