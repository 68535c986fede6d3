"""Who is to blame for something that did not pass: five classes, and what points to each. Pure.

A class is where a person has to look first: at the code on the board, at the server's code, at the board itself (its
power, its flash), at what lies between board and computer, or at wakestorm.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Blame(StrEnum):
    """Where to look first."""

    FIRMWARE = "firmware"
    SERVER = "server"
    BOARD = "board"
    CABLE = "cable"
    HARNESS = "harness"


MEANINGS: Final[dict[Blame, str]] = {
    Blame.FIRMWARE: "the program on the board: a panic, a watchdog, a message that it did not send",
    Blame.SERVER: "the server: rows, bytes or answers that are not as they must be",
    Blame.BOARD: "the board itself: brownout, worn or unreadable flash, wrong chip",
    Blame.CABLE: "what lies between: the port went away, bytes were lost or damaged, nobody answers",
    Blame.HARNESS: "wakestorm: it broke, or asked for something that is not there",
}
"""One line for each class, for reports and documents."""

_ORDER: Final = (Blame.CABLE, Blame.BOARD, Blame.FIRMWARE, Blame.HARNESS, Blame.SERVER)


def first_cause(found: set[Blame]) -> Blame | None:
    """The class that explains the others: a lost cable explains a silent board, a panic explains missing rows."""
    return next((blame for blame in _ORDER if blame in found), None)


def of_failed_test(error: BaseException, shown: set[Blame], *, has_board: bool) -> Blame:
    """Of a test in Python: what its error says, else what consoles showed, else the board's program or the test."""
    said: Blame | None = getattr(error, "blame", None)
    is_of_board = has_board and isinstance(error, AssertionError)
    return said or first_cause(shown) or (Blame.FIRMWARE if is_of_board else Blame.HARNESS)
