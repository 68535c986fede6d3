"""`--json`: every event as one line on stdout, for programs. Histories and ledgers stay in the run's folder."""

from __future__ import annotations

import dataclasses
from typing import TextIO

from harness.events import Event, ScenarioEnded, to_json


class JsonLinesReporter:
    """Writes one JSON object a line, each with its type as `event`, flushed at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def on_event(self, event: Event) -> None:
        """Writes the event."""
        if isinstance(event, ScenarioEnded):
            event = dataclasses.replace(event, history_jsonl="", ledger=(), detail=None)
        self._stream.write(to_json(event).decode("utf-8") + "\n")
        self._stream.flush()
