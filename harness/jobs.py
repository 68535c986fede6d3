"""What a suite and its worker processes say to each other, pickled over a pipe between processes of one user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.plan import Plan
from harness.run_one import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One plan to run, with a database name and a folder that nobody else uses."""

    plan: Plan
    around: Surroundings
    database: str
    folder: Path
    explain: bool = False
    """Whether a failure is worth a second run that explains it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Something that happened, as `events.to_json` writes it."""

    event: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """The bench can not be reached: the whole run ends."""

    message: str
    hint: str | None
