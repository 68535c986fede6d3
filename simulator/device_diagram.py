"""Draws the device's transition table as Mermaid: `python -m simulator.device_diagram` writes docs/device-states.md."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from simulator.device_states import TRANSITIONS, Event, State

PAGE: Final = Path("docs") / "device-states.md"

_EVERYWHERE: Final = (Event.POWER_LOST, Event.RESET)
_HEAD: Final = """# States of a simulated camera

Generated from `simulator/device_states.py` by `python -m simulator.device_diagram`; a test keeps it current. The theory
stands at the top of `simulator/device.py`. A pair that is not drawn is not heard in that state. In every state but
`off`, loss of power and reset lead to `off`; a reset starts the next wake at once.

"""


def mermaid() -> str:
    """The state diagram; arrows with the same ends share one label."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.OFF.value}"]
    for state, heard in TRANSITIONS.items():
        arrows: dict[State, list[str]] = {}
        for event, target in heard.items():
            if event not in _EVERYWHERE or set(heard) == set(_EVERYWHERE):
                arrows.setdefault(target, []).append(event.value.replace(":", " -"))
        lines += [f"    {state.value} --> {target.value}: {' / '.join(texts)}" for target, texts in arrows.items()]
    return "\n".join(lines)


def table() -> str:
    """The same as a table: a row for each state, with what it hears."""
    rows = ["| state | hears | goes to |", "|---|---|---|"]
    for state, heard in TRANSITIONS.items():
        rows += [f"| {state.value} | {event.value} | {target.value} |" for event, target in heard.items()]
    return "\n".join(rows)


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
