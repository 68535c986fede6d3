"""Steps that need a board: `flash` and `console`. A simulated camera has neither flash nor serial port."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.scenario_types import Duration, Shorthand, Step, StrictModel, WhoField
from harness.units import LanguageError

FailName = Literal[
    "stack_overflow",
    "heap_corruption",
    "interrupt_watchdog",
    "task_watchdog",
    "rtc_watchdog",
    "abort",
    "panic",
    "brownout",
    "flash_image",
]
"""What `harness.dut.fail_list` knows; a test holds the two equal."""


class Flash(StrictModel):
    """Another firmware for some boards; their NVS, their card and their counters stay."""

    who: WhoField = Field(description="Whose flash.")
    firmware: str = Field(
        min_length=1,
        max_length=200,
        description="A version that wakestorm builds, such as 3.0.0-no-resume, or a build folder of ESP-IDF.",
    )
    force: bool = Field(False, description="true: write every region, also those that are there already.")


class FlashStep(Step):
    """Flashes boards with esptool, resets them, and wants the new program in the boot log."""

    flash: Annotated[
        Flash, Shorthand("firmware", schema={"type": "string"}, make=lambda word: {"who": "all", "firmware": word})
    ] = Field(description="A firmware for all, or a mapping.")


class Console(StrictModel):
    """The serial console of some boards. First `write`, then wait for what is expected."""

    who: WhoField = Field(description="Whose console.")
    write: str | None = Field(None, max_length=1_000, description="A line to type.")
    contains: str | None = Field(None, min_length=1, max_length=1_000, description="This text must come.")
    matches: str | None = Field(None, min_length=1, max_length=1_000, description="This regular expression must match.")
    within_ms: Duration = Field(10_000, alias="within", description="Real time until it must have come.")
    allow: list[FailName] = Field(
        default_factory=list,
        description="Lines of the fail list that are meant to come, from this step on to the scenario's end.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Console:
        if self.contains is not None and self.matches is not None:
            raise LanguageError("contains and matches exclude each other", "keep one of them")
        if self.write is None and self.contains is None and self.matches is None and not self.allow:
            raise LanguageError("says nothing", "give write, contains, matches or allow")
        if self.write is not None and ("\n" in self.write or "\r" in self.write):
            raise LanguageError("write is one line", "leave out line ends")
        if self.matches is not None:
            try:
                re.compile(self.matches)
            except re.error as error:
                raise LanguageError(f"matches is no regular expression: {error}", "or use contains") from error
        return self


class ConsoleStep(Step):
    """Types a line on a board's console, and waits for a line."""

    console: Console = Field(description="Whose, and what.")
