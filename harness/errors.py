"""What can go wrong, from the point of view of the person at the command line.

Every error knows its exit code and fits on one screen; a docstring is the message when none is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import ClassVar


class WakestormError(Exception):
    """wakestorm could not do what was asked."""

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UsageError(WakestormError):
    """The command line asks for something that does not exist."""

    exit_code: ClassVar[int] = 64


class BenchUnavailable(WakestormError):
    """The database, the broker or the server can not be reached."""

    exit_code: ClassVar[int] = 3


class InternalError(WakestormError):
    """wakestorm itself failed; this is a bug."""

    exit_code: ClassVar[int] = 70


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in a scenario file; `line` counts from 1, `path` is empty for the whole file."""

    file: str
    line: int
    path: str
    reason: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: {self.path}: " if self.path else f"{self.file}:{self.line}: "
        return f"{place}{self.reason} ({self.hint})" if self.hint else f"{place}{self.reason}"


def once_for_all_cases(of_plans: Iterable[Iterable[Mistake]], cases: Mapping[str, int]) -> list[Mistake]:
    """What several cases of a file's matrix have in common is said once, with their number; `cases` is file -> all."""
    counts = Counter(mistake for mistakes in of_plans for mistake in dict.fromkeys(mistakes))
    return [
        replace(mistake, reason=f"{mistake.reason} [in {_share(count, cases[mistake.file])} cases]")
        if cases.get(mistake.file, 1) > 1
        else mistake
        for mistake, count in counts.items()
    ]


def _share(count: int, cases: int) -> str:
    return f"all {cases}" if count == cases else f"{count} of {cases}"


class ScenarioError(WakestormError):
    """The scenario is not valid."""

    exit_code: ClassVar[int] = 64
    SHOWN_MAX: ClassVar[int] = 30

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        """Carries all mistakes, in the order of the file; shows as many as fit on a screen."""
        self.mistakes = tuple(
            sorted(mistakes, key=lambda mistake: (mistake.file, mistake.line, mistake.path, mistake.reason))
        )
        shown = [str(mistake) for mistake in self.mistakes[: self.SHOWN_MAX]]
        if len(self.mistakes) > self.SHOWN_MAX:
            shown.append(f"... and {len(self.mistakes) - self.SHOWN_MAX} more")
        super().__init__("\n".join(shown))


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A hint for a word that is not known: the nearest one, else the whole list when it is short."""
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return "one of " + ", ".join(known) if len(known) <= 14 else "known are " + ", ".join(known[:14]) + ", ..."
