"""What a suite and its worker processes say to each other, pickled over a pipe between processes of one user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.events import Failure
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
    is_stepwise: bool = False
    """The steps come one by one over the connection, as `DoStep`, and end with `NoMoreSteps`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Something that happened, as `events.to_json` writes it."""

    event: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """The bench can not be reached: the whole run ends."""

    message: str
    hint: str | None


@dataclass(frozen=True, slots=True)
class DoStep:
    """The plan with one step more, which is to be done now; `Done` is the answer."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class AskRows:
    """A SELECT of the read-only role; `Rows` is the answer."""

    sql: str


@dataclass(frozen=True, slots=True)
class NoMoreSteps:
    """Heal, drain and check; the usual end follows."""


@dataclass(frozen=True, slots=True)
class Done:
    """What is wrong since the step before; nothing, where it went well. `elapsed_ms` of scenario time are over."""

    failures: tuple[Failure, ...]
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows by column, or why there are none."""

    rows: tuple[dict[str, Any], ...] = ()
    trouble: str = ""
