"""Errors at the command line: one screen and an exit code, never a traceback."""

from __future__ import annotations

import signal
import sys
from typing import Any, Final, TextIO

DEBUG_VARIABLE: Final = "WAKESTORM_DEBUG"


def interrupted() -> int:
    """What a Ctrl-C says."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    print("interrupted", file=sys.stderr)
    return 130


def reported(error: Exception, stream: TextIO) -> int:
    """One screen about an error, and its exit code."""
    if _is_usage(error):
        shown: Any = error
        shown.show(stream)
        return 64
    from harness.errors import WakestormError

    if isinstance(error, WakestormError) or type(error).__name__ == "ServeError":
        is_listing = type(error).__name__ == "ScenarioError"  # each line is a place already, for editors to jump to
        print(error if is_listing else f"wakestorm: {error}", file=stream)
        return int(getattr(error, "exit_code", 70))
    text = " ".join(str(error).split())[:600]
    print(f"wakestorm: internal error, {type(error).__name__}: {text}", file=stream)
    print(f"  this is a bug; {DEBUG_VARIABLE}=1 shows where", file=stream)
    return 70


def _is_usage(error: Exception) -> bool:
    """Whether typer refuses the command line itself."""
    return any(kind.__name__ == "ClickException" for kind in type(error).__mro__)
