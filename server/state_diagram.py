"""Draws the wake payload's states as Mermaid: `python -m server.state_diagram` writes docs/server-states.md."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from server.session import TRANSITIONS

PAGE: Final = Path("docs") / "server-states.md"

_HEAD: Final = """# States of a wake, as the server keeps them

Generated from the table in `server/session.py` by `python -m server.state_diagram`; a test keeps it current. The state
stands in `device_wake_payloads.protocol_state`. `new` means that there is no row yet. A pair that is not drawn can not
happen: the server would stop rather than guess.

"""

_EVENTS: Final = {
    "hello": "the device said HELLO",
    "unannounced": "the device sent data without a HELLO",
    "snap": "it was told to take a photo",
    "override": "it was told to take a photo at once (manual wake override, or a command)",
    "resume": "it was told to go on with a pending image",
    "retry": "it was told to send a failed image again",
    "sleep": "it was sent back to sleep",
    "metadata": "an image was announced",
    "done": "the final ACK_OK went out",
    "silence": "nothing came for the time that the dialect grants",
}


def mermaid() -> str:
    """The state diagram; arrows with the same ends share one label."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, event), target in TRANSITIONS.items():
        arrows.setdefault((state, target), []).append(event)
    lines = ["stateDiagram-v2", "    [*] --> new"]
    lines += [f"    {state} --> {target}: {' / '.join(events)}" for (state, target), events in arrows.items()]
    return "\n".join(lines)


def table() -> str:
    """What each event means."""
    events = dict.fromkeys(event for _, event in TRANSITIONS)
    return "\n".join(["| event | meaning |", "|---|---|", *(f"| {event} | {_EVENTS[event]} |" for event in events)])


def page() -> str:
    """The whole page."""
    return f"{_HEAD}```mermaid\n{mermaid()}\n```\n\n{table()}\n"


def main(argv: list[str]) -> int:
    """Write the page below the folder given, else below the current one."""
    target = Path(argv[0] if argv else ".") / PAGE
    target.parent.mkdir(exist_ok=True)
    target.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
