"""Prints docs/cli.md: every command's own help text. `python -m harness.cli_reference > docs/cli.md`."""

from __future__ import annotations

import sys
from typing import Any, Final

import typer

WIDTH_CHARS: Final = 100
INTRODUCTION: Final = """\
# Commands

Generated from the commands themselves by `make generate`; `wakestorm COMMAND --help` shows the same.
"""


def reference() -> str:
    """The page, with every command in the order of the help."""
    import harness.cli
    import server.cli
    import simulator.board.cli

    of_packages = {
        "wakestorm serve": server.cli.app,
        "wakestorm worker": server.cli.worker_app(),
        "wakestorm board": simulator.board.cli.app,
    }
    commands: list[tuple[str, Any]] = [("wakestorm", typer.main.get_command(harness.cli.app))]
    sections: list[str] = []
    while commands:
        name, command = commands.pop(0)
        inner = typer.main.get_command(of_packages[name]) if name in of_packages else command
        sections.append(f"## {name}\n\n```\n{_help(inner, name)}\n```\n")
        below = getattr(inner, "commands", {})
        commands[:0] = [(f"{name} {word}", item) for word, item in below.items()]
    return "\n".join([INTRODUCTION, *sections])


def _help(command: Any, name: str) -> str:
    context = command.make_context(
        name, [], resilient_parsing=True, terminal_width=WIDTH_CHARS, max_content_width=WIDTH_CHARS
    )
    text: str = command.get_help(context)
    return "\n".join(line.rstrip() for line in text.splitlines())


if __name__ == "__main__":
    sys.stdout.write(reference())
