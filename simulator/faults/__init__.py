"""The faults, one a file, none of which knows another. Start with `noop`; `simulator.fault` holds their contract.

Each file has a `ROW` for the catalogue (`simulator.catalogue`). A fault that strikes messages has a class too; one that
is written as a step, a profile or a trait is its row alone.
"""

from typing import Final

TEMPLATE: Final = "noop"
"""The file to copy for a new fault: no fault itself."""

CATALOGUE: Final[dict[str, str]] = {
    "noop": "simulator.faults.noop:Noop",
    # link
    "lose": "simulator.faults.lose:Lose",
    "duplicate": "simulator.faults.duplicate:Duplicate",
    "reorder": "simulator.faults.reorder:Reorder",
    "delay": "simulator.faults.delay:Delay",
    "corrupt": "simulator.faults.corrupt:Corrupt",
    "cut": "simulator.faults.cut:CutLink",
    # device
    "power_loss": "simulator.faults.power_loss:PowerLoss",
    # broker, server, database: rows of `broker`, `server` and `database` steps
}
"""Name -> where it is: `module:Class`, or `module` where there is only a row."""
