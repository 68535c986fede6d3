"""The four verdicts, how they merge, and the exit code that each gives. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final


class Verdict(Enum):
    """What a run has shown. INCONCLUSIVE: nothing was proved either way; ERROR: the run itself broke."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"


PRIORITY: Final = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.PASS)
"""From the verdict that wins to the one that any other overrides: a proved failure stays proved."""

EXIT_CODES: Final = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 2, Verdict.ERROR: 70}
EXIT_BENCH_UNAVAILABLE: Final = 3
EXIT_USAGE: Final = 64
EXIT_INTERRUPTED: Final = 130


def merged(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of a whole from those of its parts; PASS when there are none to object."""
    found = set(verdicts)
    return next((verdict for verdict in PRIORITY if verdict in found), Verdict.PASS)


def exit_code(verdict: Verdict) -> int:
    """The process exit code for a verdict (DESIGN section 5)."""
    return EXIT_CODES[verdict]
