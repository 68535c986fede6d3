"""How the server's commands end: an exit code, and one line on standard error where something is wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import typer

DEBUG_VARIABLE: Final = "WAKESTORM_DEBUG"
EXIT_USAGE, EXIT_INTERNAL = 64, 70


def run_app(app: typer.Typer, name: str, arguments: Sequence[str] | None) -> int:
    """Runs the command, by default with the process's arguments. With WAKESTORM_DEBUG=1 a bug raises."""
    try:
        code = app(
            args=list(sys.argv[1:] if arguments is None else arguments),
            prog_name=name,
            standalone_mode=False,
        )
    except Exception as error:
        if any(kind.__name__ == "ClickException" for kind in type(error).__mro__):
            refusal: Any = error
            refusal.show(sys.stderr)
            return EXIT_USAGE
        if os.environ.get(DEBUG_VARIABLE) == "1":
            raise
        is_ours = hasattr(error, "exit_code")
        words = str(error) if is_ours else f"internal error, {type(error).__name__}: {' '.join(str(error).split())}"
        print(f"{name}: {words}", file=sys.stderr)
        return int(getattr(error, "exit_code", EXIT_INTERNAL))
    return int(code) if isinstance(code, int) else 0
