"""How `wakestorm --help` is laid out: commands in groups, first what a newcomer needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from typer.core import TyperGroup

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Start here": ("init", "run", "doctor", "explain"),
    "Scenarios": ("lint", "ls", "soak", "report", "diff", "replay", "timeline", "parity", "flakes"),
    "What there is": ("faults", "profiles"),
    "Boards": ("boards", "flash", "firmware", "console", "board", "symbols", "proxy"),
    "Server": ("serve", "worker", "monitor", "db", "user", "logins", "broker-config", "certs", "originals", "videos"),
    "Measure": ("bench", "fleet", "merge"),
}
"""Commands by what they are for; one that stands nowhere here is shown under `More`."""

SHORT_HELP_CHARS: Final = 160


class GroupedCommands(TyperGroup):
    """The commands of wakestorm under headings, each with its whole first sentence."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the groups."""
        return [name for _, names in self._grouped(super().list_commands(ctx)) for name in names]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """One section for each group."""
        for title, names in self._grouped(super().list_commands(ctx)):
            rows = []
            for name in names:
                command = self.get_command(ctx, name)
                if command is not None and not command.hidden:
                    rows.append((name, command.get_short_help_str(SHORT_HELP_CHARS)))
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=10)

    @staticmethod
    def _grouped(there: list[str]) -> Iterator[tuple[str, list[str]]]:
        placed = {name for names in GROUPS.values() for name in names}
        for title, names in GROUPS.items():
            yield title, [name for name in names if name in there]
        yield "More", [name for name in there if name not in placed]
