"""All reporters of a run as one: one that breaks hears no more, and neither the others nor the verdict suffer."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

from harness.events import Event, Reporter


class Reporters:
    """Passes every event on. `broken` says in a line each what was lost; tracebacks go to `errors_log`."""

    def __init__(self, reporters: Sequence[Reporter], errors_log: Path) -> None:
        self._reporters = list(reporters)
        self._errors_log = errors_log
        self.broken: list[str] = []

    def on_event(self, event: Event) -> None:
        """Raises BrokenPipeError, where nobody reads what is written any more."""
        for reporter in list(self._reporters):
            try:
                reporter.on_event(event)
            except BrokenPipeError:
                raise
            except Exception as error:
                self._reporters.remove(reporter)
                words = " ".join(str(error).split())
                self.broken.append(
                    f"{type(reporter).__name__} broke at {type(event).__name__}: {type(error).__name__}: {words}"
                )
                with self._errors_log.open("a", encoding="utf-8") as log:
                    traceback.print_exception(error, file=log)
