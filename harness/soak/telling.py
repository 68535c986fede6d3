"""What the soaking process tells its parent, pickled over a pipe between two processes of one user."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.events import ScenarioEnded
from harness.run_one import Surroundings
from harness.soak.order import SoakOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakJob:
    """What to do: in a database of its own, with its checkpoints, history and stored bytes in `folder`.

    With `resumes` it goes on from the newest checkpoint there, if there is one.
    """

    order: SoakOrder
    around: Surroundings
    database: str
    folder: Path
    resumes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """An hour of scenario time has passed."""

    hours: int
    wakes: int
    images_captured: int
    faults: int
    rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DayEnded:
    """A day was judged; `sample` is its line of soak.json. `is_past`: another process lived it, before a resume."""

    day: int
    sample: dict[str, Any]
    is_past: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakEnded:
    """All is over: the verdict so far, the hits, what the soak cost the machine."""

    ended: ScenarioEnded
    days: int
    was_stopped: bool
    coverage: dict[str, dict[str, int]] = field(default_factory=dict)
    final: dict[str, Any] = field(default_factory=dict)
    """The day's numbers once more, after heal and drain."""
    cpu_s: float = 0.0
    wall_s: float = 0.0


Told = Ticked | DayEnded | SoakEnded
