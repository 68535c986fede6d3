"""The faults, one a file, none of which knows another. Start with `noop`; `simulator.fault` holds their contract."""

from typing import Final

CATALOGUE: Final[dict[str, str]] = {
    "noop": "simulator.faults.noop:Noop",
    "power_loss": "simulator.faults.power_loss:PowerLoss",
    "cut": "simulator.faults.cut:CutLink",
    "lose": "simulator.faults.lose:Lose",
    "duplicate": "simulator.faults.duplicate:Duplicate",
    "reorder": "simulator.faults.reorder:Reorder",
    "corrupt": "simulator.faults.corrupt:Corrupt",
    "delay": "simulator.faults.delay:Delay",
}
"""Name in scenarios -> where the class is."""
