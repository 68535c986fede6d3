"""The commands that the documents show, and whether the command line knows them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

import server.cli
import simulator.board.cli
from harness.cli import app

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "cli.md")]
LANGUAGES = ("console", "sh", "bash", "yaml", "")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`(wakestorm [^`]+)`")
_START = re.compile(r"^\s*(?:\$ |- run: |- )?(?:\.venv/bin/)?(wakestorm .*)$")
_END = re.compile(r"\s(?:[|>&;#]|\d?>).*$")
_EXPRESSION = re.compile(r"\$\{\{[^}]*\}\}")
_PROGRAMS = {"serve": server.cli.app, "worker": server.cli.worker_app(), "board": simulator.board.cli.app}


def commands_of(text: str) -> Iterator[list[str]]:
    """Every command of a page, in blocks and in the running text, as words without `wakestorm`."""
    outside = _BLOCK.sub("", text)
    lines = [" ".join(span.split()) for span in _SPAN.findall(outside)]
    for language, block in _BLOCK.findall(text):
        if language in LANGUAGES:
            shown = block.replace("\\\n", " ").splitlines()
            if language == "console":  # the other lines are output
                shown = [line for line in shown if line.startswith("$ ")]
            lines += [match[1] for line in shown if (match := _START.match(line))]
    for line in lines:
        try:
            yield shlex.split(_END.sub("", _EXPRESSION.sub("1", line)))[1:]
        except ValueError as error:
            raise ValueError(f"{line}: {error}") from error


def problem_of(words: list[str]) -> str | None:
    """What the command line would not take: a command that is not there, or an option that the command has not."""
    known: Any = get_command(app)
    rest = list(words)
    while rest and hasattr(known, "commands") and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name not in known.commands:
            return f"there is no command {name!r}"
        known = get_command(_PROGRAMS[name]) if name in _PROGRAMS else known.commands[name]
    options = {option for parameter in known.params for option in (*parameter.opts, *parameter.secondary_opts)}
    options |= {"--help", "-h"}
    unknown = [word for word in rest if re.match(r"--?[a-z]", word) and word.split("=")[0] not in options]
    return f"no option {', '.join(unknown)}" if unknown else None
